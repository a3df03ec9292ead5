//! `CachedPages`: the pages that one entry of a TLB may translate.

use super::WalkPath;
use crate::Run;
use crate::coherence::{EntryRead, Manual, Query};
use core::ops::RangeInclusive;
use emmu_core::{PhysAddr, low_mask};
use emmu_oracle::Outcome;

/// The page that a walk found, and the other pages of its run, for which its leaf entry stands too.
#[derive(Clone, PartialEq)]
pub(in crate::coherence) struct CachedPages {
    /// The address of the query, as [`Manual::place`] returns it.
    pub(super) at: u64,
    /// Log2 of the size of the page.
    bits: u32,
    run: Option<Run>,
    /// Pages of the run that were invalidated.
    invalidated: Vec<u64>,
}

impl CachedPages {
    /// Makes the pages that a walk over these entries found.
    pub(in crate::coherence) fn of<A: Manual>(
        query: Query,
        WalkPath { registers, path }: &WalkPath<A>,
        found: &Outcome,
    ) -> Self {
        let at = registers.place(query.addr());
        let leaf = path.last().map_or(0, |leaf| leaf.raw);
        let run = registers.run_of(query, leaf, found.page_bits);
        let run = run.filter(|run| fits(*run, at, found.pa));
        let bits = run.map_or(found.page_bits, |run| run.page_bits);
        Self { at, bits, run, invalidated: Vec::new() }
    }

    /// Returns log2 of the size in bytes of the page, or of its whole run.
    pub(super) fn whole_bits(&self) -> u32 {
        self.bits + self.run.map_or(0, |run| run.bits)
    }

    /// Returns true if the leaf entry belongs to a run.
    pub(super) const fn is_run(&self) -> bool {
        self.run.is_some()
    }

    pub(super) fn is_invalidated(&self, place: u64) -> bool {
        self.invalidated.contains(&self.page(place))
    }

    /// Returns the entries of the walk, with the leaf moved to the place of the leaf of another page of the run.
    pub(super) fn path_for(&self, path: &[EntryRead], place: u64) -> Vec<EntryRead> {
        let mut path = path.to_vec();
        if let (Some(run), Some(leaf)) = (self.run, path.last_mut()) {
            let number = |place| self.page(place) & low_mask(run.bits);
            let further = number(place).wrapping_sub(number(self.at));
            let moved = |addr: PhysAddr| {
                PhysAddr::new(addr.raw().wrapping_add(further.wrapping_mul(leaf.size.into())))
            };
            (leaf.addr, leaf.host) = (moved(leaf.addr), moved(leaf.host));
        }
        path
    }

    /// Returns the address to which the run maps this place, if the leaf maps the place of its own page to `pa`.
    pub(super) fn led(&self, pa: PhysAddr, place: u64) -> PhysAddr {
        let within = if self.is_run() { low_mask(self.whole_bits()) } else { 0 };
        PhysAddr::new(pa.raw() & !within | place & within)
    }

    /// Moves the outcome of a walk in the same way.
    pub(super) fn leads(&self, found: Outcome, place: u64) -> Outcome {
        Outcome { pa: self.led(found.pa, place), ..found }
    }

    /// Marks the pages of these addresses as invalidated, and returns true if none is left. A page goes as a whole if a
    /// part of it is invalidated, but a TLB may hold a run as single pages.
    pub(super) fn invalidate(&mut self, places: &RangeInclusive<u64>) -> bool {
        let invalidated = self.page(*places.start())..=self.page(*places.end());
        let Some(run) = self.run else { return invalidated.contains(&self.page(self.at)) };
        let start = shifted(self.page(self.at), run.bits) << run.bits;
        let pages = start..=start + low_mask(run.bits);
        self.invalidated.extend(pages.filter(|page| invalidated.contains(page)));
        false
    }

    /// Returns true if the pages contain one of these addresses.
    pub(super) fn is_met_by(&self, places: &RangeInclusive<u64>) -> bool {
        let whole = |place| shifted(place, self.whole_bits());
        (whole(*places.start())..=whole(*places.end())).contains(&whole(self.at))
    }

    fn page(&self, place: u64) -> u64 {
        shifted(place, self.bits)
    }
}

/// Returns true if the entry has the same place in its run as the address has. Otherwise the run is misprogrammed, and
/// the entry stands for itself.
fn fits(run: Run, place: u64, pa: PhysAddr) -> bool {
    let within = |addr| shifted(addr, run.page_bits) & low_mask(run.bits);
    within(place) == within(pa.raw())
}

pub(super) fn shifted(number: u64, bits: u32) -> u64 {
    number.checked_shr(bits).unwrap_or(0)
}
