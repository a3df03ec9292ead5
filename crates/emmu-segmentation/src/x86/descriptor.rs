//! Segment descriptors (Intel SDM Vol. 3A, 3.4.5 and 3.5).

use core::ops::RangeInclusive;

/// The eight bytes of a segment descriptor.
///
/// ```text
/// 63 .... 56 | 55 | 54  | 53 | 52  | 51 .... 48 | 47 | 46 45 | 44 | 43 .. 40 | 39 .... 16 | 15 ..... 0
/// base 31:24 | G  | D/B | L  | AVL | limit 19:16 | P  | DPL   | S  | type     | base 23:0  | limit 15:0
/// ```
/// With S, type bit 3 tells code from data. Data: bit 2 expand-down (E), bit 1 writable (W). Code: bit 2
/// conforming (C), bit 1 readable (R). Bit 0: accessed (A). Without S it is a system descriptor: 2 is an LDT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct X86Descriptor(pub u64);

/// The kinds of descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data { writable: bool, down: bool },
    Code { readable: bool, conforming: bool },
    System(u8),
}

impl X86Descriptor {
    /// Flat 32-bit code of privilege level 0: base 0, 4 GiB, readable, accessed.
    pub const FLAT_CODE: Self = Self(0x00cf_9b00_0000_ffff);
    /// Flat data of privilege level 0: base 0, 4 GiB, writable, accessed.
    pub const FLAT_DATA: Self = Self(0x00cf_9300_0000_ffff);

    const ACCESSED: u64 = 1 << 40;

    /// Linear address of the segment's byte 0.
    #[must_use]
    pub const fn base(self) -> u32 {
        let [_, _, a, b, c, _, _, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The effective limit: with G, units of 4 KiB, the last of which counts as a whole.
    #[must_use]
    pub const fn limit(self) -> u32 {
        let [a, b, _, _, _, _, c, _] = self.0.to_le_bytes();
        let limit = u32::from_le_bytes([a, b, c & 0xf, 0]);
        if self.bit(55) { limit << 12 | 0xfff } else { limit }
    }

    /// Descriptor privilege level, 0 to 3.
    #[must_use]
    pub const fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// P: the segment is in memory.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.bit(47)
    }

    /// D/B: 32-bit code, or a stack and upper bound of 32 bits.
    #[must_use]
    pub const fn is_big(self) -> bool {
        self.bit(54)
    }

    /// L: 64-bit code.
    #[must_use]
    pub const fn is_long(self) -> bool {
        self.bit(53)
    }

    /// A: the descriptor was loaded into a segment register.
    #[must_use]
    pub const fn is_accessed(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }

    pub(crate) const fn with_accessed(self) -> Self {
        Self(self.0 | Self::ACCESSED)
    }

    pub(crate) const fn kind(self) -> Kind {
        match (self.bit(44), self.bit(43)) {
            (true, false) => Kind::Data { writable: self.bit(41), down: self.bit(42) },
            (true, true) => Kind::Code { readable: self.bit(41), conforming: self.bit(42) },
            (false, _) => Kind::System((self.0 >> 40 & 0xf) as u8),
        }
    }

    /// The valid offsets (Intel SDM Vol. 3A, "Limit Checking"): up to the limit; in data that expands down, past
    /// the limit up to FFFFFFFFH or, without B, FFFFH. It may be empty.
    pub(crate) const fn offsets(self) -> RangeInclusive<u64> {
        // spec: x86seg-limit
        let limit = self.limit() as u64;
        match self.kind() {
            Kind::Data { down: true, .. } if self.is_big() => limit + 1..=0xffff_ffff,
            Kind::Data { down: true, .. } => limit + 1..=0xffff,
            _ => 0..=limit,
        }
    }

    const fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_put_together_from_their_pieces() {
        let descriptor = X86Descriptor(0x12a5_f634_5678_9abc);
        assert_eq!(descriptor.base(), 0x1234_5678);
        assert_eq!(descriptor.limit(), 0x59ab_cfff);
        assert_eq!((descriptor.dpl(), descriptor.is_present()), (3, true));
        assert!(!descriptor.is_big() && descriptor.is_long());
        assert_eq!(descriptor.kind(), Kind::Data { writable: true, down: true });
        assert!(!descriptor.is_accessed() && descriptor.with_accessed().is_accessed());
    }

    #[test]
    fn limits_count_bytes_or_pages_and_bound_from_either_side() {
        let offsets = |upper: u64| X86Descriptor(upper << 32 | 0x1234).offsets();
        assert_eq!(offsets(0x0000_9200), 0..=0x1234);
        assert_eq!(offsets(0x0080_9200), 0..=0x0123_4fff);
        assert_eq!(offsets(0x0040_9600), 0x1235..=0xffff_ffff);
        assert_eq!(offsets(0x0000_9600), 0x1235..=0xffff);
        assert!(offsets(0x0080_9600).is_empty(), "past FFFFH, without B");
        assert!(X86Descriptor(0x00cf_9600_0000_ffff).offsets().is_empty());
    }

    #[test]
    fn flat_segments_have_every_offset() {
        for flat in [X86Descriptor::FLAT_CODE, X86Descriptor::FLAT_DATA] {
            assert_eq!((flat.base(), flat.offsets()), (0, 0..=0xffff_ffff));
        }
    }
}
