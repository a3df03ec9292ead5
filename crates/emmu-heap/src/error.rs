//! Errors of memory managers.

use crate::Field;
use emmu_core::{BusError, PhysAddr};
use thiserror::Error;

/// The reason why a manager refused an operation. Nothing has changed, except with [`HeapError::Corrupt`] and
/// [`HeapError::Bus`], which may occur in the middle of an operation; such a heap is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeapError {
    /// No free block is good enough, and the heap does not grow.
    #[error("out of memory: no free block has room for {need} bytes, {searched} searched")]
    OutOfMemory {
        /// The bytes that the block needed: the request, rounded up, and its header.
        need: u64,
        /// The number of elements searched.
        searched: u64,
    },
    /// An alignment that is no power of two.
    #[error("an alignment of {align} bytes, expected a power of two")]
    Alignment {
        /// The alignment asked for.
        align: u64,
    },
    /// The block to be freed is free already.
    #[error("double free: {addr} is free already")]
    DoubleFree {
        /// The address that was to be freed.
        addr: PhysAddr,
    },
    /// The block to be freed was never allocated.
    #[error("invalid free of {addr}: {why}")]
    InvalidFree {
        /// The address that was to be freed.
        addr: PhysAddr,
        /// The reason why no block can be there.
        why: InvalidFree,
    },
    /// There is no header before the address: the header was overwritten, or the address is not that of a
    /// block.
    #[error("the header of {addr} is overwritten: its magic number is {found:#x}")]
    HeaderOverwritten {
        /// The address that was to be freed.
        addr: PhysAddr,
        /// The word in place of the magic number.
        found: u64,
    },
    /// Blocks have no headers, and the caller did not give the size.
    #[error("{addr} has no header: its size must be told to free it")]
    SizeUnknown {
        /// The address that was to be freed.
        addr: PhysAddr,
    },
    /// The manager's own data are not what it wrote.
    #[error("corrupt heap: {field} at {at}: {problem}")]
    Corrupt {
        /// The address of the word.
        at: PhysAddr,
        /// The meaning of the word.
        field: Field,
        /// The damage.
        problem: Corruption,
    },
    /// Allocations that were never freed.
    #[error("leak: {blocks} blocks of {bytes} bytes were never freed, the first at {first}")]
    Leak {
        /// The number of allocations.
        blocks: u64,
        /// The number of bytes requested.
        bytes: u64,
        /// The address of the first allocation.
        first: PhysAddr,
    },
    /// The bus refused a transfer of the manager's own data.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The reason why no allocated block can be at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidFree {
    /// The address is not in the heap.
    #[error("it is outside of the heap")]
    Outside,
    /// No block can start there.
    #[error("no block can start there")]
    Misaligned,
    /// The address is within a block, not at its start.
    #[error("it is in the middle of a block")]
    Interior,
    /// The address was never allocated. Only a manager with a record can tell.
    #[error("it was never allocated")]
    NeverAllocated,
    /// The block would overlap a free block, or pass the end of the heap.
    #[error("a block of that size does not fit there")]
    Extent,
    /// A stack frees its newest block first.
    #[error("it is not the newest block of the stack")]
    NotTheTop,
}

/// The damage of a word of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The seal does not match; [`Field`] names the meaning of the word.
    #[error("overwritten")]
    Seal,
    /// The word names a place where no free block can be.
    #[error("it names {block}, where no free block can be")]
    Place {
        /// The place.
        block: PhysAddr,
    },
    /// The block is too small, is no multiple of the granule, or passes the end of the heap.
    #[error("{size} bytes are no size of this block")]
    Extent {
        /// The size of the block.
        size: u64,
    },
    /// The free blocks are larger than the heap: blocks overlap, or the list has a cycle.
    #[error("the list does not end within the heap")]
    Endless,
    /// The list or tree is not in its order.
    #[error("{block} is out of order")]
    Order {
        /// The block that stands too late.
        block: PhysAddr,
    },
    /// Two free blocks share bytes.
    #[error("free blocks overlap at {block}")]
    Overlap {
        /// The second of the blocks.
        block: PhysAddr,
    },
    /// The word names a block that the other structures do not list.
    #[error("{block} is not where it should be listed")]
    Unlisted {
        /// The block.
        block: PhysAddr,
    },
    /// The value is impossible.
    #[error("{found:#x} is no value that it can have")]
    Value {
        /// The value.
        found: u64,
    },
}

/// The reason why there can be no such manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is not allowed.
    #[error("{what} is {value}, expected {expected}")]
    Number {
        /// The name of the number.
        what: &'static str,
        /// The meaning of the word.
        value: u64,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// The manager's own words overlap its region.
    #[error("the manager's own words at {control} are in the heap")]
    ControlInHeap {
        /// The address of those words.
        control: PhysAddr,
    },
    /// The bus refused the first words.
    #[error(transparent)]
    Heap(#[from] HeapError),
}

/// Returns the number if it is allowed, and otherwise an error.
pub(crate) fn expect(
    what: &'static str,
    value: u64,
    good: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if good { Ok(()) } else { Err(ConfigError::Number { what, value, expected }) }
}
