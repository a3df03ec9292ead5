//! The seam of the reference models: what one access does when nothing is cached.

use emmu_core::{Access, PhysAddr};
use std::collections::{BTreeMap, BTreeSet};

/// A page-table read met no memory: a bus error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hole;

/// Physical memory as a reference model reads its tables: little-endian words at naturally aligned
/// addresses.
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
}

/// A table entry that the access changes (its accessed or dirty bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    /// Where the entry stands.
    pub addr: PhysAddr,
    /// Its size in bytes: 4 or 8.
    pub size: u8,
    /// What it holds from now on.
    pub value: u64,
}

/// What an access that is allowed does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The physical address of its first byte.
    pub pa: PhysAddr,
    /// Log2 of the size in bytes of the page or block that maps it; 64 where nothing is paged.
    pub page_bits: u32,
    /// The entries that it changes, in order of address, each once. An access that faults changes none.
    pub writes: Vec<Write>,
}

/// A reference model: the registers of one architecture, which know how an access is translated under them.
pub trait Reference {
    /// The exception in the architecture's own terms.
    type Fault;

    /// Translates the first byte of `access` as if no translation had ever been cached.
    ///
    /// # Errors
    /// The exception that the access raises instead.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Self::Fault>;
}

/// Memory for tables: RAM everywhere but in the holes, 0 wherever nothing was written.
///
/// ```
/// use emmu_core::PhysAddr;
/// use emmu_oracle::{Hole, Memory, reference::SparseMemory};
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

    /// Writes a 4-byte word.
    pub fn write32(&mut self, addr: PhysAddr, value: u32) {
        self.words.insert(addr.raw(), value);
    }

    /// Writes an 8-byte word.
    pub fn write64(&mut self, addr: PhysAddr, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.write32(addr, u32::from_le_bytes([a, b, c, d]));
        self.write32(addr.wrapping_add(4), u32::from_le_bytes([e, f, g, h]));
    }

    /// Makes a change that a reference model asked for.
    pub fn apply(&mut self, write: Write) {
        if write.size == 4 {
            let [a, b, c, d, ..] = write.value.to_le_bytes();
            self.write32(write.addr, u32::from_le_bytes([a, b, c, d]));
        } else {
            self.write64(write.addr, write.value);
        }
    }
}

impl Memory for SparseMemory {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        if self.holes.contains(&(addr.raw() >> Self::HOLE_BITS)) {
            return Err(Hole);
        }
        Ok(self.words.get(&addr.raw()).copied().unwrap_or(0))
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        let low = self.read32(addr)?;
        let high = self.read32(addr.wrapping_add(4))?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }
}
