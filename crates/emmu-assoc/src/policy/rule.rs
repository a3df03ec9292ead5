//! Interfaces of replacement policies: what every policy does, and what is known of those that are built in.

use super::Limit;
use core::ops::Range;

/// The numbers of sets and ways, and where their slots are: slots are numbered set by set, each set's first at a
/// multiple of four.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) sets: usize,
    pub(crate) ways: usize,
    /// The distance between the first slots of two sets.
    pub(crate) stride: usize,
}

impl Shape {
    pub(crate) const fn new(sets: usize, ways: usize) -> Self {
        Self { sets, ways, stride: ways.next_multiple_of(4) }
    }

    /// The number of slots, with those that no way has.
    pub(crate) const fn slots(self) -> usize {
        self.sets * self.stride
    }

    /// The slots of a set's ways.
    pub(crate) const fn slots_of(self, set: usize) -> Range<usize> {
        set * self.stride..set * self.stride + self.ways
    }

    pub(crate) const fn set_of(self, slot: usize) -> usize {
        slot / self.stride
    }

    pub(crate) const fn way_of(self, slot: usize) -> usize {
        slot % self.stride
    }
}

/// The state of a replacement policy for all sets of one table.
///
/// A policy hears of hits, fills and evictions only. An entry that is invalidated leaves its way vacant, and the next
/// fill of the set goes there without asking the policy.
pub(crate) trait Rule {
    /// A lookup found this slot.
    fn hit(&mut self, slot: usize, shape: &Shape);

    /// This slot got a new entry.
    fn filled(&mut self, slot: usize, shape: &Shape);

    /// The way of `set` to evict; all ways hold something.
    fn victim(&mut self, set: usize, shape: &Shape) -> usize;
}

/// A policy that is built in.
pub(crate) trait BuiltIn: Rule + Sized {
    /// The name in machine descriptions.
    const NAME: &'static str;

    /// One sentence on its behaviour, which the book shows.
    const SUMMARY: &'static str;

    /// Numbers of sets that the policy can have.
    const SETS: Limit = Limit::ANY;

    /// Numbers of ways that the policy can have.
    const WAYS: Limit = Limit::ANY;

    /// The values of its parameters.
    type Parameters: Copy;

    /// The state of an empty table.
    fn new(parameters: Self::Parameters, shape: &Shape) -> Self;

    /// Returns whether the policy can ever be in this state.
    #[cfg_attr(not(any(test, feature = "serde")), expect(dead_code, reason = "only snapshots ask"))]
    fn is_sound(&self, parameters: Self::Parameters, shape: &Shape) -> bool;
}
