//! Re-reference interval predictions of 2 bits, which SRRIP and DRRIP share (Jaleel et al., "High Performance Cache
//! Replacement Using Re-Reference Interval Prediction (RRIP)", ISCA 2010).

use super::Shape;
use alloc::{vec, vec::Vec};

/// How soon an entry is predicted to be used again.
pub(super) const NEAR: u8 = 0;
pub(super) const LONG: u8 = 2;
pub(super) const DISTANT: u8 = 3;

/// The prediction for every slot.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Predictions(Vec<u8>);

impl Predictions {
    pub(super) fn new(shape: &Shape) -> Self {
        Self(vec![DISTANT; shape.slots()])
    }

    pub(super) fn predict(&mut self, slot: usize, prediction: u8) {
        self.0[slot] = prediction;
    }

    #[cfg(test)]
    pub(super) fn of(&self, slot: usize) -> u8 {
        self.0[slot]
    }

    /// Ages the whole set until a way is predicted distant, and returns the first such way.
    pub(super) fn most_distant(&mut self, set: usize, shape: &Shape) -> usize {
        let predictions = &mut self.0[shape.slots_of(set)];
        let farthest = predictions.iter().copied().max().unwrap_or(DISTANT);
        for prediction in predictions.iter_mut() {
            *prediction += DISTANT - farthest;
        }
        predictions.iter().position(|&prediction| prediction == DISTANT).unwrap_or(0)
    }

    pub(super) fn is_sound(&self, shape: &Shape) -> bool {
        self.0.len() == shape.slots() && self.0.iter().all(|&held| held <= DISTANT)
    }
}
