//! Checks that whole machines, a CPU with its unit and memory, can be serialized at any time, read back, and continued.

use super::{Verdict, read_back, scope, written};
use crate::coherence::Step;
use core::fmt::Debug;
use emmu_core::{
    Access, AccessFlags, AccessKind, Bus, Event, PhysAddr, Privilege, TranslationUnit, VirtAddr,
    Width,
};
use emmu_cpu::{Cpu, Stop, Trap};
use emmu_memory::Memory;
use serde::{Serialize, de::DeserializeOwned};

/// A CPU that records all events.
pub(super) type Machine<U> = Cpu<U, Memory, Vec<Event>>;

/// A unit that can be serialized, and read back.
pub(super) trait Kept:
    TranslationUnit<Memory, Vec<Event>> + Serialize + DeserializeOwned
{
}

impl<T: TranslationUnit<Memory, Vec<Event>> + Serialize + DeserializeOwned> Kept for T {}

/// Plays the first half of the steps on the machine, and the second half on the machine and on its snapshots.
pub(super) fn goes_on<U: Kept>(mut machine: Machine<U>, steps: &[Step]) -> Verdict {
    let (before, after) = steps.split_at(steps.len() / 2);
    for &step in before {
        play(&mut machine, step);
    }
    alike(machine, after)
}

/// Reads a machine from a snapshot. If the snapshot is valid, plays the steps on the machine and on its own snapshots.
pub(super) fn used<U: Kept>(snapshot: &[u8], steps: &[Step]) -> Verdict {
    match postcard::from_bytes::<Machine<U>>(snapshot) {
        Ok(machine) => alike(machine, steps),
        Err(error) if error.to_string().is_empty() => Err("no message".to_owned()),
        Err(_) => Ok(()),
    }
}

/// Plays the steps on the machine and on the copies that are read back. Answers, events, and the serialized machines at
/// the end must be the same.
fn alike<U: Kept>(mut machine: Machine<U>, steps: &[Step]) -> Verdict {
    let mut copies = copies(&machine)?;
    machine.probe_mut().clear();
    for (number, &step) in steps.iter().enumerate() {
        let expected = play(&mut machine, step);
        for (how, copy) in &mut copies {
            let got = play(copy, step);
            if got != expected || copy.probe() != machine.probe() {
                let events = (machine.probe().last(), copy.probe().last());
                return Err(format!(
                    "{how}, step {number}: expected {expected:x?}, got {got:x?}; events {events:x?}"
                ));
            }
        }
    }
    let state = written(&machine)?;
    for (how, copy) in &copies {
        if written(copy)? != state {
            return Err(format!("{how}: another machine in the end"));
        }
    }
    Ok(())
}

/// Returns copies of the machine that were serialized in two formats and read back.
fn copies<U: Kept>(machine: &Machine<U>) -> Result<[(&'static str, Machine<U>); 2], String> {
    let snapshot = written(machine)?;
    let json = serde_json::to_string(machine).map_err(|error| error.to_string())?;
    let text: Machine<U> = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let bytes: Machine<U> = read_back(&snapshot)?;
    match written(&text)? == snapshot && written(&bytes)? == snapshot {
        true => Ok([("JSON", text), ("postcard", bytes)]),
        false => Err("what was read back is written otherwise".to_owned()),
    }
}

/// The result of a step.
#[derive(Debug, PartialEq)]
enum Answer {
    Number(Result<u64, Stop>),
    Stored(Result<bool, Stop>),
    Done(Result<(), Stop>),
    Bytes(Result<[u8; 24], Stop>),
    Nothing,
}

fn play<U: Kept>(machine: &mut Machine<U>, Step([what, which, how, more]): Step) -> Answer {
    let width = Width::ALL[usize::from(how & 3)];
    let addr = place(which, how, more);
    let aligned = addr.align_down(width.bytes().ilog2());
    let value = u64::from_le_bytes([what, which, how, more, 1, 2, 3, 4]);
    match what % 16 {
        0 | 1 => Answer::Number(machine.load(addr, width)),
        2 | 3 => Answer::Done(machine.store(addr, width, value)),
        4 => Answer::Number(machine.fetch(addr, width)),
        5 => Answer::Number(machine.amo(aligned, width, |held| held ^ value)),
        // Of few addresses, so that they meet.
        6 => Answer::Number(machine.load_reserved(aligned.align_down(8), width)),
        7 => Answer::Stored(machine.store_conditional(aligned.align_down(8), width, value)),
        8 => {
            let mut bytes = [0; 24];
            let access = Access::new(AccessKind::Load, addr, 24).with_flags(flags(more));
            let access = access.with_privilege(machine.privilege());
            Answer::Bytes(machine.read(access, &mut bytes).map(|()| bytes))
        }
        9 | 10 => write(machine, which, how, more),
        11 => Answer::Done(machine.invalidate(scope(addr, which, more))),
        12 => turn(machine, which, addr),
        13 => {
            let held = machine.bus_mut().write(PhysAddr::new(addr.raw()), width, value);
            Answer::Stored(Ok(held.is_ok()))
        }
        _ => enter(machine, which, addr),
    }
}

/// Returns an address in the first 16 KiB, or a little or far beyond.
fn place(which: u8, how: u8, more: u8) -> VirtAddr {
    let low = u64::from(which & 0x3f) << 8 | u64::from(more);
    let high = match how >> 2 & 7 {
        0 => 1 << 14,
        1 => 1 << 30,
        2 => 1 << 63,
        _ => 0,
    };
    VirtAddr::new(low | high)
}

fn flags(more: u8) -> AccessFlags {
    if more & 3 == 0 { AccessFlags::from_bits_truncate(more) } else { AccessFlags::empty() }
}

/// Writes a register, half of the time with the privilege to do so.
fn write<U: Kept>(machine: &mut Machine<U>, which: u8, how: u8, more: u8) -> Answer {
    let registers = machine.unit().registers();
    let Some(info) = registers.get(usize::from(which) % registers.len().max(1)) else {
        return Answer::Nothing;
    };
    let id = info.id;
    let held = machine.unit().read_register(id).unwrap_or(0);
    let value = match how >> 6 {
        0 => held ^ 1 << (how & 0x3f),
        1 => more.into(),
        2 => u64::from(more) << 8,
        _ => held,
    };
    if how & 1 == 0 {
        machine.set_privilege(Privilege::Supervisor);
        machine.set_guest(false);
    }
    Answer::Done(machine.write_register(id, value))
}

/// Enters the handler, leaves it, or makes a call that only the handler may make.
fn turn<U: Kept>(machine: &mut Machine<U>, which: u8, addr: VirtAddr) -> Answer {
    Answer::Done(match which % 4 {
        0 => Err(machine.system_call()),
        1 => machine.install_handler(addr),
        2 => machine.set_trap(Trap::start(addr, Privilege::User)),
        _ => machine.return_from_trap(),
    })
}

/// Enters or leaves a mode as an embedder's core does.
fn enter<U: Kept>(machine: &mut Machine<U>, which: u8, addr: VirtAddr) -> Answer {
    match which % 8 {
        0 => machine.reset(),
        1 => machine.set_pc(addr),
        2 => machine.set_guest(which & 8 != 0),
        3 => machine.set_privilege(Privilege::Machine),
        4 => machine.set_privilege(Privilege::Supervisor),
        5 => return Answer::Done(machine.return_from_trap()),
        _ => machine.set_privilege(Privilege::User),
    }
    Answer::Nothing
}
