//! Addresses: 64-bit numbers whose type says to which address space they belong.

use core::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Address 0.
            pub const ZERO: Self = Self(0);

            /// Makes the address with this number.
            #[must_use]
            #[inline]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// Returns the number of this address.
            #[must_use]
            #[inline]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// Returns the address `bytes` above this one, or `None` if it would pass the last address of the
            /// 64-bit space.
            #[must_use]
            #[inline]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// Returns the address `bytes` below this one, or `None` if it would be below address 0.
            #[must_use]
            #[inline]
            pub const fn checked_sub(self, bytes: u64) -> Option<Self> {
                match self.0.checked_sub(bytes) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// Returns the address `bytes` above this one, modulo 2^64. Use it only where a manual says that
            /// addresses wrap.
            #[must_use]
            #[inline]
            pub const fn wrapping_add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// Returns the first address of the 2^`bits`-byte block that holds this address.
            #[must_use]
            #[inline]
            pub const fn align_down(self, bits: u32) -> Self {
                Self(self.0 & !low_mask(bits))
            }

            /// Returns the distance in bytes from the start of the 2^`bits`-byte block that holds this address.
            #[must_use]
            #[inline]
            pub const fn offset(self, bits: u32) -> u64 {
                self.0 & low_mask(bits)
            }

            /// Returns the number of the 2^`bits`-byte block that holds this address.
            #[must_use]
            #[inline]
            pub const fn block(self, bits: u32) -> u64 {
                if bits < 64 { self.0 >> bits } else { 0 }
            }

            /// Returns `count` bits of the address, from bit `low` up, as a number. Page walks index tables
            /// with it.
            #[must_use]
            #[inline]
            pub const fn bits(self, low: u32, count: u32) -> u64 {
                self.block(low) & low_mask(count)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl From<u64> for $name {
            #[inline]
            fn from(raw: u64) -> Self {
                Self(raw)
            }
        }

        impl From<$name> for u64 {
            #[inline]
            fn from(addr: $name) -> u64 {
                addr.0
            }
        }
    };
}

address! {
    /// An address as the program sees it, before translation.
    VirtAddr
}

address! {
    /// An address on the bus, after translation.
    PhysAddr
}

/// Returns a number whose low `bits` bits are ones. From 64 bits on, all bits are ones.
#[must_use]
#[inline]
pub const fn low_mask(bits: u32) -> u64 {
    if bits < 64 { (1 << bits) - 1 } else { u64::MAX }
}

/// Returns the mask of the bits from `low` to `high`, both included. The arguments stand in the order in which
/// manuals write them: `bit_range(62, 61)` is the mask of bits 62:61.
#[must_use]
#[inline]
pub const fn bit_range(high: u32, low: u32) -> u64 {
    low_mask(high + 1) & !low_mask(low)
}

/// Returns true if bits 63 down to `bits` − 1 of `addr` are all equal, so that the address is the sign
/// extension of its low `bits` bits (RISC-V Privileged, "Sv39"; Intel SDM Vol. 1, 3.3.7.1, "canonical").
#[must_use]
#[inline]
pub const fn is_sign_extended(addr: u64, bits: u32) -> bool {
    if bits == 0 {
        return addr == 0;
    }
    let top = addr & !low_mask(bits - 1);
    top == 0 || top == !low_mask(bits - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    #[test]
    fn arithmetic_never_wraps_silently() {
        assert_eq!(VirtAddr::new(u64::MAX).checked_add(1), None);
        assert_eq!(PhysAddr::new(0).checked_sub(1), None);
        assert_eq!(VirtAddr::new(u64::MAX).wrapping_add(1), VirtAddr::ZERO);
    }

    #[test]
    fn a_space_of_64_bits_is_17179869184_gib() {
        let gib = 1u128 << 30;
        assert_eq!((u128::from(u64::MAX) + 1) / gib, 17_179_869_184);
    }

    #[test]
    fn address_prints_as_hexadecimal() {
        assert_eq!(std::format!("{}", VirtAddr::new(0x406_000)), "0x406000");
    }

    #[test]
    fn bit_range_is_written_as_in_the_manuals() {
        assert_eq!(bit_range(62, 61), 0x6000_0000_0000_0000);
        assert_eq!(bit_range(63, 0), u64::MAX);
        assert_eq!(bit_range(0, 0), 1);
    }

    #[test]
    fn sign_extension_at_the_edges() {
        assert!(is_sign_extended(0x0000_003f_ffff_ffff, 39));
        assert!(!is_sign_extended(0x0000_0040_0000_0000, 39));
        assert!(is_sign_extended(0xffff_ffc0_0000_0000, 39));
        assert!(is_sign_extended(u64::MAX, 64) && is_sign_extended(1 << 63, 64));
    }

    quickcheck! {
        fn an_address_is_its_block_and_its_offset(raw: u64, bits: u8) -> bool {
            let (addr, bits) = (PhysAddr::new(raw), u32::from(bits % 64));
            (addr.block(bits) << bits) | addr.offset(bits) == raw
                && addr.align_down(bits).raw() + addr.offset(bits) == raw
        }

        fn sign_extension_matches_a_shift_there_and_back(raw: u64, bits: u8) -> bool {
            let bits = u32::from(bits % 64) + 1;
            let extended = ((raw << (64 - bits)).cast_signed() >> (64 - bits)).cast_unsigned();
            is_sign_extended(raw, bits) == (extended == raw)
        }
    }
}
