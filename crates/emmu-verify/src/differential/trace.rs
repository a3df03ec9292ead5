//! `Trace`: the entries that a unit reads and changes for one access, as its events report them.

use super::{Mismatch, same};
use emmu_core::{Event, FaultEntry, GuestAccess, PhysAddr, Side, TlbId};
use emmu_oracle::two_stage::Stage;

/// An entry that a unit reports as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TracedRead {
    pub(super) stage: Stage,
    pub(super) entry: FaultEntry,
    /// The guest-physical access that the second stage translates, if the entry is one of the second stage.
    pub(super) guest: Option<GuestAccess>,
}

/// The entries that a unit reports as read and as changed.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The entries read, in order.
    pub(super) reads: Vec<TracedRead>,
    /// The entries changed, in order: their stage, address and new value.
    pub(super) updates: Vec<(Stage, PhysAddr, u64)>,
    /// True if the second stage translated at least one address for the access.
    pub(super) nested: bool,
    /// Number of walks under way, of each stage.
    walks: [u32; 2],
    second: Option<GuestAccess>,
}

impl Trace {
    /// Makes a trace of the events of one access, and checks their order: second-stage translations begin and end one
    /// after the other, and each stage has its own walks and TLBs.
    pub(super) fn of(events: &[Event]) -> Result<Self, Mismatch> {
        let mut trace = Self::default();
        for event in events {
            let sound = trace.record(event);
            same("event in its place", &(*event, true), &(*event, sound))?;
        }
        same("stages and walks left open", &(None, [0, 0]), &(trace.second, trace.walks))?;
        Ok(trace)
    }

    /// Adds an event. Returns true if an event of this kind can come at this point.
    fn record(&mut self, event: &Event) -> bool {
        let (stage, second) = (self.stage(), self.second);
        match *event {
            Event::SecondStage(guest) => {
                (self.second, self.nested) = (Some(guest), true);
                // In the midst of something that it is needed for.
                second.is_none() && self.walks[0] > 0
            }
            Event::SecondStageEnd => {
                second.is_some() && self.second.take() == second && self.walks[1] == 0
            }
            Event::WalkBegin(_) => self.walk(1),
            Event::WalkEnd { .. } => self.walk(-1),
            Event::EntryRead { level, addr, raw } => {
                let entry = FaultEntry { level, addr, raw: Some(raw) };
                self.reads.push(TracedRead { stage, entry, guest: second });
                self.is_walking()
            }
            Event::EntryUpdate { addr, raw, .. } => {
                self.updates.push((stage, addr, raw));
                self.is_walking()
            }
            Event::TlbHit { tlb, .. } | Event::TlbMiss { tlb, .. } | Event::TlbFill { tlb, .. } => {
                is_of_second(tlb) == second.is_some()
            }
            Event::WalkCacheHit { .. } | Event::WalkCacheMiss => self.is_walking(),
            _ => false,
        }
    }

    fn stage(&self) -> Stage {
        if self.second.is_some() { Stage::Second } else { Stage::First }
    }

    fn is_walking(&self) -> bool {
        self.walks[usize::from(self.second.is_some())] == 1
    }

    /// Begins or ends a walk. Returns true if the stage then has at most one walk.
    fn walk(&mut self, by: i32) -> bool {
        let walks = &mut self.walks[usize::from(self.second.is_some())];
        let sum = walks.checked_add_signed(by);
        *walks = sum.unwrap_or(0);
        sum.is_some_and(|walks| walks <= 1)
    }

    /// Returns the entry that this stage read last.
    pub(super) fn last_of(&self, stage: Stage) -> Option<FaultEntry> {
        self.reads.iter().rev().find(|traced| traced.stage == stage).map(|traced| traced.entry)
    }
}

fn is_of_second(tlb: TlbId) -> bool {
    tlb.side == Side::SecondStage
}
