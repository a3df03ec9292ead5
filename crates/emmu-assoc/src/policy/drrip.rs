//! DRRIP: set dueling between SRRIP and BRRIP (Jaleel et al., "High Performance Cache Replacement Using Re-Reference
//! Interval Prediction (RRIP)", ISCA 2010), with 32 leader sets each, a counter of 10 bits and a probability of 1/32.

use super::{
    Limit, Shape,
    rrip::{DISTANT, LONG, NEAR, Predictions},
    rule::{BuiltIn, Rule},
};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};

#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Drrip {
    predictions: Predictions,
    /// PSEL, the saturating counter that misses in the leader sets of SRRIP count up and those of BRRIP down.
    selector: u16,
    bimodal: Bimodal,
}

/// The two policies that duel. They differ in what a fill predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Srrip,
    Brrip,
}

/// The largest number of leader sets of each policy.
const LEADERS: usize = 32;

/// The largest value of PSEL, which has 10 bits; its highest bit says that BRRIP misses less.
const SELECTOR_MAX: u16 = (1 << 10) - 1;
const BRRIP_MISSES_LESS: u16 = 1 << 9;

/// BRRIP predicts a long interval for one fill in so many, and a distant one for all others.
const LONG_IN: u8 = 32;

impl BuiltIn for Drrip {
    const NAME: &'static str = "drrip";
    const SUMMARY: &'static str = "as `\"srrip\"`, or with fills that predict 3 and for one in 32 only 2 (BRRIP), whichever misses less: \
         32 sets of each kind lead, but at most a quarter of all sets and at least one; their fills move a counter of 10 bits, \
         511 at first, up (SRRIP) or down (BRRIP), and all other sets follow BRRIP from 512 on. Every 32nd fill of BRRIP predicts \
         2, or with `seed` as many as are drawn";
    const SETS: Limit = Limit::at_least(2, "at least 2, as sets duel");
    type Parameters = (Option<u64>,);

    fn new((seed,): (Option<u64>,), shape: &Shape) -> Self {
        Self {
            predictions: Predictions::new(shape),
            selector: BRRIP_MISSES_LESS - 1,
            bimodal: Bimodal::new(seed),
        }
    }

    fn is_sound(&self, (seed,): (Option<u64>,), shape: &Shape) -> bool {
        self.predictions.is_sound(shape)
            && self.selector <= SELECTOR_MAX
            && self.bimodal.is_sound(seed)
    }
}

impl Rule for Drrip {
    fn hit(&mut self, slot: usize, _: &Shape) {
        self.predictions.predict(slot, NEAR);
    }

    /// A fill stands for the miss before it.
    fn filled(&mut self, slot: usize, shape: &Shape) {
        let leader = leader(shape.set_of(slot), shape.sets);
        match leader {
            Some(Side::Srrip) => self.selector = SELECTOR_MAX.min(self.selector + 1),
            Some(Side::Brrip) => self.selector = self.selector.saturating_sub(1),
            None => {}
        }
        let prediction = match leader.unwrap_or(self.winner()) {
            Side::Srrip => LONG,
            Side::Brrip if self.bimodal.is_long() => LONG,
            Side::Brrip => DISTANT,
        };
        self.predictions.predict(slot, prediction);
    }

    fn victim(&mut self, set: usize, shape: &Shape) -> usize {
        self.predictions.most_distant(set, shape)
    }
}

impl Drrip {
    /// The policy that follower sets follow.
    const fn winner(&self) -> Side {
        if self.selector >= BRRIP_MISSES_LESS { Side::Brrip } else { Side::Srrip }
    }
}

/// The policy that this set leads, if it leads one.
///
/// The sets are divided into as many constituencies as there are leaders of each policy. In constituency number c,
/// set number c leads SRRIP and the set of the complement of c leads BRRIP, both modulo the constituency's size
/// (complement-select: Qureshi et al., "Adaptive Insertion Policies for High Performance Caching", ISCA 2007).
fn leader(set: usize, sets: usize) -> Option<Side> {
    let size = sets / (sets / 4).clamp(1, LEADERS);
    let (constituency, member) = (set / size, set % size);
    if member == constituency % size {
        Some(Side::Srrip)
    } else if member == !constituency % size {
        Some(Side::Brrip)
    } else {
        None
    }
}

/// The choice of BRRIP's fills that predict a long interval.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Bimodal {
    /// Fills since the last one that was chosen.
    Counted(u8),
    Drawn(Xoshiro256PlusPlus),
}

impl Bimodal {
    fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::Counted(0), |seed| Self::Drawn(Xoshiro256PlusPlus::seed_from_u64(seed)))
    }

    fn is_long(&mut self) -> bool {
        match self {
            Self::Counted(fills) => {
                *fills = (*fills + 1) % LONG_IN;
                *fills == 0
            }
            Self::Drawn(source) => source.next_u32().is_multiple_of(u32::from(LONG_IN)),
        }
    }

    fn is_sound(&self, seed: Option<u64>) -> bool {
        match self {
            Self::Counted(fills) => seed.is_none() && *fills < LONG_IN,
            Self::Drawn(_) => seed.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn leaders(sets: usize, side: Side) -> Vec<usize> {
        (0..sets).filter(|&set| leader(set, sets) == Some(side)).collect()
    }

    #[test]
    fn a_quarter_of_few_sets_leads_each_policy() {
        assert_eq!((leaders(2, Side::Srrip), leaders(2, Side::Brrip)), (vec![0], vec![1]));
        assert_eq!((leaders(4, Side::Srrip), leaders(4, Side::Brrip)), (vec![0], vec![3]));
        assert_eq!((leaders(8, Side::Srrip), leaders(8, Side::Brrip)), (vec![0, 5], vec![3, 6]));
    }

    #[test]
    fn thirty_two_of_many_sets_lead_each_policy() {
        for sets in [128, 256, 4096, 1 << 20] {
            for side in [Side::Srrip, Side::Brrip] {
                assert_eq!(leaders(sets, side).len(), 32, "{side:?} of {sets}");
            }
        }
    }

    /// Fills every slot of the set `times` times, and returns what each fill predicts.
    fn predicted(drrip: &mut Drrip, set: usize, shape: &Shape, times: usize) -> Vec<u8> {
        let slots = (0..times).flat_map(|_| shape.slots_of(set));
        let fill = |slot| {
            drrip.filled(slot, shape);
            drrip.predictions.of(slot)
        };
        slots.map(fill).collect()
    }

    const SHAPE: Shape = Shape::new(8, 4);
    const SRRIP_LEADER: usize = 0;
    const BRRIP_LEADER: usize = 3;
    const FOLLOWER: usize = 1;

    #[test]
    fn every_32nd_fill_of_a_set_that_leads_brrip_is_predicted_long() {
        let mut drrip = Drrip::new((None,), &SHAPE);
        let fills = predicted(&mut drrip, BRRIP_LEADER, &SHAPE, 16);
        let long: Vec<_> = (0..64).filter(|&fill| fills[fill] == LONG).collect();
        assert_eq!(long, [31, 63]);
        assert_eq!(fills.iter().filter(|&&fill| fill == DISTANT).count(), 62);
    }

    #[test]
    fn a_seed_draws_about_one_in_32() {
        let mut drrip = Drrip::new((Some(1),), &SHAPE);
        let fills = predicted(&mut drrip, BRRIP_LEADER, &SHAPE, 800);
        let long = fills.iter().filter(|&&fill| fill == LONG).count();
        assert!((50..150).contains(&long), "{long} of 3200");
        let again = predicted(&mut Drrip::new((Some(1),), &SHAPE), BRRIP_LEADER, &SHAPE, 800);
        assert_eq!(fills, again);
        assert_ne!(
            fills,
            predicted(&mut Drrip::new((Some(2),), &SHAPE), BRRIP_LEADER, &SHAPE, 800)
        );
    }

    #[test]
    fn followers_do_as_the_policy_whose_leaders_miss_less() {
        let mut drrip = Drrip::new((None,), &SHAPE);
        assert_eq!(predicted(&mut drrip, FOLLOWER, &SHAPE, 1), [LONG; 4]);
        predicted(&mut drrip, SRRIP_LEADER, &SHAPE, 1);
        assert_eq!(predicted(&mut drrip, FOLLOWER, &SHAPE, 1), [DISTANT; 4]);
        predicted(&mut drrip, BRRIP_LEADER, &SHAPE, 1);
        assert_eq!(predicted(&mut drrip, FOLLOWER, &SHAPE, 1), [LONG; 4]);
    }

    #[test]
    fn a_set_that_leads_srrip_does_so_whoever_misses_less() {
        let mut drrip = Drrip::new((None,), &SHAPE);
        assert_eq!(predicted(&mut drrip, SRRIP_LEADER, &SHAPE, 2), [LONG; 8]);
    }

    #[test]
    fn the_counter_saturates() {
        let mut drrip = Drrip::new((None,), &SHAPE);
        predicted(&mut drrip, SRRIP_LEADER, &SHAPE, 500);
        assert_eq!(drrip.selector, 1023);
        predicted(&mut drrip, BRRIP_LEADER, &SHAPE, 500);
        assert_eq!(drrip.selector, 0);
    }

    #[test]
    fn a_state_out_of_range_or_of_another_parameter_is_none() {
        let drrip = Drrip::new((None,), &SHAPE);
        assert!(drrip.is_sound((None,), &SHAPE) && !drrip.is_sound((Some(0),), &SHAPE));
        assert!(!Drrip { selector: 1024, ..drrip.clone() }.is_sound((None,), &SHAPE));
        assert!(!Drrip { bimodal: Bimodal::Counted(32), ..drrip }.is_sound((None,), &SHAPE));
    }
}
