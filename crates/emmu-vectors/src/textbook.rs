//! Textbook vectors: address translation as the homework simulators of "Operating Systems: Three Easy Pieces"
//! (Arpaci-Dusseau) answer it, for four machines.
//!
//! A [`Record`] is a [`Machine`] with its registers and tables, and a trace of one-byte loads by a program, each
//! with its answer. As in the files, all numbers are printed in decimal.
//!
//! # What is not taken from the simulators
//! * A record with `error` is a configuration that the simulator refused to run. It has nothing to answer, and
//!   the reader passes over it: it counts neither as passed nor as skipped.
//! * Where the simulator names an address past the end of memory (quirks `…_past_end_of_memory`), hardware
//!   would have the bus refuse it: [`Fault::NoMemory`] is expected. Where it names one below 0
//!   (`seg1_below_zero`), [`Fault::Bounds`] is.
//! * `overlap` changes no answer. `asize_not_pow2` leaves segmentation without a top bit to select by: a
//!   [`Subject`] may decline it, and its steps then count as skipped.
//!
//! ```
//! use emmu_oracle::ReferenceModels;
//! use emmu_vectors::textbook::{Reader, run};
//! let file = concat!(
//!     r#"{"id": 0, "asize": 1024, "psize": 16384, "base": 12418, "limit": 472, "trace": ["#,
//!     r#" {"va": 430, "pa": 12848}, {"va": 523, "pa": 12941}]}"#,
//! );
//! let mut mismatches = Vec::new();
//! let records = Reader::new("relocation.jsonl", file.as_bytes())?;
//! let report = run(records, &mut ReferenceModels, &mut |mismatch| mismatches.push(mismatch.to_string()))?;
//! assert_eq!(report.to_string(), "1 passed, 1 failed");
//! assert_eq!(mismatches, ["0, step 1 (load at 523): expected pa 12941, got bounds fault"]);
//! # Ok::<(), emmu_vectors::VectorError>(())
//! ```

mod parse;
mod run;

pub use run::{Mismatch, Subject, check, run};

use super::Problem;
use super::read::{Document, Documents};
use core::fmt;
use core::num::NonZeroU32;
use emmu_core::{PhysAddr, VirtAddr};
use serde_json::Value;

/// One case: one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub id: u64,
    /// The machine that makes the loads.
    pub machine: Machine,
    /// The loads, in order.
    pub trace: Vec<Step>,
}

/// One load and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the program loads a byte, with cold caches.
    pub va: VirtAddr,
    /// The expected answer.
    pub expect: Answer,
}

/// A machine that translates. Sizes are in bytes; `memory` is that of physical memory, from address 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// OSTEP 15: an address below `limit` is at `base` plus itself.
    Relocation {
        /// Size of physical memory.
        memory: u64,
        /// Physical address of byte 0.
        base: u64,
        /// Bytes that the program has.
        limit: u32,
    },
    /// OSTEP 16: the lower half of the address space is segment 0 and grows up, the upper half is segment 1 and
    /// grows down.
    Segmentation {
        /// Size of physical memory.
        memory: u64,
        /// Size of the address space.
        space: u32,
        /// The two segments.
        segments: [Segment; 2],
    },
    /// OSTEP 18: one table, indexed by the page number; bit 31 of an entry is valid, bits 30 to 0 are the frame.
    Linear {
        /// Size of physical memory, in which the table is not.
        memory: u64,
        /// Size of the address space, a power of two.
        space: u32,
        /// Size of a page, a power of two.
        page: NonZeroU32,
        /// An entry for each page.
        table: Vec<u32>,
    },
    /// OSTEP 20: addresses of 15 bits, five each for the directory, the table and the offset; pages of 32 bytes;
    /// entries of one byte, bit 7 of which is valid and bits 6 to 0 the frame.
    Multilevel {
        /// The frame of the directory.
        pdbr: u8,
        /// All 4096 bytes of physical memory, tables included.
        memory: Vec<u8>,
    },
}

/// A segment of [`Machine::Segmentation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Physical address of its first byte, or one past its last if it grows down.
    pub base: u64,
    /// Bytes that it has.
    pub limit: u32,
}

/// The answer to a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The table entries that were read, in order.
    pub entries: Vec<EntryRead>,
    /// The loaded value, or the fault.
    pub outcome: Result<Loaded, Fault>,
}

/// An entry that translation read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRead {
    /// 1 for the directory, 0 for the table below it or the only one.
    pub level: u8,
    /// Which entry of the table.
    pub index: u64,
    /// Its bits.
    pub raw: u64,
}

/// A load that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where the byte is.
    pub pa: PhysAddr,
    /// The byte, on a machine whose memory is known: [`Machine::Multilevel`].
    pub value: Option<u8>,
}

/// A load that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The address is not below the limit of the program or segment.
    Bounds,
    /// The page's entry in a linear table is not valid.
    Invalid,
    /// The directory entry is not valid.
    Pde,
    /// The entry in the table that the directory names is not valid.
    Pte,
    /// Translation gave this address, and there is no memory.
    NoMemory(PhysAddr),
    /// A refusal that the files have no word for. No record expects that.
    Other(String),
}

/// Reads records, one a line, without the configurations that the simulator refused.
pub type Reader<'a> = Documents<'a, Record>;

impl Document for Record {
    fn read(document: &Value) -> Result<Option<Self>, Problem> {
        Self::parse(document)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(loaded) => loaded.fmt(f)?,
            Err(fault) => fault.fmt(f)?,
        }
        self.entries.iter().try_for_each(|entry| write!(f, ", {entry}"))
    }
}

impl fmt::Display for EntryRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.level == 0 { "pte" } else { "pde" };
        write!(f, "{name} {} = {}", self.index, self.raw)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pa {}", self.pa.raw())?;
        match self.value {
            Some(value) => write!(f, " value {value}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounds => f.write_str("bounds fault"),
            Self::Invalid => f.write_str("invalid fault"),
            Self::Pde => f.write_str("pde fault"),
            Self::Pte => f.write_str("pte fault"),
            Self::NoMemory(pa) => write!(f, "no memory at {}", pa.raw()),
            Self::Other(what) => f.write_str(what),
        }
    }
}
