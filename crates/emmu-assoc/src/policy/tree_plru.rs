//! Tree-PLRU: a binary tree over the ways of each set, which points away from recent use.

use super::{
    Limit, Shape,
    rule::{BuiltIn, Rule},
};
use alloc::{vec, vec::Vec};

/// One tree a set. Node 1 is the root, the children of node n are 2n and 2n + 1; a bit set means "to the right".
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct TreePlru(Vec<u64>);

impl BuiltIn for TreePlru {
    const NAME: &'static str = "tree-plru";
    const SUMMARY: &'static str = "one bit per node of a binary tree over the ways points to the half that was used less recently; \
         a hit or a fill turns the bits on the way to its leaf away from it, and the leaf to which the bits lead makes room";
    const WAYS: Limit = Limit::powers_of_two(64, "a power of two, 64 at most");
    type Parameters = ();

    fn new((): (), shape: &Shape) -> Self {
        Self(vec![0; shape.sets])
    }

    fn is_sound(&self, (): (), shape: &Shape) -> bool {
        self.0.len() == shape.sets
    }
}

impl Rule for TreePlru {
    fn hit(&mut self, slot: usize, shape: &Shape) {
        point_away(&mut self.0, slot, shape);
    }

    fn filled(&mut self, slot: usize, shape: &Shape) {
        point_away(&mut self.0, slot, shape);
    }

    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        pointed_at(self.0[set], shape.ways)
    }
}

/// Sets the bits on the path to the slot in its set's tree so that each points to the other half. Ways are a power
/// of two, and so is their stride.
#[inline]
fn point_away(sets: &mut [u64], slot: usize, shape: &Shape) {
    let tree = &mut sets[slot >> shape.stride.trailing_zeros()];
    let mut node = (slot & (shape.stride - 1)) + shape.ways;
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

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, Replacement, Shape, tests::victim_after};

    #[test]
    fn it_points_away_from_the_last_two_halves() {
        // Fills in order leave the tree pointing at way 0; a hit there sends it to the right half, whose
        // bit points at way 2.
        assert_eq!(victim_after(Policy::TreePlru, &[]), 0);
        assert_eq!(victim_after(Policy::TreePlru, &[0]), 2);
        assert_eq!(victim_after(Policy::TreePlru, &[0, 2]), 1);
    }

    #[test]
    fn the_last_used_of_two_ways_never_goes() {
        for way in 0..2 {
            let mut replacement = Replacement::new(Policy::TreePlru, Shape::new(1, 2));
            replacement.hit(way);
            assert_eq!(replacement.victim(0), 1 - way);
        }
    }
}
