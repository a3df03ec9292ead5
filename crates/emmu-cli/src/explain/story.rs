//! An access made and listened to.

use super::args::Accesses;
use super::number::{Number, Radix};
use anyhow::{Context, Result};
use emmu_core::{
    Access, AccessFlags, AccessKind, Cause, Event, Fault, Privilege, Probe, TranslationUnit,
    VirtAddr,
};
use emmu_cpu::{Cpu, Stop};
use emmu_memory::Memory;
use emmu_timing::{Cycles, Machine};
use serde::Serialize;

/// What became of an address.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// As it was written.
    pub(super) address: String,
    /// Its parts, if it has parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<String>,
    pub(super) access: String,
    pub(super) steps: Vec<Step>,
    /// Where the first byte is; none after a fault.
    pub(super) physical: Option<u64>,
    pub(super) fault: Option<Told>,
    pub(super) cycles: u64,
    #[serde(skip)]
    pub(super) show: Radix,
}

/// A fault, and what the operating system does about it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) cause: String,
    pub(super) next: String,
}

/// One thing that the hardware does.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) text: String,
    /// Whether the access goes on.
    pub(super) holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cycles: Option<u64>,
}

impl Step {
    pub(super) fn new(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, text: text.into(), holds: true, cycles: None }
    }

    /// The step that the access fails at.
    pub(super) fn failing(what: &'static str, text: impl Into<String>) -> Self {
        Self { holds: false, ..Self::new(what, text) }
    }

    pub(super) fn costing(self, cycles: u64) -> Self {
        Self { cycles: Some(cycles), ..self }
    }
}

/// A unit that can tell of itself.
pub(super) trait Tell {
    /// An address cut into its parts, for the headline.
    fn parts(&self, access: Access, show: Radix) -> Option<String>;

    /// The steps of translating one piece of an access, of which `heard` are the events.
    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step>;
}

/// An event and its price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) event: Event,
    pub(super) cycles: u64,
}

/// Hears every event and prices it.
pub(super) struct Narrator {
    cycles: Cycles,
    heard: Vec<Heard>,
}

impl Probe for Narrator {
    fn on(&mut self, event: Event) {
        let before = self.cycles.total();
        self.cycles.on(event);
        self.heard.push(Heard { event, cycles: self.cycles.total() - before });
    }
}

/// A CPU with the unit that explains itself, and memory.
pub(super) struct Stage<U> {
    cpu: Cpu<U, Memory, Narrator>,
}

impl<U: Tell + TranslationUnit<Memory, Narrator>> Stage<U> {
    pub(super) fn new(unit: U, memory: Memory, machine: &Machine) -> Result<Self> {
        let narrator = Narrator { cycles: Cycles::new(machine), heard: Vec::new() };
        let mut cpu = Cpu::with_probe(unit, memory, narrator);
        cpu.install_handler(VirtAddr::ZERO)?;
        Ok(Self { cpu })
    }

    /// The CPU, on which the operating system puts things in order before the program runs.
    pub(super) fn cpu_mut(&mut self) -> &mut Cpu<U, Memory, Narrator> {
        &mut self.cpu
    }

    /// Forgets what the operating system's accesses left in data caches, so that the program finds them cold.
    pub(super) fn cool(&mut self, machine: &Machine) {
        self.cpu.probe_mut().cycles = Cycles::new(machine);
    }

    pub(super) fn unit(&self) -> &U {
        self.cpu.unit()
    }

    /// Makes a program's access and tells of it.
    pub(super) fn tell(&mut self, number: Number, asked: &Accesses) -> Result<Explanation> {
        let show = number.radix;
        let access = asked.access(number.value)?;
        let fault = self.perform(access)?;
        let heard = std::mem::take(&mut self.cpu.probe_mut().heard);
        let mut steps = self.translation(access, &heard, show);
        steps.extend(heard.iter().filter_map(|heard| transfer(heard, show)));
        if let Some(fault) = fault {
            if steps.iter().all(|step| step.holds) {
                steps.push(Step::failing("memory", fault.cause.to_string()));
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
            access: format!("{} of {}", access.kind, bytes(access.size.into())),
            steps,
            physical: physical.filter(|_| fault.is_none()),
            fault: fault.map(|fault| tell_fault(&fault, asked.pid)),
            cycles: heard.iter().map(|heard| heard.cycles).sum(),
            show,
        })
    }

    /// The fault that the access met.
    fn perform(&mut self, access: Access) -> Result<Option<Fault>> {
        self.cpu.set_privilege(Privilege::User);
        self.cpu.probe_mut().heard.clear();
        let mut data = vec![0; access.size as usize];
        let done = match access.kind {
            AccessKind::Store => self.cpu.write(access, &data),
            _ => self.cpu.read(access, &mut data),
        };
        match done {
            Ok(()) => Ok(None),
            Err(stop) => Ok(Some(stop.fault().with_context(|| unexpected(&stop))?)),
        }
    }

    /// The steps of every piece, up to the one that was refused.
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

/// The events from a piece's first lookup up to the next piece's.
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

fn transfer(heard: &Heard, show: Radix) -> Option<Step> {
    let Event::Transfer { access, addr } = heard.event else { return None };
    let what = match access.kind {
        AccessKind::Fetch => "FETCH",
        AccessKind::Load => "LOAD",
        AccessKind::Store => "STORE",
        AccessKind::Amo => "AMO",
    };
    let text = format!("{} at {}", bytes(access.size.into()), show.show(addr));
    Some(Step::new(what, text).costing(heard.cycles))
}

fn trap(heard: &Heard) -> Option<Step> {
    let entered = matches!(heard.event, Event::TrapEnter);
    entered.then(|| Step::new("exception", "the CPU enters the handler").costing(heard.cycles))
}

fn tell_fault(fault: &Fault, pid: u32) -> Told {
    let next = match fault.cause {
        Cause::Absent => format!("the OS brings it in and restarts, or kills pid {pid}"),
        _ => format!("the OS kills pid {pid}"),
    };
    Told { cause: fault.cause.to_string(), next }
}

fn unexpected(stop: &Stop) -> String {
    format!("the CPU stopped for another reason than a fault: {stop}")
}

/// So many bytes, in words.
pub(super) fn bytes(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} byte{plural}")
}

impl Accesses {
    fn access(&self, addr: u64) -> Result<Access> {
        let flags = if self.stack { AccessFlags::STACK } else { AccessFlags::empty() };
        Ok(Access::new(self.access.access_kind(), VirtAddr::new(addr), self.size()?)
            .with_privilege(Privilege::User)
            .with_flags(flags))
    }
}
