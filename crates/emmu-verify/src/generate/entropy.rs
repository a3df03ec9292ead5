//! Sources of random decisions.

use core::cell::RefCell;
use quickcheck::{Arbitrary, Gen};

/// A source of bytes.
pub trait Entropy {
    /// Returns the next byte.
    fn byte(&mut self) -> u8;
}

/// Makes decisions from bytes. One decision can be made while another is under way, hence the cell.
pub(super) struct Dice<'a>(RefCell<&'a mut dyn Entropy>);

impl<'a> Dice<'a> {
    pub(super) fn new(entropy: &'a mut dyn Entropy) -> Self {
        Self(RefCell::new(entropy))
    }

    fn byte(&self) -> u8 {
        self.0.borrow_mut().byte()
    }

    /// Returns any number.
    pub(super) fn word(&self) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|_| self.byte()))
    }

    /// Returns a number below `bound`, or 0 if there is none.
    pub(super) fn below(&self, bound: u64) -> u64 {
        // One byte where that is enough: the fewer bytes a decision takes, the better fuzzers steer it.
        let drawn = if bound <= 256 { u64::from(self.byte()) } else { self.word() };
        drawn % bound.max(1)
    }

    /// Returns a number of 32 bits below `bound`, or 0 if there is none.
    pub(super) fn small(&self, bound: u32) -> u32 {
        u32::try_from(self.below(bound.into())).unwrap_or(0)
    }

    /// Returns true in about `percent` of 100 cases, and false if all bytes are zero.
    pub(super) fn chance(&self, percent: u64) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    /// Returns `bits` in about `percent` of 100 cases, and otherwise 0.
    pub(super) fn maybe(&self, percent: u64, bits: u64) -> u64 {
        if self.chance(percent) { bits } else { 0 }
    }

    /// Returns one of `items`.
    pub(super) fn pick<T: Copy, const N: usize>(&self, items: [T; N]) -> T {
        const { assert!(N > 0, "there must be something to pick") };
        items[self.index(N)]
    }

    /// Returns one of `items`, or `None` if there are none.
    pub(super) fn pick_from<T: Copy>(&self, items: &[T]) -> Option<T> {
        items.get(self.index(items.len())).copied()
    }

    /// Returns an index below this length.
    fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}

impl Entropy for Gen {
    fn byte(&mut self) -> u8 {
        u8::arbitrary(self)
    }
}

/// The bytes of a fuzzer, and zeros when they are used up.
#[derive(Clone, Debug)]
pub struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl<'a> Bytes<'a> {
    /// Makes a source of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }
}

impl Entropy for Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }
}

/// An endless sequence that one number determines: `SplitMix64` (Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014), of whose outputs the top bytes are used.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// Makes the sequence of this number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for Seed {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_be_bytes()[0]
    }
}
