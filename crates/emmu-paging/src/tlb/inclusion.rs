//! Levels of TLB that include or exclude what is above them.

use super::{Cached, Hit, Level, Query, Tlbs, bank::Block};
use crate::{Evicted, Inclusion, owner::Owners};
use alloc::vec::Vec;
use emmu_core::{AccessKind, Probe};

impl<P: Copy + Default> Tlbs<P> {
    /// Fills the levels above the one that has it, or all of them, from the lowest to the first. If the level that has
    /// it excludes the one above, and that takes all of it, it moves.
    #[inline(never)]
    pub(super) fn fill_bound(
        &mut self,
        below: usize,
        found: Cached<P>,
        known: bool,
        query: Query,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        let kind = query.access.kind;
        if below < self.levels.len() && self.passes_by(below, found.bits, kind) {
            self.levels[below].bank(kind).invalidate_hit(query);
        }
        let mut first = None;
        for level in (0..below).rev() {
            let passes = self.passes_by(level, found.bits, kind);
            let bank = self.levels[level].bank(kind);
            let mut replaced = if known { bank.held_for(query) } else { Vec::new() };
            let mut evicted = None;
            if passes {
                replaced.iter().for_each(|&block| bank.invalidate(block));
            } else {
                first = bank.fill(found, known, query, probe, |assoc, tag, owner, held| {
                    let (slot, gone) = assoc.fill_evicting(tag, owner, held, owners);
                    evicted = gone;
                    slot
                });
            }
            replaced.retain(|&block| !bank.holds(block));
            replaced.into_iter().for_each(|block| self.back_invalidate(level, block, kind));
            self.let_go(level, evicted, kind, owners, probe);
        }
        Hit { mapping: found, first }
    }

    /// Returns true if a mapping of 2^`bits` bytes need not enter this level, which excludes the level above:
    /// the part of it that the level above takes is as large.
    fn passes_by(&mut self, level: usize, bits: u8, kind: AccessKind) -> bool {
        let Some(above) = level.checked_sub(1) else { return false };
        let [above, level] = match self.levels.get_disjoint_mut([above, level]) {
            Ok(levels) => levels,
            Err(_) => return false,
        };
        level.inclusion == Inclusion::Exclusive
            && above.bank(kind).size_of(bits) >= level.bank(kind).size_of(bits)
    }

    /// Lets a victim take effect in other levels: it leaves the levels above if the level includes them, and
    /// enters the next level if that excludes the level; and so on.
    fn let_go(
        &mut self,
        mut level: usize,
        mut evicted: Option<Evicted<Cached<P>>>,
        kind: AccessKind,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) {
        while let Some(gone) = evicted {
            self.back_invalidate(level, Block::of(&gone), kind);
            level += 1;
            evicted = match self.levels.get_mut(level) {
                Some(below) if below.inclusion == Inclusion::Exclusive => {
                    below.bank(kind).take_in(gone, owners, probe)
                }
                _ => None,
            };
        }
    }

    /// Invalidates in all levels above an inclusive one what that one holds no longer.
    fn back_invalidate(&mut self, level: usize, block: Block, kind: AccessKind) {
        let (above, level) = self.levels.split_at_mut(level);
        let Some(Level { instruction, inclusion: Inclusion::Inclusive, .. }) = level.first() else {
            return;
        };
        let is_unified = instruction.is_none();
        for level in above {
            match is_unified {
                true => level.banks_mut().for_each(|bank| bank.invalidate_within(block)),
                false => level.bank(kind).invalidate_within(block),
            }
        }
    }
}
