//! Replacement policies: the list of all that are built in, and all that follows from the list.
//!
//! A policy is one file of this directory, which implements [`Rule`] and [`BuiltIn`], and one line of the list below.
//! Names, parameters, limits, snapshots and the book's table come from these two.

mod built_in;
mod drrip;
mod fifo;
mod list;
mod lru;
mod nru;
mod random;
mod rrip;
mod rule;
mod srrip;
mod stamps;
mod tree_plru;

pub use built_in::{Limit, Parameter};
pub(crate) use rule::{Rule, Shape};

use crate::own::{Own, Replace};

list::policies! {
    /// LRU: the least recently used way makes room. The order is exact, by time stamps.
    #[default]
    Lru => lru::Lru;
    /// Tree-PLRU: one bit per node of a binary tree over the ways points away from recent use.
    TreePlru => tree_plru::TreePlru;
    /// FIFO: the way that was filled first makes room.
    Fifo => fifo::Fifo;
    /// Random: a way is drawn from xoshiro256++, which yields the same numbers on every machine.
    Random {
        /// Seed of the draw.
        seed: u64,
    } => random::Random;
    /// SRRIP: static re-reference interval prediction with 2 bits a way (Jaleel et al., ISCA 2010, hit priority).
    Srrip => srrip::Srrip;
    /// NRU, also called bit-PLRU: one bit a way says that the way was used recently.
    Nru => nru::Nru;
    /// DRRIP: dynamic re-reference interval prediction, which duels SRRIP against BRRIP (Jaleel et al., ISCA 2010).
    Drrip {
        /// Seed of the draw by which BRRIP predicts a long interval for one fill in 32 on average; without a
        /// seed it does so for every 32nd fill exactly.
        seed: Option<u64>,
    } => drrip::Drrip;
}

/// The name of parameters that seed a draw.
const SEED: &str = "seed";

impl Policy {
    /// A policy of one's own.
    #[must_use]
    pub const fn own<R: Replace>() -> Self {
        Self::Own(Own::of::<R>())
    }

    /// Returns this policy with another value for one of its parameters, or `None` if it has no such parameter
    /// or the value is out of the parameter's range.
    ///
    /// ```
    /// use emmu_assoc::Policy;
    /// assert_eq!(Policy::Random { seed: 0 }.with("seed", 7), Some(Policy::Random { seed: 7 }));
    /// assert_eq!(Policy::Lru.with("seed", 7), None);
    /// ```
    #[must_use]
    pub fn with(mut self, parameter: &str, value: u64) -> Option<Self> {
        self.set(parameter, value).then_some(self)
    }

    /// Returns this policy with other random numbers: its seed, if it has one, exclusive-or `seed`.
    #[must_use]
    pub fn reseeded(self, seed: u64) -> Self {
        let own = self.parameters().into_iter().find(|parameter| parameter.name == SEED);
        let reseeded = own.and_then(|own| self.with(SEED, own.value? ^ seed));
        reseeded.unwrap_or(self)
    }
}

/// A table's replacement policy at work: the state of all sets.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    shape: Shape,
    state: State,
}

/// LRU, which nearly all tables have, is asked in line, and all others out of its way.
impl Replacement {
    pub(crate) fn new(policy: Policy, shape: Shape) -> Self {
        Self { shape, state: State::new(policy, &shape) }
    }

    /// A lookup found this slot.
    #[inline]
    pub(crate) fn hit(&mut self, slot: usize) {
        match &mut self.state {
            State::Lru(lru) => lru.hit(slot, &self.shape),
            state => state.hit(slot, &self.shape),
        }
    }

    /// This slot got a new entry.
    #[inline]
    pub(crate) fn filled(&mut self, slot: usize) {
        match &mut self.state {
            State::Lru(lru) => lru.filled(slot, &self.shape),
            state => state.filled(slot, &self.shape),
        }
    }

    /// The way of `set` to evict when all ways hold something.
    #[inline]
    pub(crate) fn victim(&mut self, set: usize) -> usize {
        match &mut self.state {
            State::Lru(lru) => lru.victim(set, &self.shape),
            state => state.victim(set, &self.shape),
        }
    }
}

#[cfg(feature = "serde")]
impl Replacement {
    /// The state as a snapshot holds it.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// The policy with the state of a snapshot, or `None` if the policy can never be in that state.
    pub(crate) fn restore(policy: Policy, shape: Shape, state: State) -> Option<Self> {
        state.is_sound(policy, &shape).then_some(Self { shape, state })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec::Vec;

    /// Returns the victim of one 4-way set after its ways were filled in order and these ways were hit.
    pub(crate) fn victim_after(policy: Policy, hits: &[usize]) -> usize {
        let mut replacement = Replacement::new(policy, Shape::new(1, 4));
        (0..4).for_each(|way| replacement.filled(way));
        hits.iter().for_each(|&way| replacement.hit(way));
        replacement.victim(0)
    }

    #[test]
    fn a_direct_mapped_table_always_evicts_its_only_way() {
        for &policy in Policy::BUILT_IN {
            let mut replacement = Replacement::new(policy, Shape::new(2, 1));
            replacement.filled(0);
            replacement.hit(0);
            assert_eq!(replacement.victim(0), 0, "{}", policy.name());
        }
    }

    #[test]
    fn every_policy_names_a_way_of_the_set() {
        for &policy in Policy::BUILT_IN {
            let mut replacement = Replacement::new(policy, Shape::new(4, 8));
            for round in 0..200 {
                let (set, victim) = (round % 4, replacement.victim(round % 4));
                assert!(victim < 8, "{}", policy.name());
                replacement.filled(set * 8 + victim);
                replacement.hit(set * 8 + round / 4 % 8);
            }
        }
    }

    #[test]
    fn every_policy_has_a_name_of_its_own() {
        let mut names: Vec<_> = Policy::BUILT_IN.iter().map(|policy| policy.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Policy::BUILT_IN.len());
    }

    #[test]
    fn a_parameter_reads_back_as_it_was_set() {
        for &policy in Policy::BUILT_IN {
            for parameter in policy.parameters() {
                let set = policy.with(parameter.name, 7).unwrap();
                let read = set.parameters().into_iter().find(|read| read.name == parameter.name);
                assert_eq!(read.unwrap().value, Some(7), "{}", policy.name());
            }
            assert_eq!(policy.with("nonsense", 7), None);
        }
    }

    #[test]
    fn a_seed_changes_policies_that_draw_and_no_other() {
        assert_eq!(Policy::Random { seed: 5 }.reseeded(1), Policy::Random { seed: 4 });
        assert_eq!(Policy::Drrip { seed: Some(5) }.reseeded(1), Policy::Drrip { seed: Some(4) });
        for policy in [Policy::Lru, Policy::Drrip { seed: None }] {
            assert_eq!(policy.reseeded(1), policy);
        }
    }
}
