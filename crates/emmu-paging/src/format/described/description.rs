//! The description of a page table, and the reasons why it may be no format.

use crate::format::{Shape, ShapeError};
use alloc::vec::Vec;
use emmu_core::{Width, low_mask};
use thiserror::Error;

/// A bit of an entry, or none.
pub(super) type Bit = Option<u8>;

/// A description of page tables: their geometry, and the places of the fields in an entry.
///
/// All bits but `frame` and `valid` are optional. Rights that have no bit are granted; without an accessed or
/// dirty bit nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Description {
    pub(super) entry: Width,
    pub(super) page_bits: u8,
    pub(super) index_bits: Vec<u8>,
    pub(super) frame: (u8, u8),
    pub(super) valid: Bit,
    pub(super) page: Bit,
    pub(super) read: Bit,
    pub(super) write: Bit,
    pub(super) execute: Bit,
    pub(super) user: Bit,
    pub(super) global: Bit,
    pub(super) accessed: Bit,
    pub(super) dirty: Bit,
    pub(super) flags_fault: bool,
}

/// Why a description is no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The page size or the indices.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A field lies outside of the entry.
    #[error("{field}: bit {bit}, expected less than {width}, the entry's width")]
    OutsideEntry {
        /// Which field.
        field: &'static str,
        /// Its highest bit.
        bit: u32,
        /// Bits in an entry.
        width: u32,
    },
    /// Two fields claim the same bit.
    #[error("{field}: bit {bit} belongs to another field already")]
    Overlap {
        /// The field that comes second.
        field: &'static str,
        /// The lowest bit shared.
        bit: u32,
    },
    /// A frame number that is shifted out of 64 bits names no frame.
    #[error("frame: {bits} bits of physical address, expected at most 64")]
    FrameBits {
        /// Frame number and page offset together.
        bits: u32,
    },
    /// Something that cannot be left out.
    #[error("{field}: missing")]
    Missing {
        /// Which field.
        field: &'static str,
    },
}

/// A field of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name of the field.
    pub name: &'static str,
    /// The lowest bit of the field.
    pub low: u8,
    /// The number of its bits.
    pub count: u8,
}

impl Field {
    /// Returns the value of the field in this entry.
    #[must_use]
    pub const fn of(self, raw: u64) -> u64 {
        match raw.checked_shr(self.low as u32) {
            Some(shifted) => shifted & low_mask(self.count as u32),
            None => 0,
        }
    }
}

impl Description {
    /// Entries of `entry` bytes; pages of 2^`page_bits` bytes; indices of so many bits, the topmost level
    /// first. Where the frame number and the valid bit are is still to be said.
    #[must_use]
    pub fn new(entry: Width, page_bits: u8, index_bits: &[u8]) -> Self {
        Self {
            entry,
            page_bits,
            index_bits: index_bits.to_vec(),
            frame: (0, 0),
            valid: None,
            page: None,
            read: None,
            write: None,
            execute: None,
            user: None,
            global: None,
            accessed: None,
            dirty: None,
            flags_fault: false,
        }
    }

    /// The frame number: `count` bits from bit `low` on. In an entry above the last level it is the frame in
    /// which the next table starts.
    #[must_use]
    pub fn frame(mut self, low: u8, count: u8) -> Self {
        self.frame = (low, count);
        self
    }

    /// The bit that says that the entry means anything.
    #[must_use]
    pub fn valid(mut self, bit: u8) -> Self {
        self.valid = Some(bit);
        self
    }

    /// The bit that makes an entry above the last level a page. Without it, only the last level has pages.
    #[must_use]
    pub fn superpage(mut self, bit: u8) -> Self {
        self.page = Some(bit);
        self
    }

    /// The bits that allow reading, writing and executing, in the entry of the page.
    #[must_use]
    pub fn rights(mut self, read: Option<u8>, write: Option<u8>, execute: Option<u8>) -> Self {
        (self.read, self.write, self.execute) = (read, write, execute);
        self
    }

    /// The bit that lets user mode at the page.
    #[must_use]
    pub fn user(mut self, bit: u8) -> Self {
        self.user = Some(bit);
        self
    }

    /// The bit of pages that are alike in every address space.
    #[must_use]
    pub fn global(mut self, bit: u8) -> Self {
        self.global = Some(bit);
        self
    }

    /// The bits that record an access and a write, set by hardware.
    #[must_use]
    pub fn recorded(mut self, accessed: Option<u8>, dirty: Option<u8>) -> Self {
        (self.accessed, self.dirty, self.flags_fault) = (accessed, dirty, false);
        self
    }

    /// The bits that record an access and a write, set by software: an access that finds one clear faults.
    #[must_use]
    pub fn recorded_by_software(self, accessed: Option<u8>, dirty: Option<u8>) -> Self {
        Self { flags_fault: true, ..self.recorded(accessed, dirty) }
    }

    /// Returns the fields of an entry: first the frame number, `frame`, then the single bits that are described, by
    /// the names of their methods; the bits of [`Description::rights`] are `read`, `write` and `execute`, those of
    /// [`Description::recorded`] `accessed` and `dirty`.
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        let (low, count) = self.frame;
        let frame = Field { name: "frame", low, count };
        let bits = self.bits().map(|(name, low)| Field { name, low, count: 1 });
        core::iter::once(frame).chain(bits)
    }

    /// Every single bit that is there, with its name.
    fn bits(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let named = [
            ("valid", self.valid),
            ("superpage", self.page),
            ("read", self.read),
            ("write", self.write),
            ("execute", self.execute),
            ("user", self.user),
            ("global", self.global),
            ("accessed", self.accessed),
            ("dirty", self.dirty),
        ];
        named.into_iter().filter_map(|(name, bit)| Some((name, bit?)))
    }

    pub(super) fn address_bits(&self) -> u32 {
        let indices: u32 = self.index_bits.iter().map(|&bits| u32::from(bits)).sum();
        indices + u32::from(self.page_bits)
    }

    pub(super) fn validate_fields(&self) -> Result<(), DescriptionError> {
        let width = self.entry as u32 * 8;
        let (low, count) = (u32::from(self.frame.0), u32::from(self.frame.1));
        let outside = |field, bit| DescriptionError::OutsideEntry { field, bit, width };
        match () {
            () if count == 0 => return Err(DescriptionError::Missing { field: "frame" }),
            () if self.valid.is_none() => return Err(DescriptionError::Missing { field: "valid" }),
            () if low + count > width => return Err(outside("frame", low + count - 1)),
            () => {}
        }
        let bits = count + u32::from(self.page_bits);
        if bits > 64 {
            return Err(DescriptionError::FrameBits { bits });
        }
        let mut taken = low_mask(count) << low;
        for (field, bit) in self.bits() {
            let bit = u32::from(bit);
            if bit >= width {
                return Err(outside(field, bit));
            }
            if taken >> bit & 1 != 0 {
                return Err(DescriptionError::Overlap { field, bit });
            }
            taken |= 1 << bit;
        }
        Ok(())
    }

    pub(super) fn shape(&self) -> Result<Shape, ShapeError> {
        Shape::new(self.entry, self.page_bits, &self.index_bits)
    }

    pub(super) fn top_level(&self) -> u8 {
        u8::try_from(self.index_bits.len()).unwrap_or(0).saturating_sub(1)
    }
}
