//! What all managers have in common.

use crate::HeapError;
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// A memory manager: hands out parts of a region of emulated memory, and takes them back.
///
/// All that it knows of the region is in emulated memory too, and is reached through the bus. Whatever stands there,
/// a manager answers with a value or a [`HeapError`]: it neither panics nor hangs, and touches nothing but its region
/// and its own words.
pub trait Heap<B: Bus + ?Sized> {
    /// Finds room.
    ///
    /// # Errors
    /// [`HeapError::OutOfMemory`] if there is none, [`HeapError::Alignment`], and [`HeapError::Corrupt`].
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError>;

    /// Takes back what [`Heap::allocate`] gave at `addr`; `size` is what was asked for then, which managers without
    /// headers have to be told.
    ///
    /// # Errors
    /// [`HeapError::DoubleFree`], [`HeapError::InvalidFree`], [`HeapError::HeaderOverwritten`],
    /// [`HeapError::SizeUnknown`], and [`HeapError::Corrupt`].
    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError>;

    /// The free blocks, in the manager's own order.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] where the manager's data are found damaged.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError>;

    /// Looks at all of the manager's data in memory: more than any one operation does.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if a byte of them is damaged.
    fn verify(&self, bus: &mut B) -> Result<(), HeapError>;

    /// The addresses that are managed now.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if that is damaged.
    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError>;

    /// What was done so far.
    fn stats(&self) -> Stats;

    /// [`Heap::release`] without a size.
    ///
    /// # Errors
    /// As [`Heap::release`].
    fn free(&mut self, bus: &mut B, addr: PhysAddr) -> Result<Extent, HeapError> {
        self.release(bus, addr, None)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Bytes.
    pub size: u64,
    /// The address is to be a multiple of this many bytes, a power of two.
    pub align: u64,
}

impl Request {
    /// So many bytes, wherever.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self { size, align: 1 }
    }

    /// The same at a multiple of `align`.
    #[must_use]
    pub const fn aligned(self, align: u64) -> Self {
        Self { align, ..self }
    }

    pub(crate) fn validate(self) -> Result<(), HeapError> {
        let Self { align, .. } = self;
        if align.is_power_of_two() { Ok(()) } else { Err(HeapError::Alignment { align }) }
    }
}

/// What was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The first byte for whoever asked.
    pub addr: PhysAddr,
    /// All that is no longer free: header and rounding included.
    pub extent: Extent,
    /// Elements that were searched: free blocks, size classes or tree nodes that were looked at.
    pub searched: u64,
}

/// So many bytes from an address on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// The first byte.
    pub addr: PhysAddr,
    /// How many.
    pub size: u64,
}

impl Extent {
    /// `size` bytes from `addr` on.
    #[must_use]
    pub const fn new(addr: PhysAddr, size: u64) -> Self {
        Self { addr, size }
    }

    /// One past the last byte.
    #[must_use]
    pub const fn end(self) -> PhysAddr {
        self.addr.wrapping_add(self.size)
    }

    /// Whether `addr` is one of the bytes.
    #[must_use]
    pub fn contains(self, addr: PhysAddr) -> bool {
        self.addr <= addr && addr < self.end()
    }

    /// Whether there is a byte in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.addr < other.end() && other.addr < self.end()
    }

    /// The bytes from `start` to `end`.
    pub(crate) fn between(start: PhysAddr, end: PhysAddr) -> Self {
        Self { addr: start, size: end.raw().saturating_sub(start.raw()) }
    }
}

/// What a manager did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were met.
    pub allocations: u64,
    /// Requests for which there was no room.
    pub failures: u64,
    /// Blocks that were taken back.
    pub frees: u64,
    /// Elements that all requests together searched.
    pub searched: u64,
    /// Bytes by which the region grew.
    pub grown: u64,
}

impl Stats {
    /// Counts what came of a request.
    pub(crate) fn count(&mut self, answer: &Result<Block, HeapError>) {
        match answer {
            Ok(block) => {
                self.allocations += 1;
                self.searched += block.searched;
            }
            Err(HeapError::OutOfMemory { searched, .. }) => {
                self.failures += 1;
                self.searched += searched;
            }
            Err(_) => {}
        }
    }
}

/// How torn the free memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes of the largest free block.
    pub largest: u64,
    /// Free blocks.
    pub blocks: u64,
}

impl Fragmentation {
    /// That of these free blocks.
    #[must_use]
    pub fn of(blocks: &[Extent]) -> Self {
        Self {
            free: blocks.iter().map(|block| block.size).sum(),
            largest: blocks.iter().map(|block| block.size).max().unwrap_or(0),
            blocks: blocks.len() as u64,
        }
    }

    /// External fragmentation, 0 to 1: 1 − largest / total, the part of the free memory that a request for all of it
    /// would not get. 0 if nothing is free.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    pub fn external(&self) -> f64 {
        match self.free {
            0 => 0.0,
            free => 1.0 - self.largest as f64 / free as f64,
        }
    }
}
