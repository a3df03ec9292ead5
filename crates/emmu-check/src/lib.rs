//! Tests emmu's translation units and memory managers with vectors.
//!
//! Models: [`Units`], a subject that performs every operation of a vector on a paging unit, every step of a
//! [textbook](emmu_vectors::textbook) record on the unit of its machine, and every step of a [memory
//! manager's](emmu_vectors::heap) record on that manager; and [`UnitRegisters`], which gives one of emmu's units the
//! registers of a vector.
//!
//! Does not model: the units and memory managers, which are in their own crates, and the runner, which reads vectors
//! and compares answers. The runner is in `emmu-vectors`.
//!
//! ```
//! use emmu_check::Units;
//! use emmu_vectors::{Reader, run};
//! let file = concat!(
//!     r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39","#,
//!     r#" "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
//!     r#" "frames": [], "mem": [], "mem_after": [], "ops": ["#,
//!     r#" {"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {"pa": "0x1234"}}]}"#,
//! );
//! let vectors = Reader::new("bare.jsonl", file.as_bytes())?;
//! let report = run(vectors, &mut Units::default(), &mut |mismatch| eprintln!("{mismatch}"))?;
//! assert_eq!(report.to_string(), "1 passed, 0 failed");
//! # Ok::<(), emmu_vectors::VectorError>(())
//! ```

mod aarch64;
mod heap;
mod registers;
mod riscv;
mod textbook;
mod translation;
mod x86;

pub use registers::UnitRegisters;
pub use translation::Units;
