//! Which way of a set makes room for a new entry.

use alloc::{vec, vec::Vec};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

/// A replacement policy, as a machine description names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The least recently used way goes: exact order, by time stamps.
    #[default]
    Lru,
    /// One bit per node of a binary tree over the ways points away from recent use. The number of ways must
    /// be a power of two, 64 at most.
    TreePlru,
    /// The way filled longest ago goes.
    Fifo,
    /// Any way, drawn from xoshiro256++ seeded with this number: the same on every machine.
    Random {
        /// Seed of the draw.
        seed: u64,
    },
    /// Static re-reference interval prediction with 2 bits (Jaleel et al., ISCA 2010, hit priority): a hit
    /// predicts near, a fill predicts long, the first way predicted distant goes.
    Srrip,
}

/// What a policy remembers of every slot. Slots are numbered set by set: `set * ways + way`.
#[derive(Clone, Debug)]
pub(crate) enum Replacement {
    Lru(Stamps),
    Fifo(Stamps),
    TreePlru(Vec<u64>),
    Random(Xoshiro256PlusPlus),
    Srrip(Vec<u8>),
}

/// The time of every slot's last use (or fill), as the number of uses before it.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    now: u64,
    of: Vec<u64>,
}

impl Stamps {
    fn new(slots: usize) -> Self {
        Self { now: 0, of: vec![0; slots] }
    }

    #[inline]
    fn stamp(&mut self, slot: usize) {
        self.now += 1;
        self.of[slot] = self.now;
    }

    fn oldest(&self, first: usize, ways: usize) -> usize {
        let set = &self.of[first..first + ways];
        set.iter().enumerate().min_by_key(|&(_, stamp)| stamp).map_or(0, |(way, _)| way)
    }
}

/// SRRIP's prediction of a slot just filled, and the largest one.
const LONG: u8 = 2;
const DISTANT: u8 = 3;

impl Replacement {
    pub(crate) fn new(policy: Policy, sets: usize, ways: usize) -> Self {
        match policy {
            Policy::Lru => Self::Lru(Stamps::new(sets * ways)),
            Policy::Fifo => Self::Fifo(Stamps::new(sets * ways)),
            Policy::TreePlru => Self::TreePlru(vec![0; sets]),
            Policy::Random { seed } => Self::Random(Xoshiro256PlusPlus::seed_from_u64(seed)),
            Policy::Srrip => Self::Srrip(vec![DISTANT; sets * ways]),
        }
    }

    /// A lookup found this slot.
    #[inline]
    pub(crate) fn hit(&mut self, slot: usize, ways: usize) {
        match self {
            Self::Lru(stamps) => stamps.stamp(slot),
            Self::TreePlru(sets) => point_away(&mut sets[slot / ways], slot % ways, ways),
            Self::Srrip(predictions) => predictions[slot] = 0,
            Self::Fifo(_) | Self::Random(_) => {}
        }
    }

    /// This slot got a new entry.
    pub(crate) fn filled(&mut self, slot: usize, ways: usize) {
        match self {
            Self::Lru(stamps) | Self::Fifo(stamps) => stamps.stamp(slot),
            Self::TreePlru(sets) => point_away(&mut sets[slot / ways], slot % ways, ways),
            Self::Srrip(predictions) => predictions[slot] = LONG,
            Self::Random(_) => {}
        }
    }

    /// The way of `set` to evict when all hold something.
    pub(crate) fn victim(&mut self, set: usize, ways: usize) -> usize {
        let first = set * ways;
        match self {
            Self::Lru(stamps) | Self::Fifo(stamps) => stamps.oldest(first, ways),
            Self::TreePlru(sets) => pointed_at(sets[set], ways),
            Self::Random(source) => draw(source, ways),
            Self::Srrip(predictions) => most_distant(&mut predictions[first..first + ways]),
        }
    }
}

/// Sets the tree's bits on the path to `way` so that each points to the other half. Node 1 is the root, the
/// children of node n are 2n and 2n + 1; a bit set means "to the right".
#[inline]
fn point_away(tree: &mut u64, way: usize, ways: usize) {
    let mut node = way + ways;
    while node > 1 {
        let went_right = node & 1;
        node >>= 1;
        *tree = *tree & !(1 << node) | ((1 ^ went_right as u64) << node);
    }
}

/// Follows the tree's bits from the root to a way.
fn pointed_at(tree: u64, ways: usize) -> usize {
    let mut node = 1;
    while node < ways {
        node = node << 1 | usize::from(tree >> node & 1 == 1);
    }
    node - ways
}

/// A number below `ways`: the high half of a 32 × 32-bit product, which needs no division.
fn draw(source: &mut Xoshiro256PlusPlus, ways: usize) -> usize {
    let product = u64::from(source.next_u32()) * ways as u64;
    usize::try_from(product >> 32).unwrap_or(0)
}

/// Ages the whole set until a way is predicted distant; the first such way.
fn most_distant(predictions: &mut [u8]) -> usize {
    let farthest = predictions.iter().copied().max().unwrap_or(DISTANT);
    for prediction in predictions.iter_mut() {
        *prediction += DISTANT - farthest;
    }
    predictions.iter().position(|&prediction| prediction == DISTANT).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Victims of one 4-way set after the hits given, all ways having been filled in order.
    fn victim_after(policy: Policy, hits: &[usize]) -> usize {
        let mut replacement = Replacement::new(policy, 1, 4);
        (0..4).for_each(|way| replacement.filled(way, 4));
        hits.iter().for_each(|&way| replacement.hit(way, 4));
        replacement.victim(0, 4)
    }

    #[test]
    fn lru_evicts_the_way_unused_for_longest() {
        assert_eq!(victim_after(Policy::Lru, &[0, 2, 1]), 3);
    }

    #[test]
    fn fifo_ignores_hits() {
        assert_eq!(victim_after(Policy::Fifo, &[0, 0, 0]), 0);
    }

    #[test]
    fn tree_plru_points_away_from_the_last_two_halves() {
        // Fills in order leave the tree pointing at way 0; a hit there sends it to the right half, whose
        // bit points at way 2.
        assert_eq!(victim_after(Policy::TreePlru, &[]), 0);
        assert_eq!(victim_after(Policy::TreePlru, &[0]), 2);
        assert_eq!(victim_after(Policy::TreePlru, &[0, 2]), 1);
    }

    #[test]
    fn tree_plru_never_evicts_the_last_used_of_two_ways() {
        for way in 0..2 {
            let mut replacement = Replacement::new(Policy::TreePlru, 1, 2);
            replacement.hit(way, 2);
            assert_eq!(replacement.victim(0, 2), 1 - way);
        }
    }

    #[test]
    fn a_direct_mapped_table_always_evicts_its_only_way() {
        for policy in
            [Policy::Lru, Policy::TreePlru, Policy::Fifo, Policy::Random { seed: 1 }, Policy::Srrip]
        {
            let mut replacement = Replacement::new(policy, 1, 1);
            replacement.filled(0, 1);
            replacement.hit(0, 1);
            assert_eq!(replacement.victim(0, 1), 0);
        }
    }

    #[test]
    fn srrip_spares_what_was_hit() {
        assert_eq!(victim_after(Policy::Srrip, &[0, 1]), 2);
    }

    #[test]
    fn random_draws_are_the_same_for_the_same_seed() {
        let draws = |seed| {
            let mut replacement = Replacement::new(Policy::Random { seed }, 1, 8);
            core::array::from_fn::<_, 32, _>(|_| replacement.victim(0, 8))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!(draws(3).iter().all(|&way| way < 8));
    }
}
