//! Random replacement, of which the draws are the same on every machine.

use super::{
    Shape,
    rule::{BuiltIn, Rule},
};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl BuiltIn for Random {
    const NAME: &'static str = "random";
    const SUMMARY: &'static str = "a way is drawn from xoshiro256++, seeded with `seed`";
    type Parameters = (u64,);

    fn new((seed,): (u64,), _: &Shape) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn is_sound(&self, _: (u64,), _: &Shape) -> bool {
        true
    }
}

impl Rule for Random {
    fn hit(&mut self, _: usize, _: &Shape) {}

    fn filled(&mut self, _: usize, _: &Shape) {}

    /// The high half of a 32 × 32-bit product, which needs no division.
    fn victim(&mut self, _: usize, shape: &Shape) -> usize {
        let product = u64::from(self.0.next_u32()) * shape.ways as u64;
        usize::try_from(product >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Policy, Replacement, Shape};

    #[test]
    fn draws_are_the_same_for_the_same_seed() {
        let draws = |seed| {
            let mut replacement = Replacement::new(Policy::Random { seed }, Shape::new(1, 8));
            core::array::from_fn::<_, 32, _>(|_| replacement.victim(0))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!(draws(3).iter().all(|&way| way < 8));
    }
}
