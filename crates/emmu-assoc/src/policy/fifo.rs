//! FIFO.

use super::{
    Shape,
    rule::{BuiltIn, Rule},
    stamps::Stamps,
};

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Fifo(Stamps);

impl BuiltIn for Fifo {
    const NAME: &'static str = "fifo";
    const SUMMARY: &'static str = "the way that was filled first makes room; hits change nothing";
    type Parameters = ();

    fn new((): (), shape: &Shape) -> Self {
        Self(Stamps::new(shape))
    }

    fn is_sound(&self, (): (), shape: &Shape) -> bool {
        self.0.is_sound(shape)
    }
}

impl Rule for Fifo {
    fn hit(&mut self, _: usize, _: &Shape) {}

    fn filled(&mut self, slot: usize, _: &Shape) {
        self.0.stamp(slot);
    }

    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        self.0.oldest(shape.slots_of(set))
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, tests::victim_after};

    #[test]
    fn hits_change_nothing() {
        assert_eq!(victim_after(Policy::Fifo, &[0, 0, 0]), 0);
    }
}
