//! Replays walks of the reference model, which read some entries as a cache holds them.

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
    /// The address of the entry: guest-physical, if the first of two stages reads it.
    pub addr: PhysAddr,
    /// The address of the entry on the bus at that time.
    pub host: PhysAddr,
    /// The size of the entry in bytes: 4 or 8.
    pub size: u8,
    /// The value of the entry.
    pub raw: u64,
}

/// An entry that the unit reports as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TracedRead {
    pub(super) level: u8,
    pub(super) addr: PhysAddr,
    pub(super) host: PhysAddr,
    /// The eight bytes at the address at that time.
    pub(super) held: u64,
}

/// Memory that answers the first reads with the cached entries of an earlier walk, and the next reads with the entries
/// that the unit reports as read.
pub(super) struct ReplayMemory<'a> {
    cached: &'a [EntryRead],
    traced: &'a [TracedRead],
    memory: &'a SparseMemory,
    read: RefCell<Vec<EntryRead>>,
    /// The guest-physical address of the next entry.
    guest: Cell<Option<PhysAddr>>,
}

impl<'a> ReplayMemory<'a> {
    pub(super) fn new(
        cached: &'a [EntryRead],
        traced: &'a [TracedRead],
        memory: &'a SparseMemory,
    ) -> Self {
        let (read, guest) = (RefCell::default(), Cell::new(None));
        Self { cached, traced, memory, read, guest }
    }

    /// Takes note of the guest-physical address of the next entry. Returns the entry's address on the bus, if the entry
    /// is cached.
    fn expect(&self, gpa: PhysAddr) -> Option<PhysAddr> {
        self.guest.set(Some(gpa));
        let next = self.cached.get(self.read.borrow().len());
        next.filter(|entry| entry.addr == gpa).map(|entry| entry.host)
    }

    fn entry(
        &self,
        (host, size): (PhysAddr, u8),
        fresh: impl FnOnce() -> Result<u64, Hole>,
    ) -> Result<u64, Hole> {
        let addr = self.guest.take().unwrap_or(host);
        let mut read = self.read.borrow_mut();
        let known = match self.cached.get(read.len()) {
            Some(entry) => Some((entry.addr, entry.host, entry.raw)),
            None => {
                let traced = self.traced.get(read.len() - self.cached.len());
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
    /// The entries that the walk changes, or may have changed before it is refused.
    pub(super) changes: Vec<Write>,
    /// The entries that the walk read, the root's first.
    pub(super) path: Vec<EntryRead>,
}

impl<F> Walked<F> {
    /// Returns true if the walk read all of these entries first.
    pub(super) fn follows(&self, cached: &[EntryRead]) -> bool {
        let place = |entry: &EntryRead| entry.addr;
        self.path.len() >= cached.len()
            && self.path.iter().map(place).zip(cached).all(|(addr, entry)| addr == entry.addr)
    }

    /// Returns true if the walk read the same entry on several levels.
    pub(super) fn revisits(&self) -> bool {
        revisits(self.path.iter().map(|entry| entry.host))
    }

    /// Returns the entries after these updates, except the first `cached` ones, which stay as they were.
    pub(super) fn path_after(&self, cached: usize, updates: &[(PhysAddr, u64)]) -> Vec<EntryRead> {
        let (kept, read) = self.path.split_at(cached.min(self.path.len()));
        let updated = |entry: &EntryRead| {
            let update = updates.iter().rev().find(|(host, _)| *host == entry.host);
            EntryRead { raw: update.map_or(entry.raw, |(_, raw)| *raw), ..*entry }
        };
        kept.iter().copied().chain(read.iter().map(updated)).collect()
    }
}

/// Returns the answer of the model that reads the entries from the replay. `second` translates guest-physical
/// addresses, except those of cached entries, whose addresses on the bus are cached too.
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

/// Returns the walk of the model that uses the second stage's tables in memory.
pub(super) fn walk_alone<A: Manual>(
    registers: &A,
    now: &A,
    query: Query,
    cached: &[EntryRead],
    memory: &SparseMemory,
) -> Walked<A::Fault> {
    let second = |gpa, visit| {
        now.second(query.access(), (gpa, visit), memory).answer.map(|found| unpaged(found.pa))
    };
    walk(registers, query, &ReplayMemory::new(cached, &[], memory), &second)
}

/// Returns an outcome with this address, which makes no statement about the size of the page.
pub(super) fn unpaged(pa: PhysAddr) -> Outcome {
    Outcome { pa, page_bits: 64, writes: Vec::new() }
}
