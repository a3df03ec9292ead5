//! Translation vectors: cases with known answers, in JSON Lines, and the runner that puts any MMU to them.
//!
//! Models: the files, their [memory](SparseMemory), and the comparison of an MMU's answers with those of the file.
//!
//! Does not model: translation. The crate decodes no table entry, so that every MMU can be judged by it: `emmu-check`
//! has emmu's units, `emmu-oracle` the reference models.
//!
//! A [`Vector`] is registers, page-table words and a sequence of operations, each with its expected answer
//! and the table words that it changes. [`Reader`] reads them from a plain or gzip file, [`run`] performs
//! them on a [`Subject`], which is anything that translates: a unit of emmu, a reference model
//! (`emmu_oracle::ReferenceModels`), or an MMU of your own. Records of textbook machines are in [`textbook`],
//! those of memory managers in [`heap`]; [`VectorFile`] reads and runs a file of any kind.
//!
//! ```
//! use emmu_oracle::ReferenceModels;
//! use emmu_vectors::{Reader, run};
//! let file = concat!(
//!     r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39","#,
//!     r#" "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
//!     r#" "frames": [], "mem": [], "mem_after": [], "ops": ["#,
//!     r#" {"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {"pa": "0x1234"}},"#,
//!     r#" {"access": "load", "priv": "user", "va": "0x5678", "size": 4, "expect": {"pa": "0x0"}}]}"#,
//! );
//! let mut mismatches = Vec::new();
//! let vectors = Reader::new("bare.jsonl", file.as_bytes())?;
//! let report = run(vectors, &mut ReferenceModels, &mut |mismatch| mismatches.push(mismatch.to_string()))?;
//! assert_eq!(report.to_string(), "1 passed, 1 failed");
//! assert_eq!(
//!     mismatches,
//!     ["bare-0, op 1 (user load of 4 bytes at 0x5678): expected pa 0x0, got pa 0x5678"]
//! );
//! # Ok::<(), emmu_vectors::VectorError>(())
//! ```

pub mod aarch64;
mod answer;
mod field;
mod file;
mod format;
pub mod heap;
mod memory;
mod parse;
mod read;
mod registers;
pub mod riscv;
mod run;
pub mod textbook;

pub use answer::{AArch64Fault, Answer, Fault, PagePiece};
pub use field::Problem;
pub use file::VectorFile;
pub use format::{Format, Granule};
pub use memory::{Hole, Memory, SparseMemory, Write};
pub use read::{Documents, Reader, VectorError};
pub use registers::{AArch64Registers, Registers, RiscVRegisters, X86Registers};
pub use run::{Mismatch, Observed, Report, Subject, check, run};

use core::fmt;
use emmu_core::{Access, AccessKind, PhysAddr};

/// One case: one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Its name, unique in the file.
    pub id: String,
    /// The name of the program that produced the answers.
    pub oracle: String,
    /// The format of the page tables.
    pub format: Format,
    /// The registers, the same for all operations.
    pub registers: Registers,
    /// The 4 KiB frames that hold page tables; told by RISC-V vectors only.
    pub frames: Vec<PhysAddr>,
    /// The 4 KiB frames that answer a page-table read with a bus error.
    pub holes: Vec<PhysAddr>,
    /// The page-table words at the start; all others are 0.
    pub mem: Vec<Write>,
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// The words that differ from `mem` in the end.
    pub mem_after: Vec<Write>,
}

impl Vector {
    /// Memory as the first operation finds it.
    #[must_use]
    pub fn memory(&self) -> SparseMemory {
        let mut memory = SparseMemory::default();
        for hole in &self.holes {
            memory.punch(*hole);
        }
        for word in &self.mem {
            memory.apply(*word);
        }
        memory
    }
}

/// One operation and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The operation, which starts with an empty TLB and empty walk caches.
    pub operation: Operation,
    /// The expected answer.
    pub expect: Answer,
    /// The page-table words that it changes, with their new values. Not recorded where it
    /// [crosses pages](Operation::crosses_pages).
    pub writes: Vec<Write>,
}

/// An operation on an MMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An access. Of a fetch, only the translation of the first byte is meant.
    Access {
        /// The access.
        access: Access,
        /// x86: EFLAGS.AC during it.
        ac: bool,
        /// AArch64: PSTATE.PAN during it.
        pan: bool,
    },
    /// x86: CR3 is loaded with the value that the registers have, which loads the PDPTEs under PAE.
    LoadCr3,
}

impl Operation {
    /// Returns true if a data access has bytes on both sides of a 4 KiB boundary. The answer is then a list of
    /// pieces, one per 4 KiB page, or the first fault.
    #[must_use]
    pub fn crosses_pages(&self) -> bool {
        match self {
            Self::Access { access, .. } => {
                let last = access.addr.offset(12) + u64::from(access.size);
                access.kind != AccessKind::Fetch && last > 1 << 12
            }
            Self::LoadCr3 => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadCr3 => f.write_str("load of CR3"),
            Self::Access { access, ac, pan } => {
                let ac = if *ac { ", AC = 1" } else { "" };
                let pan = if *pan { ", PAN = 1" } else { "" };
                write!(f, "{access}{ac}{pan}")
            }
        }
    }
}
