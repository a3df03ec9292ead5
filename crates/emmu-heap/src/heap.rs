//! `Heap`: the interface of all memory managers.

use crate::HeapError;
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// A memory manager: it allocates parts of a region of emulated memory, and frees them.
///
/// All its data about the region are in emulated memory too, and it reaches them through the bus. Whatever
/// memory holds, a manager answers with a value or a [`HeapError`]. It neither panics nor hangs, and accesses
/// only its region and its own words.
pub trait Heap<B: Bus + ?Sized> {
    /// Allocates a block.
    ///
    /// # Errors
    /// [`HeapError::OutOfMemory`] if there is no room, [`HeapError::Alignment`], and [`HeapError::Corrupt`].
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError>;

    /// Frees the block that [`Heap::allocate`] gave at `addr`. `size` is the size of the request; managers
    /// without headers need it.
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

    /// Returns the free blocks, in the manager's own order.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if the manager's data are found to be damaged.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError>;

    /// Checks all of the manager's data in memory, which no single operation does.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if a byte of them is damaged.
    fn verify(&self, bus: &mut B) -> Result<(), HeapError>;

    /// Returns the addresses that are managed now.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if the end of the heap is damaged.
    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError>;

    /// Returns the counts so far.
    fn stats(&self) -> Stats;

    /// Frees a block without giving its size, as [`Heap::release`].
    ///
    /// # Errors
    /// As [`Heap::release`].
    fn free(&mut self, bus: &mut B, addr: PhysAddr) -> Result<Extent, HeapError> {
        self.release(bus, addr, None)
    }
}

/// A request for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The number of bytes.
    pub size: u64,
    /// The alignment: the address must be a multiple of this number of bytes, a power of two.
    pub align: u64,
}

impl Request {
    /// Makes a request for this number of bytes, at any address.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self { size, align: 1 }
    }

    /// Returns this request with an address that is a multiple of `align`.
    #[must_use]
    pub const fn aligned(self, align: u64) -> Self {
        Self { align, ..self }
    }

    pub(crate) fn validate(self) -> Result<(), HeapError> {
        let Self { align, .. } = self;
        if align.is_power_of_two() { Ok(()) } else { Err(HeapError::Alignment { align }) }
    }
}

/// A block that was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The first byte of the payload.
    pub addr: PhysAddr,
    /// All bytes that are no longer free, header and rounding included.
    pub extent: Extent,
    /// The number of elements searched: free blocks, size classes or tree nodes.
    pub searched: u64,
}

/// A number of bytes from an address on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// The first byte.
    pub addr: PhysAddr,
    /// The number of bytes.
    pub size: u64,
}

impl Extent {
    /// Makes an extent of `size` bytes from `addr` on.
    #[must_use]
    pub const fn new(addr: PhysAddr, size: u64) -> Self {
        Self { addr, size }
    }

    /// Returns the address one past the last byte.
    #[must_use]
    pub const fn end(self) -> PhysAddr {
        self.addr.wrapping_add(self.size)
    }

    /// Returns true if `addr` is one of the bytes.
    #[must_use]
    pub fn contains(self, addr: PhysAddr) -> bool {
        self.addr <= addr && addr < self.end()
    }

    /// Returns true if both extents share a byte.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.addr < other.end() && other.addr < self.end()
    }

    /// Makes an extent from `start` to `end`.
    pub(crate) fn between(start: PhysAddr, end: PhysAddr) -> Self {
        Self { addr: start, size: end.raw().saturating_sub(start.raw()) }
    }
}

/// The counts of a manager.
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
    /// Counts a request and its result.
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

/// The fragmentation of the free memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// The number of free bytes.
    pub free: u64,
    /// The number of bytes of the largest free block.
    pub largest: u64,
    /// The number of free blocks.
    pub blocks: u64,
}

impl Fragmentation {
    /// Returns the fragmentation of these free blocks.
    #[must_use]
    pub fn of(blocks: &[Extent]) -> Self {
        Self {
            free: blocks.iter().map(|block| block.size).sum(),
            largest: blocks.iter().map(|block| block.size).max().unwrap_or(0),
            blocks: blocks.len() as u64,
        }
    }

    /// Returns the external fragmentation, from 0 to 1: 1 − largest / total, the part of the free memory that a
    /// request for all of it would not get. It is 0 if nothing is free.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    pub fn external(&self) -> f64 {
        match self.free {
            0 => 0.0,
            free => 1.0 - self.largest as f64 / free as f64,
        }
    }
}
