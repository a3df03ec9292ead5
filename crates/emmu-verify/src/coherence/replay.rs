//! The entries that a walk of the reference model reads, some of them remembered.

use super::{Manual, Query};
use core::cell::{Cell, RefCell};
use emmu_core::PhysAddr;
use emmu_oracle::{
    Hole, Memory, Outcome,
    reference::{SparseMemory, Write},
    two_stage::{Beyond, Visit},
};
use std::collections::BTreeSet;

/// An entry that a walk read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRead {
    /// Where it stands: in guest-physical memory, if it is the first of two stages that reads it.
    pub addr: PhysAddr,
    /// Where that was on the bus.
    pub host: PhysAddr,
    /// Its size in bytes: 4 or 8.
    pub size: u8,
    /// The value of the entry.
    pub raw: u64,
}

/// An entry that the unit says it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TracedRead {
    pub(super) level: u8,
    pub(super) addr: PhysAddr,
    pub(super) host: PhysAddr,
    /// The eight bytes there at that time.
    pub(super) held: u64,
}

/// Memory in which the first reads find what a walk found some time ago, and those after them what the unit says that
/// it has read.
pub(super) struct ReplayMemory<'a> {
    remembered: &'a [EntryRead],
    traced: &'a [TracedRead],
    memory: &'a SparseMemory,
    read: RefCell<Vec<EntryRead>>,
    /// Where the next entry stands in guest-physical memory.
    guest: Cell<Option<PhysAddr>>,
}

impl<'a> ReplayMemory<'a> {
    pub(super) fn new(
        remembered: &'a [EntryRead],
        traced: &'a [TracedRead],
        memory: &'a SparseMemory,
    ) -> Self {
        let (read, guest) = (RefCell::default(), Cell::new(None));
        Self { remembered, traced, memory, read, guest }
    }

    /// The entry at this guest-physical address is to be read: where it stands, if it is remembered.
    fn expect(&self, gpa: PhysAddr) -> Option<PhysAddr> {
        self.guest.set(Some(gpa));
        let next = self.remembered.get(self.read.borrow().len());
        next.filter(|entry| entry.addr == gpa).map(|entry| entry.host)
    }

    fn entry(
        &self,
        (host, size): (PhysAddr, u8),
        fresh: impl FnOnce() -> Result<u64, Hole>,
    ) -> Result<u64, Hole> {
        let addr = self.guest.take().unwrap_or(host);
        let mut read = self.read.borrow_mut();
        let known = match self.remembered.get(read.len()) {
            Some(entry) => Some((entry.addr, entry.host, entry.raw)),
            None => {
                let traced = self.traced.get(read.len() - self.remembered.len());
                traced.map(|traced| (traced.addr, traced.host, traced.held))
            }
        };
        let raw = match known {
            Some((at, on_bus, raw)) if (at, on_bus) == (addr, host) => raw,
            _ => fresh()?,
        };
        let raw = if size == 4 { raw & 0xffff_ffff } else { raw };
        read.push(EntryRead { addr, host, size, raw });
        Ok(raw)
    }
}

impl Memory for ReplayMemory<'_> {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        let raw = self.entry((addr, 4), || self.memory.read32(addr).map(u64::from))?;
        Ok(u32::try_from(raw).unwrap_or(0))
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.entry((addr, 8), || self.memory.read64(addr))
    }
}

/// A walk of the reference model.
#[derive(Clone)]
pub(super) struct Walked<F> {
    pub(super) result: Result<Outcome, F>,
    /// Another exception that may be reported instead, if the access is refused.
    pub(super) other: Option<F>,
    /// The entries that it changes, or may have changed before it is refused.
    pub(super) changes: Vec<Write>,
    /// The entries that it read, the root's first.
    pub(super) path: Vec<EntryRead>,
}

impl<F> Walked<F> {
    /// Returns true if the walk read all of these entries first.
    pub(super) fn follows(&self, remembered: &[EntryRead]) -> bool {
        let place = |entry: &EntryRead| entry.addr;
        self.path.len() >= remembered.len()
            && self.path.iter().map(place).zip(remembered).all(|(addr, entry)| addr == entry.addr)
    }

    /// Returns true if the walk read the same entry on several levels.
    pub(super) fn revisits(&self) -> bool {
        revisits(self.path.iter().map(|entry| entry.host))
    }

    /// The entries as they are after these updates, but the first `remembered` ones as they were remembered.
    pub(super) fn path_after(
        &self,
        remembered: usize,
        updates: &[(PhysAddr, u64)],
    ) -> Vec<EntryRead> {
        let (kept, read) = self.path.split_at(remembered.min(self.path.len()));
        let updated = |entry: &EntryRead| {
            let update = updates.iter().rev().find(|(host, _)| *host == entry.host);
            EntryRead { raw: update.map_or(entry.raw, |(_, raw)| *raw), ..*entry }
        };
        kept.iter().copied().chain(read.iter().map(updated)).collect()
    }
}

/// Returns the answer of the model if it reads the entries from the replay, and translates guest-physical addresses
/// with `second`, except those of remembered entries, whose places are remembered too.
pub(super) fn walk<A: Manual>(
    registers: &A,
    query: Query,
    replay: &ReplayMemory<'_>,
    second: Beyond<'_, A::Fault>,
) -> Walked<A::Fault> {
    let nested = match query {
        Query::First(access) => registers.first(access, replay, &|gpa, visit| {
            let known = if visit == Visit::WalkRead { replay.expect(gpa) } else { None };
            known.map_or_else(|| second(gpa, visit), |host| Ok(unpaged(host)))
        }),
        Query::Second { access, gpa, visit } => registers.second(access, (gpa, visit), replay),
    };
    Walked {
        result: nested.answer,
        other: nested.other,
        changes: nested.changes,
        path: replay.read.take(),
    }
}

/// Returns true if a place occurs twice.
pub(super) fn revisits(mut places: impl Iterator<Item = PhysAddr>) -> bool {
    let mut seen = BTreeSet::new();
    !places.all(|place| seen.insert(place))
}

/// A walk of the model with the second stage's own tables in memory.
pub(super) fn walk_alone<A: Manual>(
    registers: &A,
    now: &A,
    query: Query,
    remembered: &[EntryRead],
    memory: &SparseMemory,
) -> Walked<A::Fault> {
    let second = |gpa, visit| {
        now.second(query.access(), (gpa, visit), memory).answer.map(|found| unpaged(found.pa))
    };
    walk(registers, query, &ReplayMemory::new(remembered, &[], memory), &second)
}

/// An address that says nothing of a page around it.
pub(super) fn unpaged(pa: PhysAddr) -> Outcome {
    Outcome { pa, page_bits: 64, writes: Vec::new() }
}
