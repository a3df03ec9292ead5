//! LRU, in exact order.

use super::{
    Shape,
    rule::{BuiltIn, Rule},
    stamps::Stamps,
};

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Lru(Stamps);

impl BuiltIn for Lru {
    const NAME: &'static str = "lru";
    const SUMMARY: &'static str = "the least recently used way makes room; the order is exact";
    type Parameters = ();

    fn new((): (), shape: &Shape) -> Self {
        Self(Stamps::new(shape))
    }

    fn is_sound(&self, (): (), shape: &Shape) -> bool {
        self.0.is_sound(shape)
    }
}

impl Rule for Lru {
    #[inline]
    fn hit(&mut self, slot: usize, _: &Shape) {
        self.0.stamp(slot);
    }

    #[inline]
    fn filled(&mut self, slot: usize, _: &Shape) {
        self.0.stamp(slot);
    }

    #[inline]
    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        self.0.oldest(shape.slots_of(set))
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, tests::victim_after};

    #[test]
    fn the_way_unused_for_longest_goes() {
        assert_eq!(victim_after(Policy::Lru, &[0, 2, 1]), 3);
    }
}
