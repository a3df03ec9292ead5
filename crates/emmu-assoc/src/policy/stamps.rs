//! Time stamps, by which LRU and FIFO find the oldest way.

use super::Shape;
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// The time of every slot's last stamp, as the number of stamps before it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Stamps {
    now: u64,
    of: Vec<u64>,
}

/// A snapshot in which as much time has passed is refused: no table is used so often.
const END_OF_TIME: u64 = 1 << 62;

impl Stamps {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { now: 0, of: vec![0; shape.slots()] }
    }

    #[inline]
    pub(super) fn stamp(&mut self, slot: usize) {
        self.now += 1;
        self.of[slot] = self.now;
    }

    /// The way whose stamp is the oldest.
    #[inline]
    pub(super) fn oldest(&self, slots: Range<usize>) -> usize {
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

    pub(super) fn is_sound(&self, shape: &Shape) -> bool {
        let is_past = |&stamp: &u64| stamp <= self.now;
        self.now < END_OF_TIME && self.of.len() == shape.slots() && self.of.iter().all(is_past)
    }
}

/// Which of two ways was stamped earlier.
#[inline]
fn older(one: (u64, usize), other: (u64, usize)) -> (u64, usize) {
    if other.0 < one.0 { other } else { one }
}
