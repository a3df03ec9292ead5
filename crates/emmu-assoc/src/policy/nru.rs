//! NRU (not recently used), also called bit-PLRU or the MRU-bit policy.

use super::{
    Shape,
    rule::{BuiltIn, Rule},
};
use alloc::{vec, vec::Vec};

/// A bit for each slot: true if the slot was used since its set's bits were last cleared.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Nru(Vec<bool>);

impl BuiltIn for Nru {
    const NAME: &'static str = "nru";
    const SUMMARY: &'static str = "bit-PLRU: a hit or a fill sets the bit of its way, and clears all others of the set once all bits \
         are set; the first way whose bit is clear makes room";
    type Parameters = ();

    fn new((): (), shape: &Shape) -> Self {
        Self(vec![false; shape.slots()])
    }

    /// At least one bit of a set is clear, unless the set has one way only.
    fn is_sound(&self, (): (), shape: &Shape) -> bool {
        let has_clear = |set| self.0[shape.slots_of(set)].contains(&false);
        self.0.len() == shape.slots() && (shape.ways == 1 || (0..shape.sets).all(has_clear))
    }
}

impl Nru {
    fn mark(&mut self, slot: usize, shape: &Shape) {
        self.0[slot] = true;
        let set = &mut self.0[shape.slots_of(shape.set_of(slot))];
        if !set.contains(&false) {
            set.fill(false);
            self.0[slot] = true;
        }
    }
}

impl Rule for Nru {
    fn hit(&mut self, slot: usize, shape: &Shape) {
        self.mark(slot, shape);
    }

    fn filled(&mut self, slot: usize, shape: &Shape) {
        self.mark(slot, shape);
    }

    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        self.0[shape.slots_of(set)].iter().position(|used| !used).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, tests::victim_after};

    #[test]
    fn the_first_way_that_was_not_used_goes() {
        // The fill of way 3 sets the last bit, and so clears those of ways 0 to 2.
        assert_eq!(victim_after(Policy::Nru, &[]), 0);
        assert_eq!(victim_after(Policy::Nru, &[0]), 1);
        assert_eq!(victim_after(Policy::Nru, &[0, 2]), 1);
    }

    #[test]
    fn the_last_bit_that_is_set_clears_the_others() {
        assert_eq!(victim_after(Policy::Nru, &[0, 1, 2]), 0);
        assert_eq!(victim_after(Policy::Nru, &[0, 2, 1]), 0);
    }
}
