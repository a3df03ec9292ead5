//! Sealed words: words of emulated memory in which a write of other code is noticed.
//!
//! ```text
//!  63            48 47                                            0
//! ┌────────────────┬───────────────────────────────────────────────┐
//! │ seal           │ value: an address or a size; all ones is none │
//! └────────────────┴───────────────────────────────────────────────┘
//! ```
//!
//! The seal is the exclusive or of the three 16-bit limbs of the value, of the meaning of the word, and of its
//! place. A change of any one byte is always noticed. So is a word of zeros or a word copied from elsewhere,
//! except for one in 2^16. (Allocators of real systems mangle their list pointers for the same purpose: glibc's
//! safe-linking, Linux's hardened SLUB.)

use crate::{Corruption, HeapError};
use core::fmt;
use emmu_core::{Bus, PhysAddr, Width, low_mask};

/// The number of bits of a word that are its value.
const VALUE_BITS: u32 = 48;
/// The value that means no address.
const NONE: u64 = low_mask(VALUE_BITS);
/// The address one past the highest one that a manager can manage.
pub const ADDRESS_LIMIT: u64 = 1 << VALUE_BITS;
/// The number of bytes of a word.
pub(crate) const WORD: u64 = Width::B8.bytes();

/// The meaning of a word of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Field {
    /// The head pointer of a list, or the pointer of a stack.
    Head = 1,
    /// Next fit: the block after which the search starts.
    Rover,
    /// The end of the heap.
    End,
    /// The size of a block, in the block.
    Size,
    /// The pointer to the next block, in a free block.
    Next,
    /// The size of an allocated block, in its header.
    HeaderSize,
    /// The root pointer of a tree.
    Root,
    /// The pointer to the left subtree, in a free block.
    Left,
    /// The pointer to the right subtree, in a free block.
    Right,
    /// The height of a subtree, in the free block at its root.
    Height,
    /// The number of objects in use, in a slab.
    Used,
    /// The pointer to the next slab, in a slab.
    NextSlab,
    /// The state of a block of a buddy system: a byte, not a word.
    State,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Head => "head pointer",
            Self::Rover => "rover",
            Self::End => "end of the heap",
            Self::Size => "size",
            Self::Next => "next pointer",
            Self::HeaderSize => "size in a header",
            Self::Root => "root pointer",
            Self::Left => "left pointer",
            Self::Right => "right pointer",
            Self::Height => "height",
            Self::Used => "count of objects",
            Self::NextSlab => "next slab",
            Self::State => "state of a block",
        })
    }
}

/// A place in memory that holds a sealed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) at: PhysAddr,
    pub(crate) field: Field,
}

impl Word {
    pub(crate) fn new(at: PhysAddr, offset: u64, field: Field) -> Self {
        Self { at: at.wrapping_add(offset), field }
    }

    /// Returns the value, if the seal matches.
    pub(crate) fn read<B: Bus + ?Sized>(self, bus: &mut B) -> Result<u64, HeapError> {
        let raw = bus.read(self.at, Width::B8)?;
        let value = raw & NONE;
        if raw == self.sealed(value) { Ok(value) } else { Err(self.corrupt(Corruption::Seal)) }
    }

    pub(crate) fn write<B: Bus + ?Sized>(self, bus: &mut B, value: u64) -> Result<(), HeapError> {
        Ok(bus.write(self.at, Width::B8, self.sealed(value))?)
    }

    /// Returns the address that the word holds, or `None` if it holds none.
    pub(crate) fn read_pointer<B: Bus + ?Sized>(
        self,
        bus: &mut B,
    ) -> Result<Option<PhysAddr>, HeapError> {
        let value = self.read(bus)?;
        Ok((value != NONE).then_some(PhysAddr::new(value)))
    }

    pub(crate) fn write_pointer<B: Bus + ?Sized>(
        self,
        bus: &mut B,
        to: Option<PhysAddr>,
    ) -> Result<(), HeapError> {
        self.write(bus, to.map_or(NONE, PhysAddr::raw))
    }

    /// Makes the error that this word is damaged.
    pub(crate) fn corrupt(self, problem: Corruption) -> HeapError {
        HeapError::Corrupt { at: self.at, field: self.field, problem }
    }

    fn sealed(self, value: u64) -> u64 {
        let [a, b, c, _] = limbs(value & NONE);
        let seal = a ^ b.rotate_left(5) ^ c.rotate_left(11) ^ self.place();
        u64::from(seal) << VALUE_BITS | value & NONE
    }

    /// Returns 16 bits that differ from place to place and from field to field: multiplicative hashing (Knuth,
    /// vol. 3, 6.4).
    fn place(self) -> u16 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let [.., high] = limbs((self.at.raw() ^ (self.field as u64) << 56).wrapping_mul(GOLDEN));
        high
    }
}

/// Splits a value into limbs, the low limb first.
fn limbs(value: u64) -> [u16; 4] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [[a, b], [c, d], [e, f], [g, h]].map(u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_memory::Memory;
    use emmu_property::quickcheck;

    const FIELD: Field = Field::Next;

    quickcheck! {
        fn a_value_comes_back(at: u16, value: u64) -> bool {
            let word = Word::new(PhysAddr::new(at.into()), 0, FIELD);
            let mut memory = Memory::ram(1 << 17);
            word.write(&mut memory, value).unwrap();
            word.read(&mut memory) == Ok(value & NONE)
        }

        fn a_change_of_one_byte_is_noticed(at: u16, value: u64, byte: u8, flip: u8) -> bool {
            let word = Word::new(PhysAddr::new(at.into()), 0, FIELD);
            let mut memory = Memory::ram(1 << 17);
            word.write(&mut memory, value).unwrap();
            let byte = word.at.wrapping_add(u64::from(byte % 8));
            let old = memory.read(byte, Width::B1).unwrap();
            memory.write(byte, Width::B1, old ^ u64::from(flip)).unwrap();
            word.read(&mut memory).is_ok() == (flip == 0)
        }
    }

    #[test]
    fn untouched_memory_is_no_word() {
        let word = Word::new(PhysAddr::new(0x40), 0, FIELD);
        let refused = word.read(&mut Memory::ram(4096));
        assert_eq!(refused, Err(word.corrupt(Corruption::Seal)));
    }

    #[test]
    fn no_address_is_not_address_zero() {
        let mut memory = Memory::ram(4096);
        let word = Word::new(PhysAddr::new(8), 0, FIELD);
        word.write_pointer(&mut memory, None).unwrap();
        assert_eq!(word.read_pointer(&mut memory), Ok(None));
        word.write_pointer(&mut memory, Some(PhysAddr::ZERO)).unwrap();
        assert_eq!(word.read_pointer(&mut memory), Ok(Some(PhysAddr::ZERO)));
    }
}
