//! The memory of a vector: table words, and holes where nothing answers.

mod bus;

use emmu_core::PhysAddr;
use std::collections::{BTreeMap, BTreeSet};

/// A page-table read met no memory: a bus error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hole;

/// Physical memory as a walk reads its tables: little-endian words at naturally aligned
/// addresses, and entries of any size at any address where a format has such.
pub trait Memory {
    /// The 4-byte word at `addr`.
    ///
    /// # Errors
    /// [`Hole`] if nothing answers there.
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole>;

    /// The 8-byte word at `addr`.
    ///
    /// # Errors
    /// [`Hole`] if nothing answers there.
    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole>;

    /// The entry of `size` bytes, 1 to 8, from `addr` on, which need not be aligned: byte by byte.
    ///
    /// # Errors
    /// [`Hole`] if nothing answers for one of the bytes, as past the last address.
    fn read_entry(&self, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let mut entry = 0;
        for number in 0..u64::from(size) {
            let at = addr.checked_add(number).ok_or(Hole)?;
            let word = self.read32(at.align_down(2))?;
            let byte = word >> (8 * at.offset(2)) & 0xff;
            entry |= u64::from(byte) << (8 * number);
        }
        Ok(entry)
    }
}

/// A table entry that the access changes (its accessed or dirty bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    /// Where the entry stands.
    pub addr: PhysAddr,
    /// Its size in bytes: 4 or 8, and of described formats anything from 1 to 8.
    pub size: u8,
    /// The new value.
    pub value: u64,
}

/// Memory for tables: RAM everywhere but in the holes, 0 wherever nothing was written.
///
/// ```
/// use emmu_core::PhysAddr;
/// use emmu_vectors::{Hole, Memory, SparseMemory};
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x1008), 0x1122_3344_5566_7788);
/// memory.punch(PhysAddr::new(0x2000));
/// assert_eq!(memory.read32(PhysAddr::new(0x100c)), Ok(0x1122_3344));
/// assert_eq!(memory.read64(PhysAddr::new(0x1000)), Ok(0));
/// assert_eq!(memory.read64(PhysAddr::new(0x2ff8)), Err(Hole));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMemory {
    words: BTreeMap<u64, u32>,
    holes: BTreeSet<u64>,
}

impl SparseMemory {
    /// Log2 of the size of a hole in bytes.
    pub const HOLE_BITS: u32 = 12;

    /// Makes a hole of the 4 KiB frame that holds `addr`.
    pub fn punch(&mut self, addr: PhysAddr) {
        self.holes.insert(addr.raw() >> Self::HOLE_BITS);
    }

    /// The first byte from `first` to `last` that lies in a hole.
    #[must_use]
    pub fn first_hole(&self, first: PhysAddr, last: PhysAddr) -> Option<PhysAddr> {
        let frame = |addr: PhysAddr| addr.raw() >> Self::HOLE_BITS;
        let hole = self.holes.iter().find(|hole| (frame(first)..=frame(last)).contains(hole))?;
        Some(first.max(PhysAddr::new(hole << Self::HOLE_BITS)))
    }

    /// Writes a 4-byte word.
    pub fn write32(&mut self, addr: PhysAddr, value: u32) {
        // Zeros are not kept, so that memories that read alike are equal.
        if value == 0 {
            self.words.remove(&addr.raw());
        } else {
            self.words.insert(addr.raw(), value);
        }
    }

    /// Writes an 8-byte word.
    pub fn write64(&mut self, addr: PhysAddr, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.write32(addr, u32::from_le_bytes([a, b, c, d]));
        self.write32(addr.wrapping_add(4), u32::from_le_bytes([e, f, g, h]));
    }

    /// Makes several changes, in order.
    pub fn apply_all(&mut self, writes: &[Write]) {
        for write in writes {
            self.apply(*write);
        }
    }

    /// The 4-byte words that are not 0, in order of address.
    pub fn words(&self) -> impl Iterator<Item = (PhysAddr, u32)> + '_ {
        self.words.iter().map(|(addr, word)| (PhysAddr::new(*addr), *word))
    }

    /// The words of `size` bytes (4 or 8) that hold something else than they did `before`, in order of
    /// address. Holes do not count.
    #[must_use]
    pub fn changes(&self, before: &Self, size: u8) -> Vec<Write> {
        let align = |addr: &u64| addr / u64::from(size) * u64::from(size);
        let touched: BTreeSet<u64> =
            self.words.keys().chain(before.words.keys()).map(align).collect();
        let word = |memory: &Self, addr| {
            let low = u64::from(memory.word(addr));
            let high = if size == 8 { u64::from(memory.word(addr + 4)) } else { 0 };
            high << 32 | low
        };
        let changed = touched.into_iter().filter(|addr| word(self, *addr) != word(before, *addr));
        changed
            .map(|addr| Write { addr: PhysAddr::new(addr), size, value: word(self, addr) })
            .collect()
    }

    /// Returns the word in RAM, in or outside of a hole.
    fn word(&self, addr: u64) -> u32 {
        self.words.get(&addr).copied().unwrap_or(0)
    }

    /// Makes a change that a reference model asked for.
    pub fn apply(&mut self, write: Write) {
        let Write { addr, size, value } = write;
        let [a, b, c, d, ..] = value.to_le_bytes();
        match size {
            4 if addr.offset(2) == 0 => self.write32(addr, u32::from_le_bytes([a, b, c, d])),
            8 if addr.offset(2) == 0 => self.write64(addr, value),
            _ => self.write_entry(addr, size, value),
        }
    }

    /// Writes the low `size` bytes of `value` one by one.
    fn write_entry(&mut self, addr: PhysAddr, size: u8, value: u64) {
        for (number, byte) in (0..u64::from(size)).zip(value.to_le_bytes()) {
            let at = addr.wrapping_add(number);
            let lane = 8 * at.offset(2);
            let rest = self.word(at.align_down(2).raw()) & !(0xff << lane);
            self.write32(at.align_down(2), rest | u32::from(byte) << lane);
        }
    }
}

impl Memory for SparseMemory {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        if self.holes.contains(&(addr.raw() >> Self::HOLE_BITS)) {
            return Err(Hole);
        }
        Ok(self.word(addr.raw()))
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        let low = self.read32(addr)?;
        let high = self.read32(addr.wrapping_add(4))?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }
}
