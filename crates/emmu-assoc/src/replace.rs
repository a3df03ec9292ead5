//! Which way of a set makes room for a new entry.

#[cfg(feature = "serde")]
mod snapshot;

use crate::own::{Erased, Own, Replace};
use alloc::{boxed::Box, vec, vec::Vec};
use core::ops::Range;
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

/// A replacement policy, as a machine description names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// A rule of one's own, made by [`Policy::own`]. It has no serialised form.
    #[cfg_attr(feature = "serde", serde(skip))]
    Own(Own),
}

impl Policy {
    /// A rule of one's own.
    #[must_use]
    pub const fn own<R: Replace>() -> Self {
        Self::Own(Own::of::<R>())
    }
}

/// How many ways a set has, and in how many places: slots are numbered set by set, each set's first at a multiple
/// of four.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    count: usize,
    stride: usize,
}

impl Ways {
    pub(crate) const fn new(count: usize) -> Self {
        Self { count, stride: count.next_multiple_of(4) }
    }

    /// The places of a set.
    const fn of(self, set: usize) -> Range<usize> {
        set * self.stride..set * self.stride + self.count
    }

    const fn set(self, slot: usize) -> usize {
        slot / self.stride
    }

    const fn way(self, slot: usize) -> usize {
        slot % self.stride
    }
}

/// Who makes room, with what the policy remembers of every slot.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    ways: Ways,
    order: Order,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Order {
    Lru(Stamps),
    Fifo(Stamps),
    TreePlru(Vec<u64>),
    Random(Xoshiro256PlusPlus),
    Srrip(Vec<u8>),
    #[cfg_attr(feature = "serde", serde(skip))]
    Own(Box<dyn Erased>),
}

/// The time of every slot's last use (or fill), as the number of uses before it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

    #[inline]
    fn oldest(&self, slots: Range<usize>) -> usize {
        let (fours, rest) = self.of[slots].as_chunks::<4>();
        let mut oldest = (u64::MAX, 0);
        let mut way = 0;
        for &[a, b, c, d] in fours {
            let four = older(older((a, way), (b, way + 1)), older((c, way + 2), (d, way + 3)));
            oldest = older(oldest, four);
            way += 4;
        }
        for &stamp in rest {
            oldest = older(oldest, (stamp, way));
            way += 1;
        }
        oldest.1
    }
}

/// Which of two ways was stamped earlier.
#[inline]
fn older(one: (u64, usize), other: (u64, usize)) -> (u64, usize) {
    if other.0 < one.0 { other } else { one }
}

/// SRRIP's prediction of a slot just filled, and the largest one.
const LONG: u8 = 2;
const DISTANT: u8 = 3;

impl Replacement {
    pub(crate) fn new(policy: Policy, sets: usize, ways: Ways) -> Self {
        let slots = sets * ways.stride;
        let order = match policy {
            Policy::Lru => Order::Lru(Stamps::new(slots)),
            Policy::Fifo => Order::Fifo(Stamps::new(slots)),
            Policy::TreePlru => Order::TreePlru(vec![0; sets]),
            Policy::Random { seed } => Order::Random(Xoshiro256PlusPlus::seed_from_u64(seed)),
            Policy::Srrip => Order::Srrip(vec![DISTANT; slots]),
            Policy::Own(own) => Order::Own(own.make(sets, ways.count)),
        };
        Self { ways, order }
    }

    /// A lookup found this slot.
    #[inline]
    pub(crate) fn hit(&mut self, slot: usize) {
        match &mut self.order {
            Order::Lru(stamps) => stamps.stamp(slot),
            order => order.hit(slot, self.ways),
        }
    }

    /// This slot got a new entry.
    #[inline]
    pub(crate) fn filled(&mut self, slot: usize) {
        match &mut self.order {
            Order::Lru(stamps) => stamps.stamp(slot),
            order => order.filled(slot, self.ways),
        }
    }

    /// The way of `set` to evict when all hold something.
    #[inline]
    pub(crate) fn victim(&mut self, set: usize) -> usize {
        match &mut self.order {
            Order::Lru(stamps) => stamps.oldest(self.ways.of(set)),
            order => order.victim(set, self.ways),
        }
    }
}

/// Any policy, out of the way of LRU, which nearly all tables have.
impl Order {
    #[inline(never)]
    fn hit(&mut self, slot: usize, ways: Ways) {
        match self {
            Self::Lru(stamps) => stamps.stamp(slot),
            Self::TreePlru(sets) => point_away(sets, slot, ways),
            Self::Srrip(predictions) => predictions[slot] = 0,
            Self::Own(own) => own.hit(ways.set(slot), ways.way(slot)),
            Self::Fifo(_) | Self::Random(_) => {}
        }
    }

    #[inline(never)]
    fn filled(&mut self, slot: usize, ways: Ways) {
        match self {
            Self::Lru(stamps) | Self::Fifo(stamps) => stamps.stamp(slot),
            Self::TreePlru(sets) => point_away(sets, slot, ways),
            Self::Srrip(predictions) => predictions[slot] = LONG,
            Self::Own(own) => own.filled(ways.set(slot), ways.way(slot)),
            Self::Random(_) => {}
        }
    }

    #[inline(never)]
    fn victim(&mut self, set: usize, ways: Ways) -> usize {
        let slots = ways.of(set);
        match self {
            Self::Lru(stamps) | Self::Fifo(stamps) => stamps.oldest(slots),
            Self::TreePlru(sets) => pointed_at(sets[set], ways.count),
            Self::Random(source) => draw(source, ways.count),
            Self::Srrip(predictions) => most_distant(&mut predictions[slots]),
            Self::Own(own) => own.victim(set) % ways.count,
        }
    }
}

/// Sets the bits on the path to the slot in its set's tree so that each points to the other half. Node 1 is the
/// root, the children of node n are 2n and 2n + 1; a bit set means "to the right". Ways are a power of two, and
/// so is their stride.
#[inline]
fn point_away(sets: &mut [u64], slot: usize, ways: Ways) {
    let tree = &mut sets[slot >> ways.stride.trailing_zeros()];
    let mut node = (slot & (ways.stride - 1)) + ways.count;
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
        let mut replacement = Replacement::new(policy, 1, Ways::new(4));
        (0..4).for_each(|way| replacement.filled(way));
        hits.iter().for_each(|&way| replacement.hit(way));
        replacement.victim(0)
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
            let mut replacement = Replacement::new(Policy::TreePlru, 1, Ways::new(2));
            replacement.hit(way);
            assert_eq!(replacement.victim(0), 1 - way);
        }
    }

    #[test]
    fn a_direct_mapped_table_always_evicts_its_only_way() {
        for policy in
            [Policy::Lru, Policy::TreePlru, Policy::Fifo, Policy::Random { seed: 1 }, Policy::Srrip]
        {
            let mut replacement = Replacement::new(policy, 1, Ways::new(1));
            replacement.filled(0);
            replacement.hit(0);
            assert_eq!(replacement.victim(0), 0);
        }
    }

    #[test]
    fn srrip_spares_what_was_hit() {
        assert_eq!(victim_after(Policy::Srrip, &[0, 1]), 2);
    }

    #[test]
    fn random_draws_are_the_same_for_the_same_seed() {
        let draws = |seed| {
            let mut replacement = Replacement::new(Policy::Random { seed }, 1, Ways::new(8));
            core::array::from_fn::<_, 32, _>(|_| replacement.victim(0))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!(draws(3).iter().all(|&way| way < 8));
    }
}
