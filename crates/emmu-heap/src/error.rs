//! What a manager refuses, and what it finds damaged.

use crate::Field;
use emmu_core::{BusError, PhysAddr};
use thiserror::Error;

/// Why a manager did not do what it was asked to. Nothing has changed then, unless it is [`HeapError::Corrupt`] or
/// [`HeapError::Bus`], which may come in the middle: there is no telling what such a heap would do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeapError {
    /// No free block is good enough, and the heap does not grow.
    #[error("out of memory: no free block has room for {need} bytes, {searched} searched")]
    OutOfMemory {
        /// Bytes that the block needed: what was asked for, rounded up, and its header.
        need: u64,
        /// Elements that were searched.
        searched: u64,
    },
    /// An alignment that is no power of two.
    #[error("an alignment of {align} bytes, expected a power of two")]
    Alignment {
        /// The alignment asked for.
        align: u64,
    },
    /// What is freed is free already.
    #[error("double free: {addr} is free already")]
    DoubleFree {
        /// The address that was to be freed.
        addr: PhysAddr,
    },
    /// What is freed was never allocated.
    #[error("invalid free of {addr}: {why}")]
    InvalidFree {
        /// The address that was to be freed.
        addr: PhysAddr,
        /// Why nothing can be there.
        why: InvalidFree,
    },
    /// Where a header should be, something else is: it was overwritten, or the address is not of a block.
    #[error("the header of {addr} is overwritten: its magic number is {found:#x}")]
    HeaderOverwritten {
        /// The address that was to be freed.
        addr: PhysAddr,
        /// What stands in place of the magic number.
        found: u64,
    },
    /// Blocks without headers do not know their size, and nobody told it.
    #[error("{addr} has no header: its size must be told to free it")]
    SizeUnknown {
        /// The address that was to be freed.
        addr: PhysAddr,
    },
    /// The manager's own data are not what it wrote.
    #[error("corrupt heap: {field} at {at}: {problem}")]
    Corrupt {
        /// Where the word is.
        at: PhysAddr,
        /// What it is.
        field: Field,
        /// What is wrong with it.
        problem: Corruption,
    },
    /// Allocations that were never freed.
    #[error("leak: {blocks} blocks of {bytes} bytes were never freed, the first at {first}")]
    Leak {
        /// How many.
        blocks: u64,
        /// Bytes that were asked for.
        bytes: u64,
        /// Address of the first.
        first: PhysAddr,
    },
    /// The bus refused a transfer of the manager's own data.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Why nothing that was allocated can be at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidFree {
    /// It is not in the heap.
    #[error("it is outside of the heap")]
    Outside,
    /// No block can start there.
    #[error("no block can start there")]
    Misaligned,
    /// It is within a block, not at its start.
    #[error("it is in the middle of a block")]
    Interior,
    /// It was never allocated; told by those who keep a record.
    #[error("it was never allocated")]
    NeverAllocated,
    /// The block would reach into a free one, or out of the heap.
    #[error("a block of that size does not fit there")]
    Extent,
    /// A stack frees its newest block first.
    #[error("it is not the newest block of the stack")]
    NotTheTop,
}

/// What is wrong with a word of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Corruption {
    /// Its seal does not fit: see [`Field`] for what it should be.
    #[error("overwritten")]
    Seal,
    /// It names a place where no free block can be.
    #[error("it names {block}, where no free block can be")]
    Place {
        /// That place.
        block: PhysAddr,
    },
    /// A block that is too small, no multiple of the granule, or reaches out of the heap.
    #[error("{size} bytes are no size of this block")]
    Extent {
        /// The size that stands there.
        size: u64,
    },
    /// More bytes are free than the heap has: blocks overlap, or the list has a cycle.
    #[error("the list does not end within the heap")]
    Endless,
    /// The list or tree is not in its order.
    #[error("{block} is out of order")]
    Order {
        /// The block that comes too late.
        block: PhysAddr,
    },
    /// Two free blocks share bytes.
    #[error("free blocks overlap at {block}")]
    Overlap {
        /// The second of them.
        block: PhysAddr,
    },
    /// It names a block that the other structures do not know of.
    #[error("{block} is not where it should be listed")]
    Unlisted {
        /// That block.
        block: PhysAddr,
    },
    /// A value that cannot be.
    #[error("{found:#x} is no value that it can have")]
    Value {
        /// What stands there.
        found: u64,
    },
}

/// Why there can be no such manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number that is not what it must be.
    #[error("{what} is {value}, expected {expected}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// Regions that must be apart share bytes.
    #[error("the manager's own words at {control} are in the heap")]
    ControlInHeap {
        /// Where those words start.
        control: PhysAddr,
    },
    /// The bus refused the first words.
    #[error(transparent)]
    Heap(#[from] HeapError),
}

/// The number if it is good, and else the error that it is not.
pub(crate) fn expect(
    what: &'static str,
    value: u64,
    good: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if good { Ok(()) } else { Err(ConfigError::Number { what, value, expected }) }
}
