//! Checks that units and whole machines can be serialized at any time, read back, and continued.
//!
//! [`goes_on`] plays the first half of a script on a unit, serializes the unit as JSON and as postcard, and plays the
//! second half on the unit and on the copies that were read back: each answer, each event, each cycle and the memory
//! must be the same. [`survives`] reads any bytes: a refusal must have a message, and a unit that can be read must work
//! and be serializable again.

mod guests;
mod machine;
mod machines;

use crate::coherence::{Script, Step, setup};
use crate::generate::Case;
use crate::{Architecture, Unit};
use core::fmt::Debug;
use emmu_core::{
    Access, AccessKind, Asid, Bus, Event, Fault, Invalidate, PhysAddr, Privilege, Probe,
    RegisterError, Translation, TranslationUnit, VirtAddr, Vmid, Width,
};
use emmu_oracle::reference::SparseMemory;
use emmu_paging::{
    AArch64, Paging, RiscV, SecondStage, X86,
    format::{
        Format, aarch64::AArch64Guest, described::Described, riscv::RiscVHart, x86::X86Guest,
    },
};
use emmu_timing::{Cycles, Machine};
use serde::{Serialize, de::DeserializeOwned};

pub use guests::{aarch64_guest, described, x86_guest};
pub use machines::machine_goes_on;

/// `Ok` if a snapshot holds, or the reason why it does not.
pub type Verdict = Result<(), String>;

/// A unit that can be serialized, and read back.
trait Kept: TranslationUnit<SparseMemory, Observed> + Serialize + DeserializeOwned {}

impl<T: TranslationUnit<SparseMemory, Observed> + Serialize + DeserializeOwned> Kept for T {}

/// The cycles and the events of a unit.
type Observed = (Cycles, Vec<Event>);

/// Plays the script on a unit with the registers and tables of the case, and on its snapshots.
///
/// # Errors
/// The first difference.
pub fn unit_goes_on<A: Architecture>(case: Case<A>, script: Script) -> Verdict
where
    Unit<A>: Serialize + DeserializeOwned,
{
    let Script { setup: number, steps } = script;
    let mut memory = case.memory();
    let registers = case.registers.implemented(&memory);
    let config = match A::Format::MAY_CACHE_INVALID {
        true => setup::config_with_invalid_entries,
        false => setup::config,
    };
    let configs = [number, number / 3].map(config);
    let Ok(mut unit) = registers.out_of_reset(&configs[0], &configs[1]) else { return Ok(()) };
    match registers.switch_on(&mut unit, &mut memory) {
        Ok(()) => goes_on(unit, memory, &case.accesses, &steps),
        // That is so whatever becomes of snapshots.
        Err(_) => Ok(()),
    }
}

/// Plays the first half of the steps on the unit, and the second half on the unit and on its snapshots.
///
/// # Errors
/// The first difference.
pub fn goes_on<F, S>(
    unit: Paging<F, S>,
    memory: SparseMemory,
    accesses: &[Access],
    steps: &[Step],
) -> Verdict
where
    F: Format,
    S: SecondStage,
    Paging<F, S>: Serialize + DeserializeOwned,
{
    let (before, after) = steps.split_at(steps.len() / 2);
    let mut site = Site { unit, memory, observed: (cycles()?, Vec::new()) };
    for &step in before {
        site.step(accesses, step);
    }
    let mut copies = site.copies()?;
    for (number, &step) in after.iter().enumerate() {
        let expected = site.step(accesses, step);
        for (how, copy) in &mut copies {
            let got = copy.step(accesses, step);
            if got != expected {
                return Err(format!("{how}, step {number}: expected {expected:x?}, got {got:x?}"));
            }
        }
    }
    copies.iter().try_for_each(|(how, copy)| site.is_like(how, copy))
}

/// A unit at work.
struct Site<U> {
    unit: U,
    memory: SparseMemory,
    observed: Observed,
}

/// The result of a step.
#[derive(Debug, PartialEq)]
enum Answer {
    Translation(Result<Translation, Fault>),
    Written(Result<(), RegisterError>),
    Nothing,
}

impl<U: Kept> Site<U> {
    /// Returns copies of the unit that were serialized in two formats and read back, each with memory and cycles of its
    /// own.
    fn copies(&self) -> Result<[(&'static str, Self); 2], String> {
        let postcard = written(&self.unit)?;
        let json = serde_json::to_string(&self.unit).map_err(|error| error.to_string())?;
        let read = serde_json::from_str(&json).map_err(|error| format!("{error} in {json}"))?;
        let again = read_back(&postcard)?;
        if written(&again)? != postcard || written(&read)? != postcard {
            return Err("what was read back is written otherwise".to_owned());
        }
        Ok([("JSON", self.with(read)), ("postcard", self.with(again))])
    }

    fn with(&self, unit: U) -> Self {
        Self { unit, memory: self.memory.clone(), observed: self.observed.clone() }
    }

    fn is_like(&self, how: &str, other: &Self) -> Verdict {
        let cycles = [self, other].map(|site| site.observed.0.by_cause());
        match () {
            () if self.observed.1 != other.observed.1 => Err(format!("{how}: other events")),
            () if cycles[0] != cycles[1] => Err(format!("{how}: other cycles")),
            () if self.memory != other.memory => Err(format!("{how}: other memory")),
            () => Ok(()),
        }
    }

    fn step(&mut self, accesses: &[Access], Step([what, which, how, more]): Step) -> Answer {
        match what % 16 {
            0..=10 => {
                let Some(access) = varied(accesses, which, how, more) else {
                    return Answer::Nothing;
                };
                self.observed.on(Event::Access(access));
                Answer::Translation(self.unit.translate(
                    access,
                    &mut self.memory,
                    &mut self.observed,
                ))
            }
            11 | 12 => {
                let addr = varied(accesses, which, 0, more).map_or(VirtAddr::ZERO, |to| to.addr);
                self.unit.invalidate(scope(addr, how, more));
                Answer::Nothing
            }
            13 | 14 => self.write(which, how),
            _ => {
                self.poke(which, how);
                Answer::Nothing
            }
        }
    }

    /// Writes a register: its own value, or that value with one bit changed.
    fn write(&mut self, which: u8, how: u8) -> Answer {
        let registers = self.unit.registers();
        let Some(info) = registers.get(usize::from(which) % registers.len().max(1)) else {
            return Answer::Nothing;
        };
        let id = info.id;
        let held = self.unit.read_register(id).unwrap_or(0);
        let value = if how & 0xc0 == 0 { held ^ 1 << (how & 0x3f) } else { held };
        Answer::Written(self.unit.write_register(id, value, &mut self.memory, &mut self.observed))
    }

    /// Flips a bit of a word that is not 0.
    fn poke(&mut self, which: u8, how: u8) {
        let count = self.memory.words().count().max(1);
        let word = self.memory.words().nth(usize::from(which) * 7 % count);
        if let Some((addr, word)) = word {
            self.memory.write32(addr, word ^ 1 << (how & 0x1f));
        }
    }
}

fn written(unit: &impl Serialize) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(unit).map_err(|error| error.to_string())
}

fn read_back<U: DeserializeOwned>(bytes: &[u8]) -> Result<U, String> {
    postcard::from_bytes(bytes).map_err(|error| error.to_string())
}

fn cycles() -> Result<Cycles, String> {
    let machine = Machine::preset("skylake-sp").map_err(|error| error.to_string())?;
    Ok(Cycles::new(&machine))
}

/// Returns an access of the case, or one that differs a little from it.
fn varied(accesses: &[Access], which: u8, how: u8, beyond: u8) -> Option<Access> {
    let access = *accesses.get(usize::from(which).checked_rem(accesses.len())?)?;
    let kind = if how & 4 != 0 { AccessKind::ALL[usize::from(how & 3)] } else { access.kind };
    let privilege = match how >> 3 & 7 {
        0 => Privilege::User,
        1 => Privilege::Supervisor,
        _ => access.privilege,
    };
    let further = [0x1000, 0x4000, 0x20_0000, 0x4000_0000_u64];
    let further = further.get(usize::from(beyond % 16)).copied().unwrap_or(0);
    let addr = VirtAddr::new(access.addr.raw() ^ further);
    Some(Access { kind, privilege, ..access.at(addr, access.size) })
}

fn scope(addr: VirtAddr, scope: u8, more: u8) -> Invalidate {
    let (asid, vmid) = (Asid(u16::from(more & 3)), Vmid(u16::from(more >> 2 & 1)));
    match scope % 16 {
        0 => Invalidate::All,
        1 => Invalidate::NonGlobal,
        2 | 3 => Invalidate::Asid(asid),
        4..=6 => Invalidate::Page(addr),
        7..=9 => Invalidate::PageInAsid { addr, asid, global: more & 4 != 0 },
        10 => Invalidate::Range { addr, len: 0x4000, asid: None },
        11 => Invalidate::Range { addr, len: 0x4000, asid: Some(asid) },
        12 => Invalidate::Guest { vmid, asid: None, addr: None, keeps_global: more & 8 != 0 },
        13 => Invalidate::Guest { vmid, asid: Some(asid), addr: Some(addr), keeps_global: false },
        14 => Invalidate::SecondStage { tables: None, addr: None, combined: true },
        _ => {
            let addr = Some(PhysAddr::new(addr.raw()));
            Invalidate::SecondStage { tables: None, addr, combined: more & 8 != 0 }
        }
    }
}

/// Reads a unit or a machine from these bytes. The first byte chooses the unit or machine, and the second is the number
/// of steps of four bytes that come before the snapshot. If the snapshot can be read, the steps are played on it.
///
/// # Errors
/// If a refusal has no message, or if the unit that was read cannot be serialized again or differs afterwards.
pub fn survives(bytes: &[u8]) -> Verdict {
    let [kind, count] = core::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0));
    let rest = bytes.get(2..).unwrap_or_default();
    let (steps, snapshot) = rest.split_at(rest.len().min(4 * usize::from(count)));
    let steps: Vec<Step> = steps.as_chunks().0.iter().map(|step| Step(*step)).collect();
    match kind % (PAGING + machines::COUNT + 1) {
        0 => read::<RiscV, ()>(snapshot, &steps),
        1 => read::<X86, ()>(snapshot, &steps),
        2 => read::<AArch64, ()>(snapshot, &steps),
        3 => read::<Described, ()>(snapshot, &steps),
        4 => used::<RiscVHart>(snapshot, &steps),
        5 => used::<X86Guest>(snapshot, &steps),
        6 => used::<AArch64Guest>(snapshot, &steps),
        kind => machines::survives(kind - PAGING, snapshot, &steps),
    }
}

/// The number of kinds of paging units that [`survives`] reads.
const PAGING: u8 = 7;

fn read<F: Format, S: SecondStage>(snapshot: &[u8], steps: &[Step]) -> Verdict
where
    Paging<F, S>: Serialize + DeserializeOwned,
{
    used::<Paging<F, S>>(snapshot, steps)
}

fn used<U: Kept>(snapshot: &[u8], steps: &[Step]) -> Verdict {
    let unit: U = match postcard::from_bytes(snapshot) {
        Ok(unit) => unit,
        Err(error) if error.to_string().is_empty() => return Err("no message".to_owned()),
        Err(_) => return Ok(()),
    };
    let mut site =
        Site { unit, memory: SparseMemory::default(), observed: (cycles()?, Vec::new()) };
    let mut copies = site.copies()?;
    for &step in steps {
        let accesses = [access_of(step)];
        let expected = site.step(&accesses, step);
        for (how, copy) in &mut copies {
            let got = copy.step(&accesses, step);
            if got != expected {
                return Err(format!("{how}: expected {expected:x?}, got {got:x?}"));
            }
        }
        // So that walks find something.
        let addr = PhysAddr::new(u64::from(step.0[2]) << 4);
        for site in core::iter::once(&mut site).chain(copies.iter_mut().map(|(_, copy)| copy)) {
            let _ = site.memory.write(addr, Width::B8, u64::from_le_bytes([step.0[3]; 8]));
        }
    }
    copies.iter().try_for_each(|(how, copy)| site.is_like(how, copy))
}

fn access_of(Step([what, which, how, more]): Step) -> Access {
    let addr = u64::from_le_bytes([which, more, how, 0, 0, 0, 0, 0]);
    Access::load(VirtAddr::new(addr << (what >> 4)), 1)
}
