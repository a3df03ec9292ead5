//! How an address is cut into table indices.

use emmu_core::{PhysAddr, VirtAddr, Width, low_mask};
use thiserror::Error;

/// The most levels that a [`Shape`] can have.
pub const MAX_LEVELS: usize = 6;

/// Places in an array by level: more than a shape has levels, so that a masked level needs no check. A walk that probes
/// a hashed table uses them all.
pub(crate) const LEVEL_SLOTS: usize = (MAX_LEVELS + 1).next_power_of_two();

/// A level's place in an array of [`LEVEL_SLOTS`].
#[inline]
pub(crate) const fn slot(level: u8) -> usize {
    level as usize & (LEVEL_SLOTS - 1)
}

/// Bits of a virtual address.
const ADDRESS_BITS: u8 = 64;

/// How an address is cut into table indices, and how wide an entry is.
///
/// Level 0 is that of the smallest pages.
///
/// A shape that is always the same is worked out, and checked, when the program is compiled:
///
/// ```
/// use emmu_core::{PhysAddr, VirtAddr, Width};
/// use emmu_paging::format::{Shape, ShapeError};
///
/// /// SPARC Reference MMU: entries of 4 bytes, pages of 2^12 bytes, indices of 8, 6 and 6 bits.
/// const SRMMU: Shape = match Shape::new(Width::B4, 12, &[8, 6, 6]) {
///     Ok(shape) => shape,
///     Err(_) => panic!("the manual's own"),
/// };
/// assert_eq!((SRMMU.page_bits(0), SRMMU.page_bits(2), SRMMU.table_bits(2)), (12, 24, 32));
/// let (table, addr) = (PhysAddr::new(0x1000), VirtAddr::new(0x0804_1234));
/// assert_eq!(SRMMU.entry_addr(table, 2, addr), PhysAddr::new(0x1000 + 8 * 4));
///
/// assert_eq!(Shape::new(Width::B4, 12, &[40, 40]), Err(ShapeError::AddressBits { bits: 92 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    entry: Width,
    /// The lowest address bit of the index at each level, which is also log2 of what one entry there maps. Levels
    /// that are not there begin where the topmost one ends.
    lows: [u8; LEVEL_SLOTS],
    /// The address bits that are the index at each level.
    indices: [u64; LEVEL_SLOTS],
    /// How far to rotate them right, to have the offset of an entry in its table.
    rotations: [u8; LEVEL_SLOTS],
}

/// Why there is no such shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A shape has one to [`MAX_LEVELS`] levels.
    #[error("index_bits: {count} levels, expected 1 to {MAX_LEVELS}")]
    Levels {
        /// How many there were to be.
        count: usize,
    },
    /// Every level may be of any size, but none may be empty.
    #[error("index_bits: a level of 0 bits, expected at least 1")]
    EmptyLevel,
    /// Offset and indices together are the virtual address.
    #[error("page_bits and index_bits: {bits} bits of virtual address, expected at most 64")]
    AddressBits {
        /// How many there were to be.
        bits: u32,
    },
    /// A table larger than physical memory can be.
    #[error("index_bits: a table of 2^{bits} bytes, expected at most 2^64")]
    TableBits {
        /// Log2 of the bytes in it.
        bits: u32,
    },
}

impl Shape {
    /// Without any level.
    pub(crate) const NONE: Self = Self::uniform(Width::B8, 0, 0, 0);

    /// Entries of `entry` bytes; pages of 2^`page_bits` bytes; indices of so many bits, the topmost level first.
    ///
    /// # Errors
    /// [`ShapeError`], if these are no levels of a walk, or too many bits of address or of table.
    pub const fn new(entry: Width, page_bits: u8, index_bits: &[u8]) -> Result<Self, ShapeError> {
        let count = index_bits.len();
        if count == 0 || count > MAX_LEVELS {
            return Err(ShapeError::Levels { count });
        }
        let (mut lows, mut bits, mut level) = ([page_bits; LEVEL_SLOTS], page_bits as u32, 1);
        let mut widest = 0;
        while level < LEVEL_SLOTS {
            if level <= count {
                let index = index_bits[count - level];
                if index == 0 {
                    return Err(ShapeError::EmptyLevel);
                }
                bits += index as u32;
                widest = if index > widest { index } else { widest };
            }
            lows[level] = saturated(bits);
            level += 1;
        }
        if bits > ADDRESS_BITS as u32 {
            return Err(ShapeError::AddressBits { bits });
        }
        let table = widest as u32 + log2(entry) as u32;
        if table > ADDRESS_BITS as u32 {
            return Err(ShapeError::TableBits { bits: table });
        }
        Ok(Self::from_lows(entry, lows))
    }

    /// `levels` levels that index `stride` bits each above a page offset of `page_bits` bits. More than
    /// [`MAX_LEVELS`] levels are cut to that, and levels end with the address, at bit 64.
    #[must_use]
    pub const fn uniform(entry: Width, page_bits: u8, stride: u8, levels: u8) -> Self {
        let mut lows = [saturated(page_bits as u32); LEVEL_SLOTS];
        let mut level = 1;
        while level < LEVEL_SLOTS {
            let bits = if level <= levels as usize && level <= MAX_LEVELS { stride } else { 0 };
            lows[level] = saturated(lows[level - 1] as u32 + bits as u32);
            level += 1;
        }
        Self::from_lows(entry, lows)
    }

    /// Returns the shape with another end: the topmost level's index stops below bit `end`.
    #[must_use]
    pub(crate) const fn with_end(mut self, levels: u8, end: u8) -> Self {
        self.lows[slot(levels)] = end;
        Self::from_lows(self.entry, self.lows)
    }

    const fn from_lows(entry: Width, lows: [u8; LEVEL_SLOTS]) -> Self {
        let entry_shift = log2(entry);
        let (mut indices, mut rotations) = ([0; LEVEL_SLOTS], [0; LEVEL_SLOTS]);
        let mut level = 0;
        while level < LEVEL_SLOTS - 1 {
            indices[level] = low_mask(lows[level + 1] as u32) & !low_mask(lows[level] as u32);
            rotations[level] = lows[level].wrapping_sub(entry_shift);
            level += 1;
        }
        Self { entry, lows, indices, rotations }
    }

    /// Width of an entry.
    #[must_use]
    #[inline]
    pub const fn entry(&self) -> Width {
        self.entry
    }

    /// Log2 of the bytes that an entry of this level maps.
    #[must_use]
    #[inline]
    pub const fn page_bits(&self, level: u8) -> u8 {
        self.lows[slot(level)]
    }

    /// Log2 of the bytes that a whole table of this level maps.
    #[must_use]
    #[inline]
    pub const fn table_bits(&self, level: u8) -> u8 {
        self.lows[slot(level.wrapping_add(1))]
    }

    /// Where, in the table of this level, the entry for `addr` is.
    #[must_use]
    #[inline]
    pub const fn entry_addr(&self, table: PhysAddr, level: u8, addr: VirtAddr) -> PhysAddr {
        // spec: described-2
        let index = addr.raw() & self.indices[slot(level)];
        table.wrapping_add(index.rotate_right(self.rotations[slot(level)] as u32))
    }
}

/// Log2 of a width in bytes.
const fn log2(width: Width) -> u8 {
    match width {
        Width::B1 => 0,
        Width::B2 => 1,
        Width::B4 => 2,
        Width::B8 => 3,
    }
}

/// `bits`, but never more than an address has.
#[expect(clippy::cast_possible_truncation, reason = "at most 64")]
const fn saturated(bits: u32) -> u8 {
    if bits < ADDRESS_BITS as u32 { bits as u8 } else { ADDRESS_BITS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;
    use std::vec::Vec;

    const WIDTHS: [Width; 4] = [Width::B1, Width::B2, Width::B4, Width::B8];

    /// Cuts the address level by level, by division.
    fn entry_number(page_bits: u8, index_bits: &[u8], level: usize, addr: u64) -> u128 {
        let mut rest = u128::from(addr) >> page_bits;
        for bits in index_bits.iter().rev().take(level) {
            rest /= 1 << bits;
        }
        rest % (1 << index_bits[index_bits.len() - 1 - level])
    }

    quickcheck! {
        fn a_shape_cuts_as_division_does(page: u8, index_bits: Vec<u8>, width: u8, addr: u64) -> bool {
            let (page_bits, entry) = (page % 16, WIDTHS[usize::from(width % 4)]);
            let index_bits: Vec<u8> = index_bits.iter().take(6).map(|bits| 1 + bits % 10).collect();
            let Ok(shape) = Shape::new(entry, page_bits, &index_bits) else {
                return index_bits.is_empty() || index_bits.iter().sum::<u8>() + page_bits > 64;
            };
            (0..).zip(0..index_bits.len()).all(|(level, number)| {
                let number = entry_number(page_bits, &index_bits, number, addr);
                let found = shape.entry_addr(PhysAddr::ZERO, level, VirtAddr::new(addr));
                u128::from(found.raw()) == number * u128::from(entry.bytes())
            })
        }

        fn no_level_ends_below_its_beginning(page: u8, index_bits: Vec<u8>, stride: u8, levels: u8) -> bool {
            let made = Shape::new(Width::B8, page, &index_bits).ok();
            let uniform = Shape::uniform(Width::B8, page, stride, levels);
            let sound = |lows: [u8; LEVEL_SLOTS]| lows.is_sorted() && lows.iter().all(|&low| low <= 64);
            made.into_iter().chain([uniform]).all(|shape| sound(shape.lows))
        }
    }

    #[test]
    fn what_can_be_no_shape_is_named() {
        let refused = |page_bits, index_bits: &[u8]| Shape::new(Width::B8, page_bits, index_bits);
        assert_eq!(refused(12, &[]), Err(ShapeError::Levels { count: 0 }));
        assert_eq!(refused(12, &[1; 7]), Err(ShapeError::Levels { count: 7 }));
        assert_eq!(refused(12, &[9, 0, 9]), Err(ShapeError::EmptyLevel));
        assert_eq!(refused(255, &[255; 6]), Err(ShapeError::AddressBits { bits: 7 * 255 }));
        assert_eq!(refused(64, &[1]), Err(ShapeError::AddressBits { bits: 65 }));
        assert_eq!(
            refused(0, &[61, 3]),
            Ok(Shape::from_lows(Width::B8, [0, 3, 64, 64, 64, 64, 64, 64]))
        );
        assert_eq!(refused(0, &[1, 62]), Err(ShapeError::TableBits { bits: 65 }));
        assert_eq!(refused(55, &[9]).map(|shape| shape.table_bits(0)), Ok(64));
    }

    #[test]
    fn a_uniform_shape_is_the_one_of_equal_indices() {
        let made = Shape::new(Width::B8, 12, &[9, 9, 9, 9]);
        assert_eq!(made, Ok(Shape::uniform(Width::B8, 12, 9, 4)));
        assert_eq!(Shape::uniform(Width::B8, 12, 1, 200), Shape::uniform(Width::B8, 12, 1, 6));
    }
}
