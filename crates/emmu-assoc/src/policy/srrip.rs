//! SRRIP with hit priority.

use super::{
    Shape,
    rrip::{LONG, NEAR, Predictions},
    rule::{BuiltIn, Rule},
};

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Srrip(Predictions);

impl BuiltIn for Srrip {
    const NAME: &'static str = "srrip";
    const SUMMARY: &'static str = "2 bits a way predict how far away the next use is (0 near, 2 long, 3 distant): a fill predicts 2, \
         a hit 0; the first way at 3 makes room, and while there is none, all ways of the set are aged by 1";
    type Parameters = ();

    fn new((): (), shape: &Shape) -> Self {
        Self(Predictions::new(shape))
    }

    fn is_sound(&self, (): (), shape: &Shape) -> bool {
        self.0.is_sound(shape)
    }
}

impl Rule for Srrip {
    fn hit(&mut self, slot: usize, _: &Shape) {
        self.0.predict(slot, NEAR);
    }

    fn filled(&mut self, slot: usize, _: &Shape) {
        self.0.predict(slot, LONG);
    }

    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        self.0.most_distant(set, shape)
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, tests::victim_after};

    #[test]
    fn what_was_hit_is_spared() {
        assert_eq!(victim_after(Policy::Srrip, &[0, 1]), 2);
    }
}
