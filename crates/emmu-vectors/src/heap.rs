//! Memory managers' vectors: sequences of allocations and frees with known answers, for four managers.
//!
//! A [`Record`] is a [`Description`] of a manager and its [`Step`]s. What a step answers is a list of [`Fact`]s: where
//! the block is, what was searched, what the free list is then. A [`Subject`] builds the managers; the runner asks for
//! as many facts as the file tells.
//!
//! | file | [`Description`] | from |
//! |---|---|---|
//! | `freespace` | [`Description::FreeSpace`] | the homework simulator of OSTEP 17 (Arpaci-Dusseau) |
//! | `nextfit_kr` | [`Description::NextFit`] | the allocator of Kernighan and Ritchie, 8.7 |
//! | `firstfit_linked_list_allocator` | [`Description::FirstFit`] | the Rust crate of that name |
//! | `buddy` | [`Description::Buddy`] | the frame allocator of the Rust crate `buddy_system_allocator` |
//!
//! A free of what was not allocated has no address to free, and counts as skipped.
//!
//! ```
//! use emmu_oracle::ReferenceModels;
//! use emmu_vectors::heap::{Reader, run};
//! let file = concat!(
//!     r#"{"id": 0, "sim": "buddy", "start": 0, "frames": 4, "max_order": 11, "init": {"2": [0]}, "ops": ["#,
//!     r#" {"op": "alloc", "slot": 0, "n": 1, "at": 0, "order": 0, "free": {"0": [1], "1": [2]}},"#,
//!     r#" {"op": "free", "slot": 0, "free": {"1": [0, 2]}}]}"#,
//! );
//! let mut mismatches = Vec::new();
//! let records = Reader::new("buddy.jsonl", file.as_bytes())?;
//! let report = run(records, &mut ReferenceModels, &mut |mismatch| mismatches.push(mismatch.to_string()))?;
//! assert_eq!(report.to_string(), "1 passed, 1 failed");
//! assert_eq!(mismatches, ["0, op 1 (free of slot 0): expected free 0+2 2+2, got free 0+4"]);
//! # Ok::<(), emmu_vectors::VectorError>(())
//! ```

mod parse;
mod run;

pub(super) use parse::is_of_a_heap;
pub use run::{Mismatch, check, run};

use super::Problem;
use super::read::{Document, Documents};
use core::fmt;
use serde_json::Value;

/// One case: one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub id: u64,
    /// The manager.
    pub heap: Description,
    /// The facts that hold before the first step.
    pub initial: Vec<Fact>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One operation and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The request.
    pub op: Op,
    /// The facts that hold after it.
    pub facts: Vec<Fact>,
}

/// A request to the manager. A slot is the name of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Room is asked for.
    Allocate {
        /// The name of the allocation.
        slot: u64,
        /// Bytes or frames.
        size: u64,
        /// The address is to be a multiple of this.
        align: u64,
    },
    /// It is given back.
    Free {
        /// Which.
        slot: u64,
    },
    /// The simulator drew a free of something that was not allocated, and passed over it.
    Skipped,
}

/// A memory manager. All numbers are bytes, but for those of [`Description::Buddy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// A free list. Blocks are cut from the low end.
    FreeSpace {
        /// Address of the first byte.
        base: u64,
        /// Bytes.
        size: u64,
        /// Bytes before each payload.
        header: u64,
        /// Sizes are rounded up to a multiple of this.
        align: u64,
        /// Which free block is taken.
        policy: Policy,
        /// Where a freed one is put.
        order: Order,
        /// True if the manager merges neighbours on the list.
        coalesce: bool,
    },
    /// Next fit by address, coalescing, growing; blocks are cut from the high end, at 0 and up.
    NextFit {
        /// Sizes are rounded up to a multiple of this, and a header is as large.
        unit: u64,
        /// The heap grows by no less.
        min_growth: u64,
        /// The most bytes that the heap has.
        limit: u64,
    },
    /// First fit by address, coalescing, without headers; alignment of addresses, which leaves blocks in front.
    FirstFit {
        /// Bytes.
        size: u64,
        /// No block is smaller, nor a remainder.
        min_block: u64,
    },
    /// Buddies; all numbers are frames.
    Buddy {
        /// The first frame.
        start: u64,
        /// How many.
        frames: u64,
        /// The largest block is two to this many frames.
        max_order: u8,
    },
}

/// Which free block is taken; of equals, the first on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `BEST`: the smallest.
    Best,
    /// `WORST`: the largest.
    Worst,
    /// `FIRST`: the first.
    First,
}

/// Where a freed block is put. Sorting is stable, and finds the new block last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `ADDRSORT`.
    Address,
    /// `SIZESORT+`.
    SizeAscending,
    /// `SIZESORT-`.
    SizeDescending,
    /// `INSERT-FRONT`.
    Front,
    /// `INSERT-BACK`.
    Back,
}

/// Something that can be seen after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Where the first byte for the asker is; nothing, if the request failed.
    Payload(Option<u64>),
    /// Where its block starts.
    Block(Option<u64>),
    /// How large its block is.
    Size(u64),
    /// Elements that were searched.
    Searched(u64),
    /// The free blocks, in the manager's order: where, and how large.
    Free(Vec<(u64, u64)>),
    /// How many bytes are free.
    FreeBytes(u64),
    /// How many are not.
    UsedBytes(u64),
    /// Where the heap ends.
    End(u64),
    /// After which free block the next search starts.
    Rover(Option<u64>),
}

/// Whatever can build the managers that records describe.
pub trait Subject {
    /// The manager, with all of its memory free; or why it cannot be.
    ///
    /// # Errors
    /// A description of the property that is not modelled. All steps fail with it.
    fn build(&mut self, heap: &Description) -> Result<Box<dyn Manager>, String>;
}

/// A manager that is put to the records.
pub trait Manager {
    /// Finds room; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// A description of the defect. No record expects an error.
    fn allocate(&mut self, size: u64, align: u64) -> Result<Search, String>;

    /// Takes back what was allocated at `payload` for a request of `size` and `align`.
    ///
    /// # Errors
    /// A description of the defect. No record expects an error.
    fn free(&mut self, payload: u64, size: u64, align: u64) -> Result<(), String>;

    /// Returns the memory that is free now.
    ///
    /// # Errors
    /// A description of the defect. No record expects an error.
    fn state(&mut self) -> Result<State, String>;
}

/// The result of a search for free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// The place that was found, if there is one.
    pub found: Option<Placed>,
    /// Elements that were searched.
    pub searched: u64,
}

/// Where a request was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The first byte for the asker.
    pub payload: u64,
    /// The first byte that is no longer free.
    pub block: u64,
    /// How many are no longer free.
    pub size: u64,
}

/// The free memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The free blocks, in the manager's order: where, and how large. Of buddies, smaller orders come first, and lower
    /// addresses within an order.
    pub free: Vec<(u64, u64)>,
    /// Bytes that are managed.
    pub size: u64,
    /// Where they end.
    pub end: u64,
    /// After which free block the next search starts, if the manager has a rover.
    pub rover: Option<u64>,
}

/// Reads records, one a line.
pub type Reader<'a> = Documents<'a, Record>;

impl Document for Record {
    fn read(document: &Value) -> Result<Option<Self>, Problem> {
        Self::parse(document).map(Some)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocate { slot, size, align: 1 } => write!(f, "slot {slot} of {size}"),
            Self::Allocate { slot, size, align } => {
                write!(f, "slot {slot} of {size}, aligned to {align}")
            }
            Self::Free { slot } => write!(f, "free of slot {slot}"),
            Self::Skipped => f.write_str("invalid free"),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |value: &Option<u64>| value.map_or("none".to_owned(), |at| at.to_string());
        match self {
            Self::Payload(at) => write!(f, "address {}", or_none(at)),
            Self::Block(at) => write!(f, "block {}", or_none(at)),
            Self::Size(size) => write!(f, "size {size}"),
            Self::Searched(count) => write!(f, "{count} searched"),
            Self::Free(blocks) => {
                f.write_str("free")?;
                blocks.iter().try_for_each(|(at, size)| write!(f, " {at}+{size}"))
            }
            Self::FreeBytes(bytes) => write!(f, "{bytes} bytes free"),
            Self::UsedBytes(bytes) => write!(f, "{bytes} bytes used"),
            Self::End(end) => write!(f, "end {end}"),
            Self::Rover(at) => write!(f, "rover {}", or_none(at)),
        }
    }
}
