//! The bits of a segment's descriptor in memory.

use crate::{Segment, SegmentFlags};
use emmu_core::low_mask;

/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: u64 = 16;

/// A segment's descriptor in the table of [`SegmentTable`](crate::SegmentTable): two little-endian words of
/// 64 bits.
///
/// ```text
/// word 0 (byte 0)   63 ........................................................................ 0
///                   base
/// word 1 (byte 8)   63 ................................... 8 | 7 .. 5 | 4 | 3 | 2 | 1 | 0
///                   bounds                                  | 0      | P | D | X | W | R
/// ```
/// `base` is the physical address of the first byte, or of the byte past the last one if the segment grows down;
/// `bounds` counts bytes. P: present; D: grows down; X, W, R: fetches, stores and loads are allowed. While P is
/// 0 all other bits are free: the operating system may keep there where the segment is. A present descriptor
/// with one of bits 7:5, or with more bytes than the segment has offsets, is malformed.
///
/// The emulated machine reads word 1 first, and word 0 only if P is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// Word 0.
    pub base: u64,
    /// Word 1.
    pub word: u64,
}

const PRESENT: u64 = 1 << 4;
const RESERVED: u64 = 0b111 << 5;
const BOUNDS_SHIFT: u32 = 8;

impl Descriptor {
    /// The descriptor of a segment in memory; `None` if it has 2^56 bytes or more.
    #[must_use]
    pub fn present(segment: Segment) -> Option<Self> {
        let fits = segment.bounds <= low_mask(u64::BITS - BOUNDS_SHIFT);
        let word = segment.bounds << BOUNDS_SHIFT | PRESENT | segment.flags.bits();
        fits.then_some(Self { base: segment.base, word })
    }

    /// As it stands in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.word) << 64 | u128::from(self.base)).to_le_bytes()
    }

    /// Returns true if the segment is in memory.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.word & PRESENT != 0
    }

    /// The bounds of the segment, in bytes.
    #[must_use]
    pub const fn bounds(self) -> u64 {
        self.word >> BOUNDS_SHIFT
    }

    /// Direction and permissions of the segment.
    #[must_use]
    pub const fn flags(self) -> SegmentFlags {
        SegmentFlags::from_bits_truncate(self.word)
    }

    /// Returns true if the descriptor is malformed on a machine whose largest offset is `last`: it has reserved
    /// bits, or bounds past `last`.
    #[must_use]
    pub const fn is_malformed(self, last: u64) -> bool {
        self.word & RESERVED != 0 || self.bounds().saturating_sub(1) > last
    }

    /// The segment it describes.
    #[must_use]
    pub const fn segment(self) -> Segment {
        Segment { base: self.base, bounds: self.bounds(), flags: self.flags() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    quickcheck! {
        fn a_segment_comes_back_from_its_descriptor(base: u64, bounds: u64, flags: u8) -> bool {
            let flags = SegmentFlags::from_bits_truncate(flags.into());
            let segment = Segment { base, bounds: bounds >> 8, flags };
            Descriptor::present(segment).is_some_and(|descriptor| {
                descriptor.is_present() && !descriptor.is_malformed(u64::MAX) && descriptor.segment() == segment
            })
        }
    }

    #[test]
    fn bounds_of_more_than_56_bits_have_no_descriptor() {
        let segment = Segment { bounds: 1 << 56, ..Segment::default() };
        assert_eq!(Descriptor::present(segment), None);
    }
}
