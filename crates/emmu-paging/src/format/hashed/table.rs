//! The table: where a page's entry may stand in it, and of which bits an entry is made.

use bitflags::bitflags;
use emmu_core::{PhysAddr, RegisterError, VirtAddr, bit_range, low_mask};

/// The words for registers that name no table.
pub(super) const NO_BASE: &str =
    "expected a base, bits 39:13, that is a multiple of the table's size";
pub(super) const NO_SIZE: &str = "expected 10 to 36 in bits 5:0, log2 of the number of entries";

/// An entry that was taken out: it is no page's, and the search goes on behind it.
pub const DELETED: u64 = 1 << 1;

/// Places that an entry may stand at, and probes of a walk.
pub const PROBES: u8 = 8;

/// Bits of virtual addresses, of page offsets, and of frame numbers.
pub(super) const ADDRESS_BITS: u32 = 48;
const PAGE_BITS: u32 = 12;
const FRAME_BITS: u32 = 28;

/// Log2 of the bytes in an entry.
const ENTRY_BITS: u32 = 3;

/// In an entry: the lowest bits of its fields, and what tells whose it is.
const PROBE: u32 = 7;
const FRAME: u32 = 10;
const TAG: u32 = 38;
const KEY: u64 = bit_range(63, TAG) | bit_range(FRAME - 1, PROBE) | Pte::V.bits();

bitflags! {
    /// The single bits of an entry.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Pte: u64 {
        /// Valid.
        const V = 1 << 0;
        /// Readable.
        const R = 1 << 1;
        /// Writable.
        const W = 1 << 2;
        /// Executable.
        const X = 1 << 3;
        /// Accessible to user mode.
        const U = 1 << 4;
        /// Accessed.
        const A = 1 << 5;
        /// Dirty.
        const D = 1 << 6;
    }
}

/// A table, as software and hardware look a page up in it.
///
/// ```
/// use emmu_core::{PhysAddr, VirtAddr};
/// use emmu_paging::format::hashed::{HashTable, Pte};
///
/// let table = HashTable::of(1 << 63 | 0x10_0000 | 10)?;            // 1024 entries at 0x10_0000
/// let places: Vec<_> = table.places(VirtAddr::new(0x40_3000)).collect();
/// assert_eq!(places[0].addr(), PhysAddr::new(0x10_0000 + 8 * (3 ^ 1)));   // page 0x403: tag 1, low bits 3
/// assert_eq!(places[5].addr(), PhysAddr::new(0x10_0000 + 8 * (2 + 5)));
///
/// let raw = places[5].entry(PhysAddr::new(0x7000), Pte::R | Pte::W);
/// assert_eq!(raw, 1 << 38 | 7 << 10 | 5 << 7 | 0b111);
/// assert!(places[5].holds(raw) && !places[4].holds(raw));
/// # Ok::<(), emmu_core::RegisterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashTable {
    pub(super) base: PhysAddr,
    /// Log2 of the number of entries, 10 to 36.
    pub(super) bits: u32,
}

/// Where the entry of a page may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    addr: PhysAddr,
    /// The bits of [`KEY`] that an entry of the page holds here.
    key: u64,
}

impl Place {
    /// Its address.
    #[must_use]
    pub const fn addr(&self) -> PhysAddr {
        self.addr
    }

    /// Returns true if `raw`, read from here, is the page's entry.
    #[must_use]
    #[inline]
    pub const fn holds(&self, raw: u64) -> bool {
        raw & KEY == self.key
    }

    /// The entry that, written here, maps the page to `frame`, of whose number 28 bits count. V need not be said.
    #[must_use]
    pub const fn entry(&self, frame: PhysAddr, bits: Pte) -> u64 {
        self.key | frame.bits(PAGE_BITS, FRAME_BITS) << FRAME | bits.bits()
    }
}

impl HashTable {
    /// The table that this value of [`HTAB`](super::HTAB) or [`HTAB2`](super::HTAB2) names, whether it translates or not.
    ///
    /// # Errors
    /// [`RegisterError::Reserved`] if it names none.
    pub const fn of(htab: u64) -> Result<Self, RegisterError> {
        Self::named("htab", htab)
    }

    pub(super) const fn named(name: &'static str, value: u64) -> Result<Self, RegisterError> {
        let bits = (value & 0x3f) as u32;
        let base = PhysAddr::new(value & bit_range(39, 13));
        let what = match bits {
            10..=36 if base.offset(bits + ENTRY_BITS) == 0 => return Ok(Self { base, bits }),
            10..=36 => NO_BASE,
            _ => NO_SIZE,
        };
        Err(RegisterError::Reserved { name, value, what })
    }

    /// Where the entry of the page of this address may stand, in the order of the probes. 48 bits of it count.
    pub fn places(&self, addr: VirtAddr) -> impl Iterator<Item = Place> + use<> {
        let table = *self;
        (0..PROBES).map(move |probe| table.place(table.base, addr, probe))
    }

    #[inline]
    pub(super) const fn place(&self, base: PhysAddr, addr: VirtAddr, probe: u8) -> Place {
        let page = addr.bits(PAGE_BITS, ADDRESS_BITS - PAGE_BITS);
        let tag = page >> self.bits;
        // 26 bits of tag are no more than three times n.
        let hash = page ^ tag ^ tag >> self.bits ^ tag >> self.bits >> self.bits;
        let index = (hash + probe as u64) & low_mask(self.bits);
        let key = tag << TAG | (probe as u64) << PROBE | Pte::V.bits();
        Place { addr: base.wrapping_add(index << ENTRY_BITS), key }
    }
}

/// The frame that an entry with V maps.
#[inline]
pub(super) const fn frame(raw: u64) -> PhysAddr {
    PhysAddr::new((raw >> FRAME & low_mask(FRAME_BITS)) << PAGE_BITS)
}

/// Returns true if an entry was never used, so that no entry of the page is behind it.
#[inline]
pub(super) const fn ends_search(raw: u64) -> bool {
    raw & (Pte::V.bits() | DELETED) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;
    use std::{string::ToString, vec::Vec};

    /// The table of 2^`bits` entries at 0.
    fn table(bits: u32) -> HashTable {
        HashTable { base: PhysAddr::ZERO, bits }
    }

    quickcheck! {
        fn what_stands_at_a_place_says_whose_it_is(bits: u32, page: u64, raw: u64) -> bool {
            let table = table(10 + bits % 27);
            let page = VirtAddr::new((page & low_mask(36)) << PAGE_BITS);
            table.places(page).all(|place| {
                let raw = place.entry(PhysAddr::new(raw), Pte::from_bits_truncate(raw));
                // Undo the hash by what is at hand: the place, the tag and the probe.
                let (tag, probe) = (raw >> TAG, raw >> PROBE & 7);
                let home = (place.addr().raw() >> ENTRY_BITS).wrapping_sub(probe) & low_mask(table.bits);
                let other = table.place(PhysAddr::ZERO, VirtAddr::new(tag << table.bits << PAGE_BITS), 0);
                let low = home ^ other.addr().raw() >> ENTRY_BITS;
                tag << table.bits | low == page.block(PAGE_BITS)
            })
        }

        fn places_are_eight_neighbours_in_the_table(bits: u32, page: u64) -> bool {
            let table = table(10 + bits % 27);
            let indices: Vec<u64> = table.places(VirtAddr::new(page)).map(|place| place.addr().raw() / 8).collect();
            let follow = |pair: &[u64]| pair[1] == (pair[0] + 1) % (1 << table.bits);
            indices.len() == 8 && indices[0] < 1 << table.bits && indices.windows(2).all(follow)
        }
    }

    #[test]
    fn the_tag_is_folded_into_the_first_place() {
        let first = |bits, page: u64| {
            let mut places = table(bits).places(VirtAddr::new(page << PAGE_BITS));
            places.next().map(|place| place.addr().raw() / 8)
        };
        // Tag 0x2abcdef is 0b10_1010101111_0011011110_1111 in parts of ten bits, from below 0x1ef, 0x2f3 and 0x2a.
        assert_eq!(first(10, 0x2ab_cdef << 10 | 5), Some(0x1ef ^ 0x2f3 ^ 0x2a ^ 5));
        assert_eq!(first(36, 0xa_bcde_f012), Some(0xa_bcde_f012), "all of it is the index");
    }

    #[test]
    fn neighbours_share_cache_lines() {
        let line = |page: u64| {
            table(10)
                .places(VirtAddr::new(page << PAGE_BITS))
                .next()
                .map(|place| place.addr().block(6))
        };
        assert!((0x4_5670..0x4_5678).all(|page| line(page) == line(0x4_5670)));
    }

    #[test]
    fn what_names_no_table_is_refused() {
        let refusal = |htab| HashTable::of(htab).unwrap_err().to_string();
        assert_eq!(
            refusal(9),
            "htab refuses 0x9: expected 10 to 36 in bits 5:0, log2 of the number of entries"
        );
        assert!(refusal(37).contains("expected 10 to 36"));
        assert_eq!(
            refusal(0x2000 | 11),
            "htab refuses 0x200b: expected a base, bits 39:13, that is a multiple of the table's size"
        );
        assert!(HashTable::of(0x2000 | 10).is_ok() && HashTable::of(1 << 39 | 36).is_ok());
    }
}
