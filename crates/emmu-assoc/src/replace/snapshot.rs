//! What a policy remembers, as it stands in a snapshot.

use super::{DISTANT, Order, Policy, Replacement, Stamps, Ways};

/// Stamps from here on are none: no table is used so often.
const END_OF_TIME: u64 = 1 << 62;

impl Replacement {
    /// What there is to serialise.
    pub(crate) const fn order(&self) -> &Order {
        &self.order
    }

    /// The policy of `sets` sets with what it remembered, or `None` if it cannot have remembered that.
    pub(crate) fn restore(policy: Policy, sets: usize, ways: Ways, order: Order) -> Option<Self> {
        let slots = sets * ways.stride;
        let is_sound = match (&order, policy) {
            (Order::Lru(stamps), Policy::Lru) | (Order::Fifo(stamps), Policy::Fifo) => {
                stamps.is_sound(slots)
            }
            (Order::TreePlru(trees), Policy::TreePlru) => trees.len() == sets,
            (Order::Random(_), Policy::Random { .. }) => true,
            (Order::Srrip(predictions), Policy::Srrip) => {
                predictions.len() == slots && predictions.iter().all(|&held| held <= DISTANT)
            }
            _ => false,
        };
        is_sound.then_some(Self { ways, order })
    }
}

impl Stamps {
    fn is_sound(&self, slots: usize) -> bool {
        let is_past = |&stamp: &u64| stamp <= self.now;
        self.now < END_OF_TIME && self.of.len() == slots && self.of.iter().all(is_past)
    }
}
