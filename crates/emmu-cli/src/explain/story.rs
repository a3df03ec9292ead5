//! The account of one access, made from the events of the access.

use super::Radix;
use super::args::Accesses;
use crate::number::Number;
use anyhow::{Context, Result};
use emmu_core::{
    Access, AccessFlags, AccessKind, BusError, Cause, Event, Fault, Privilege, Probe,
    TranslationUnit, VirtAddr,
};
use emmu_cpu::{Cpu, Stop};
use emmu_memory::Memory;
use emmu_timing::{ByServed, Cycles, Machine};
use serde::Serialize;

/// The account of an access.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// The address in the base in which it was written.
    pub(super) address: String,
    /// The parts of the address, if it has parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<String>,
    pub(super) access: String,
    pub(super) steps: Vec<Step>,
    /// The physical address of the first byte; none after a fault.
    pub(super) physical: Option<u64>,
    /// The value that was read, if it has 8 bytes at most.
    pub(super) value: Option<u64>,
    pub(super) fault: Option<FaultStory>,
    pub(super) cycles: u64,
    #[serde(skip)]
    pub(super) show: Radix,
}

/// A fault, and the reaction of the operating system.
#[derive(Debug, Serialize)]
pub(super) struct FaultStory {
    pub(super) cause: String,
    pub(super) next: String,
}

/// A step of the hardware.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) text: String,
    /// True unless the access fails at this step.
    pub(super) holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cycles: Option<u64>,
    /// The cache or memory that served the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) served_by: Option<String>,
}

impl Step {
    pub(super) fn new(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, text: text.into(), holds: true, cycles: None, served_by: None }
    }

    /// A step at which the access fails.
    pub(super) fn failing(what: &'static str, text: impl Into<String>) -> Self {
        Self { holds: false, ..Self::new(what, text) }
    }

    /// The step with the price of an event, and with the cache that served it.
    pub(super) fn costing(self, heard: &Heard) -> Self {
        Self { cycles: Some(heard.cycles), served_by: heard.served_by(), ..self }
    }
}

/// A unit that can tell the steps of a translation.
pub(super) trait Tell {
    /// Returns the address cut into its parts, for the headline.
    fn parts(&self, access: Access, show: Radix) -> Option<String>;

    /// Returns the steps of the translation of one piece of an access. `heard` are the events of the piece.
    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step>;
}

/// An event, its price, and the caches that served it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) event: Event,
    pub(super) cycles: u64,
    /// True for each level of [`SERVED`] that served the event.
    served: [bool; 4],
}

/// The names of the levels that can serve a read or a write.
const SERVED: [&str; 4] = ["L1 cache", "L2 cache", "last-level cache", "memory"];

impl Heard {
    /// Returns the names of the levels that served the event.
    fn served_by(&self) -> Option<String> {
        let served = SERVED.iter().zip(self.served).filter(|(_, served)| *served);
        let names: Vec<_> = served.map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| names.join(" and "))
    }
}

/// Returns the numbers of reads and writes that each level has served.
fn served(cycles: &Cycles) -> [u64; 4] {
    let report = cycles.report();
    let counts = |by: &ByServed| [by.l1, by.l2, by.llc, by.memory];
    let (entries, lines) = (counts(&report.entry_reads_by_cache), counts(&report.lines_by_cache));
    std::array::from_fn(|level| entries[level] + lines[level])
}

/// A probe that keeps every event with its price.
pub(super) struct Narrator {
    cycles: Cycles,
    heard: Vec<Heard>,
}

impl Probe for Narrator {
    fn on(&mut self, event: Event) {
        let (before, served_before) = (self.cycles.total(), served(&self.cycles));
        self.cycles.on(event);
        let served_now = served(&self.cycles);
        let served = std::array::from_fn(|level| served_now[level] > served_before[level]);
        self.heard.push(Heard { event, cycles: self.cycles.total() - before, served });
    }
}

/// A CPU with the unit to explain, and memory.
pub(super) struct Stage<U> {
    cpu: Cpu<U, Memory, Narrator>,
    /// The flags of all accesses.
    flags: AccessFlags,
}

impl<U: Tell + TranslationUnit<Memory, Narrator>> Stage<U> {
    pub(super) fn new(
        unit: U,
        flags: AccessFlags,
        memory: Memory,
        machine: &Machine,
    ) -> Result<Self> {
        let narrator = Narrator { cycles: Cycles::new(machine), heard: Vec::new() };
        let mut cpu = Cpu::with_probe(unit, memory, narrator);
        cpu.install_handler(VirtAddr::ZERO)?;
        Ok(Self { cpu, flags })
    }

    /// Returns the CPU, for the preparations of the operating system before the program runs.
    pub(super) fn cpu_mut(&mut self) -> &mut Cpu<U, Memory, Narrator> {
        &mut self.cpu
    }

    /// Empties the data caches, so that the program does not find the lines of the operating system's accesses.
    pub(super) fn cool(&mut self, machine: &Machine) {
        self.cpu.probe_mut().cycles = Cycles::new(machine);
    }

    pub(super) fn unit(&self) -> &U {
        self.cpu.unit()
    }

    /// Makes an access of the program and explains it.
    pub(super) fn tell(&mut self, number: Number, asked: &Accesses) -> Result<Explanation> {
        let show = number.radix;
        let access = asked.access(number.value).with_flags(self.flags);
        let mut data = vec![0; access.size as usize];
        let fault = self.perform(access, &mut data)?;
        let heard = std::mem::take(&mut self.cpu.probe_mut().heard);
        let mut steps = self.translation(access, &heard, show);
        steps.extend(heard.iter().filter_map(|heard| transfer(heard, access, &data, show)));
        if let Some(fault) = fault {
            if steps.iter().all(|step| step.holds) {
                steps.push(Step::failing("memory", cause(fault.cause, show)));
            }
            steps.extend(heard.iter().filter_map(trap));
        }
        let physical = heard.iter().find_map(|heard| match heard.event {
            Event::Transfer { addr, .. } => Some(addr.raw()),
            _ => None,
        });
        Ok(Explanation {
            address: show.show(number.value),
            parts: self.unit().parts(access, show),
            access: format!("{} of {}", access.kind, bytes(access.size.into(), Radix::Decimal)),
            steps,
            physical: physical.filter(|_| fault.is_none()),
            value: value(access.kind, &data).filter(|_| fault.is_none()),
            fault: fault.map(|fault| tell_fault(&fault, asked.pid)),
            cycles: heard.iter().map(|heard| heard.cycles).sum(),
            show,
        })
    }

    /// Makes the access, reads into `data`, and returns the fault that it met.
    fn perform(&mut self, access: Access, data: &mut [u8]) -> Result<Option<Fault>> {
        self.cpu.set_privilege(Privilege::User);
        self.cpu.probe_mut().heard.clear();
        let done = match access.kind {
            AccessKind::Store => self.cpu.write(access, data),
            _ => self.cpu.read(access, data),
        };
        match done {
            Ok(()) => Ok(None),
            Err(stop) => Ok(Some(stop.fault().with_context(|| unexpected(&stop))?)),
        }
    }

    /// Returns the steps of every piece, up to the one that was refused.
    fn translation(&self, whole: Access, heard: &[Heard], show: Radix) -> Vec<Step> {
        // The CPU refuses it before it asks the unit.
        if whole.addr.checked_add(u64::from(whole.size).saturating_sub(1)).is_none() {
            let text = "the access would run past the last 64-bit address";
            return vec![Step::failing("address", text)];
        }
        let mut steps = Vec::new();
        let mut done = 0;
        while done < whole.size {
            let piece = whole.at(whole.addr.wrapping_add(done.into()), whole.size - done);
            if done > 0 {
                let text = format!("from VA {} on", show.show(piece.addr));
                steps.push(Step::new("piece", text));
            }
            let own = lookups_of(piece, heard);
            steps.extend(self.unit().steps(piece, own, self.cpu.bus(), show));
            let Ok(found) = self.unit().peek(piece, self.cpu.bus()) else { break };
            done = done.saturating_add(u32::try_from(found.span).unwrap_or(u32::MAX));
        }
        steps
    }
}

/// Returns the events from the first lookup of a piece up to that of the next piece.
fn lookups_of(piece: Access, heard: &[Heard]) -> &[Heard] {
    let looked_up = |heard: &Heard| match heard.event {
        Event::TlbHit { access, .. } | Event::TlbMiss { access, .. } => Some(access.addr),
        Event::WalkBegin(access) => Some(access.addr),
        _ => None,
    };
    let is_own = |heard: &Heard| looked_up(heard) == Some(piece.addr);
    let is_other = |heard: &Heard| looked_up(heard).is_some_and(|addr| addr != piece.addr);
    let Some(first) = heard.iter().position(is_own) else { return &[] };
    let own = &heard[first..];
    &own[..own.iter().position(is_other).unwrap_or(own.len())]
}

/// Returns the step of a transfer, which is a part of the whole access.
fn transfer(heard: &Heard, whole: Access, data: &[u8], show: Radix) -> Option<Step> {
    let Event::Transfer { access, addr } = heard.event else { return None };
    let what = match access.kind {
        AccessKind::Fetch => "FETCH",
        AccessKind::Load => "LOAD",
        AccessKind::Store => "STORE",
        AccessKind::Amo => "AMO",
    };
    let begin = usize::try_from(access.addr.raw().wrapping_sub(whole.addr.raw())).unwrap_or(0);
    let part = data.get(begin..).unwrap_or_default();
    let part = part.get(..access.size as usize).unwrap_or_default();
    let value = value(access.kind, part).map(|value| format!(" -> {}", show.show(value)));
    let (size, addr) = (bytes(access.size.into(), Radix::Decimal), show.show(addr));
    let text = format!("{size} at {addr}{}", value.unwrap_or_default());
    Some(Step::new(what, text).costing(heard))
}

/// Returns the number in the bytes of a read, which is little-endian. Writes and reads of more than 8 bytes have none.
fn value(kind: AccessKind, data: &[u8]) -> Option<u64> {
    let is_number = kind != AccessKind::Store && (1..=8).contains(&data.len());
    is_number.then(|| data.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Returns the cause of a fault, for a fault that no step explains.
fn cause(cause: Cause, show: Radix) -> String {
    match cause {
        Cause::Bus(BusError::Unmapped { addr }) => {
            format!("no memory or device answers at physical address {}", show.show(addr))
        }
        other => other.to_string(),
    }
}

fn trap(heard: &Heard) -> Option<Step> {
    let entered = matches!(heard.event, Event::TrapEnter);
    entered.then(|| Step::new("exception", "the CPU enters the handler").costing(heard))
}

fn tell_fault(fault: &Fault, pid: u32) -> FaultStory {
    let next = match fault.cause {
        Cause::Absent => format!("the OS brings it in and restarts, or kills pid {pid}"),
        _ => format!("the OS kills pid {pid}"),
    };
    FaultStory { cause: fault.cause.to_string(), next }
}

fn unexpected(stop: &Stop) -> String {
    format!("the CPU stopped for another reason than a fault: {stop}")
}

/// Returns a number of bytes in words.
pub(super) fn bytes(count: u64, show: Radix) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} byte{plural}", show.show(count))
}

/// Returns the kind of an access with its article.
pub(super) fn with_article(kind: AccessKind) -> String {
    let article = if kind == AccessKind::Amo { "an" } else { "a" };
    format!("{article} {kind}")
}

impl Accesses {
    fn access(&self, addr: u64) -> Access {
        Access::new(self.access.access_kind(), VirtAddr::new(addr), self.size)
            .with_privilege(Privilege::User)
    }
}
