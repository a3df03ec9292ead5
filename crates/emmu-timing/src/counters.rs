//! Counters: how often each event happened.

mod report;

pub use report::{
    CountersReport, KindCounts, PerThousand, SecondStageReport, TlbReport, TransferReport,
    WalkCacheReport, WalkReport,
};

use crate::{Account, ByAccount, ratio};
use emmu_core::{Access, AccessKind, Cause, Event, Invalidate, Probe, Side, TlbId};

/// The number of TLB levels and table levels that have counters of their own. Higher levels count as the
/// highest of these.
pub(crate) const MAX_LEVELS: usize = 8;
/// The largest number of entry reads that is counted apart. Walks with more count with it.
const MAX_READS: usize = 63;

/// A probe that counts events.
///
/// A *reference* is one `Access` of the CPU. An access that the CPU repeats after a repair counts as a restart
/// and not as a reference, but its lookups count as lookups.
///
/// ```
/// use emmu_core::{Access, Event, Privilege, Probe, Side, TlbId, VirtAddr};
/// use emmu_timing::{Account, Counters};
///
/// let access = Access::load(VirtAddr::new(0x1000), 8).with_privilege(Privilege::User);
/// let dtlb = TlbId { level: 1, side: Side::Data };
/// let mut counters = Counters::default();
/// counters.on(Event::Access(access));
/// counters.on(Event::TlbMiss { tlb: dtlb, access });
/// assert_eq!(counters.references()[Account::User], 1);
/// assert_eq!(counters.tlb(dtlb).misses[Account::User], 1);
/// assert_eq!(counters.tlb(dtlb).hit_ratio(), Some(0.0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    references: ByAccount<[u64; 4]>,
    restarts: ByAccount<u64>,
    /// The TLBs, by level and then by side.
    tlbs: [[TlbCounts; 4]; MAX_LEVELS],
    walks: WalkCounts,
    second_stage: WalkCounts,
    in_second_stage: bool,
    /// In the order of [`Cause::ALL`].
    faults: [u64; Cause::ALL.len()],
    traps_entered: u64,
    traps_returned: u64,
    /// In the order of [`Invalidate::NAMES`].
    invalidations: [u64; Invalidate::NAMES.len()],
    register_writes: u64,
    transfers: ByAccount<[u64; 4]>,
    bytes: ByAccount<[u64; 4]>,
}

/// The counts of one TLB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlbCounts {
    /// Lookups that found the page.
    pub hits: ByAccount<u64>,
    /// Lookups that did not find the page.
    pub misses: ByAccount<u64>,
    /// Translations that entered the TLB.
    pub fills: u64,
}

impl TlbCounts {
    /// Returns the sum of hits and misses.
    #[must_use]
    pub const fn lookups(&self) -> u64 {
        self.hits.total() + self.misses.total()
    }

    /// Returns the hits per lookup, or `None` if there were no lookups.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio::of(self.hits.total(), self.lookups())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct WalkCounts {
    begun: ByAccount<u64>,
    faulted: u64,
    cache_hits: [u64; MAX_LEVELS],
    cache_misses: u64,
    reads: [u64; MAX_LEVELS],
    updates: [u64; MAX_LEVELS],
    /// Finished walks, by the number of entries that they read.
    by_reads: [u64; MAX_READS + 1],
    reads_of_this: usize,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            references: ByAccount::default(),
            restarts: ByAccount::default(),
            tlbs: Default::default(),
            walks: WalkCounts::NONE,
            second_stage: WalkCounts::NONE,
            in_second_stage: false,
            faults: [0; Cause::ALL.len()],
            traps_entered: 0,
            traps_returned: 0,
            invalidations: [0; Invalidate::NAMES.len()],
            register_writes: 0,
            transfers: ByAccount::default(),
            bytes: ByAccount::default(),
        }
    }
}

impl Probe for Counters {
    // The events of an access that hits are inlined into the fast path of the CPU; the others are not.
    #[inline(always)]
    fn on(&mut self, event: Event) {
        match event {
            Event::Access(access) => {
                self.references[account(access)][access.kind as usize] += 1;
            }
            Event::TlbHit { tlb, access } => self.tlb_mut(tlb).hits[account(access)] += 1,
            Event::Transfer { access, .. } => {
                self.transfers[account(access)][access.kind as usize] += 1;
                self.bytes[account(access)][access.kind as usize] += u64::from(access.size);
            }
            event => self.on_others(event),
        }
    }
}

impl Counters {
    /// Sets all counts to 0.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Returns the references of each account, of all kinds.
    #[must_use]
    pub fn references(&self) -> ByAccount<u64> {
        self.references.map(|kinds| kinds.iter().sum())
    }

    /// Returns the references of one kind, by account.
    #[must_use]
    pub fn references_of(&self, kind: AccessKind) -> ByAccount<u64> {
        self.references.map(|kinds| kinds[kind as usize])
    }

    /// Returns the counts of one TLB. They are 0 for a TLB that does not exist.
    #[must_use]
    pub fn tlb(&self, tlb: TlbId) -> TlbCounts {
        self.tlbs[tlb_level_index(tlb)][tlb.side as usize]
    }

    /// Returns every TLB at which anything happened, by level and side.
    pub fn tlbs(&self) -> impl Iterator<Item = (TlbId, TlbCounts)> {
        const SIDES: [Side; 4] = [Side::Instruction, Side::Data, Side::Unified, Side::SecondStage];
        (1..)
            .zip(&self.tlbs)
            .flat_map(|(level, sides)| {
                let sides = SIDES.into_iter().zip(sides);
                sides.map(move |(side, counts)| (TlbId { level, side }, *counts))
            })
            .filter(|(_, counts)| *counts != TlbCounts::default())
    }

    /// Returns the number by which MPKI values divide: the instructions of the program, which are its fetches,
    /// or its references if the trace has no fetches.
    #[must_use]
    pub fn per_thousand(&self) -> PerThousand {
        match self.references_of(AccessKind::Fetch)[Account::User] {
            0 => PerThousand::References { count: self.references()[Account::User] },
            count => PerThousand::Instructions { count },
        }
    }

    /// Returns the program's misses at one TLB per thousand of [`Counters::per_thousand`] (MPKI), or `None` if
    /// that number is 0. Misses of the kernel do not count.
    #[must_use]
    pub fn mpki(&self, tlb: TlbId) -> Option<f64> {
        ratio::per_thousand(self.tlb(tlb).misses[Account::User], self.per_thousand().count())
    }

    /// Returns the number of walks that the accesses of each account began.
    #[must_use]
    pub const fn walks(&self) -> ByAccount<u64> {
        self.walks.begun
    }

    /// Returns the number of entries read at each level; 0 is the level of the smallest pages.
    #[must_use]
    pub const fn entry_reads(&self) -> [u64; 8] {
        self.walks.reads
    }

    /// Returns the number of second-stage walks that the accesses of each account began.
    #[must_use]
    pub const fn second_stage_walks(&self) -> ByAccount<u64> {
        self.second_stage.begun
    }

    /// Returns the number of second-stage entries read at each level.
    #[must_use]
    pub const fn second_stage_entry_reads(&self) -> [u64; 8] {
        self.second_stage.reads
    }

    /// Returns the entry reads per walk, or `None` if there were no walks.
    #[must_use]
    pub fn references_per_walk(&self) -> Option<f64> {
        self.walks.reads_per_walk()
    }

    /// Returns the number of refused accesses, by [`Cause`]. All bus errors count as one cause.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Cause::ALL.iter().map(|cause| cause.name()).zip(self.faults)
    }

    /// Returns the number of invalidations, by the name of their scope.
    fn invalidations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Invalidate::NAMES.iter().copied().zip(self.invalidations)
    }

    #[inline(never)]
    fn on_others(&mut self, event: Event) {
        match event {
            Event::TlbMiss { tlb, access } => self.tlb_mut(tlb).misses[account(access)] += 1,
            Event::TlbFill { tlb, .. } => self.tlb_mut(tlb).fills += 1,
            Event::SecondStage(_) => self.in_second_stage = true,
            Event::SecondStageEnd => self.in_second_stage = false,
            Event::WalkBegin(access) => self.stage_mut().begin(access),
            Event::WalkCacheHit { level } => {
                self.stage_mut().cache_hits[level_index(level)] += 1;
            }
            Event::WalkCacheMiss => self.stage_mut().cache_misses += 1,
            Event::EntryRead { level, .. } => self.stage_mut().read(level),
            Event::EntryUpdate { level, .. } => self.stage_mut().updates[level_index(level)] += 1,
            Event::WalkEnd { faulted } => self.stage_mut().end(faulted),
            Event::Restart(access) => self.restarts[account(access)] += 1,
            Event::Fault { cause, .. } => count(&mut self.faults, cause_index(cause)),
            Event::TrapEnter => self.traps_entered += 1,
            Event::TrapReturn => self.traps_returned += 1,
            Event::RegisterWrite(_) => self.register_writes += 1,
            Event::Invalidate(scope) => count(&mut self.invalidations, scope_index(scope)),
            // `on` has counted these itself.
            _ => {}
        }
    }

    /// Returns the walk counts of the stage whose events are being told.
    fn stage_mut(&mut self) -> &mut WalkCounts {
        if self.in_second_stage { &mut self.second_stage } else { &mut self.walks }
    }

    #[inline]
    fn tlb_mut(&mut self, tlb: TlbId) -> &mut TlbCounts {
        &mut self.tlbs[tlb_level_index(tlb)][tlb.side as usize]
    }
}

impl WalkCounts {
    const NONE: Self = Self {
        begun: ByAccount::new(0, 0),
        faulted: 0,
        cache_hits: [0; MAX_LEVELS],
        cache_misses: 0,
        reads: [0; MAX_LEVELS],
        updates: [0; MAX_LEVELS],
        by_reads: [0; MAX_READS + 1],
        reads_of_this: 0,
    };

    fn begin(&mut self, access: Access) {
        self.begun[account(access)] += 1;
        self.reads_of_this = 0;
    }

    fn read(&mut self, level: u8) {
        self.reads[level_index(level)] += 1;
        self.reads_of_this += 1;
    }

    fn reads_per_walk(&self) -> Option<f64> {
        ratio::of(self.reads.iter().sum(), self.begun.total())
    }

    fn end(&mut self, faulted: bool) {
        self.faulted += u64::from(faulted);
        self.by_reads[self.reads_of_this.min(MAX_READS)] += 1;
    }
}

#[inline]
pub(crate) fn account(access: Access) -> Account {
    Account::of(access.privilege)
}

/// Returns the index of a TLB's level. TLB levels count from 1.
#[inline]
pub(crate) fn tlb_level_index(tlb: TlbId) -> usize {
    level_index(tlb.level.saturating_sub(1))
}

#[inline]
pub(crate) fn level_index(level: u8) -> usize {
    usize::from(level).min(MAX_LEVELS - 1)
}

/// Adds one to the count at this place, if there is such a place.
fn count(counts: &mut [u64], place: Option<usize>) {
    if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
        *count += 1;
    }
}

/// Returns the place of a cause in [`Cause::ALL`].
fn cause_index(cause: Cause) -> Option<usize> {
    Cause::ALL.iter().position(|known| known.name() == cause.name())
}

/// Returns the place of a scope in [`Invalidate::NAMES`].
fn scope_index(scope: Invalidate) -> Option<usize> {
    Invalidate::NAMES.iter().position(|name| *name == scope.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new event needs a decision here whether it is counted, and in `cycles.rs` whether it is priced.
    #[test]
    fn every_event_is_counted() {
        let counted = [
            "access",
            "restart",
            "tlb_hit",
            "tlb_miss",
            "tlb_fill",
            "walk_begin",
            "walk_cache_hit",
            "walk_cache_miss",
            "entry_read",
            "entry_update",
            "walk_end",
            "second_stage",
            "second_stage_end",
            "transfer",
            "fault",
            "trap_enter",
            "trap_return",
            "register_write",
            "invalidate",
        ];
        assert_eq!(Event::NAMES, counted);
    }

    #[test]
    fn faults_are_counted_by_cause() {
        let access = Access::load(emmu_core::VirtAddr::ZERO, 1);
        let mut counters = Counters::default();
        for &cause in Cause::ALL {
            counters.on(Event::Fault { access, cause });
        }
        let names: Vec<_> = counters.faults().filter(|&(_, count)| count == 1).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        assert_eq!(names[4], ("absent", 1));
    }
}
