//! emmu's own translation units, put to vectors, reference models and fuzzers.
//!
//! Models: [`Units`], a subject that performs every operation of a vector on a paging unit, and every step of a
//! [textbook](emmu_oracle::vectors::textbook) record on the unit of its machine; [`agree`], which compares units with
//! reference models on generated cases, of every architecture and of formats that are [`described`] at run time; [`coherent`], which lets tables and registers change under units that
//! remember them; and the checks of the fuzz [`targets`].
//!
//! Does not model: anything. The judges are in `emmu-oracle`; this crate introduces the two to each other.
//!
//! ```
//! use emmu_check::Units;
//! use emmu_oracle::vectors::{Reader, run};
//! let file = concat!(
//!     r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39","#,
//!     r#" "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
//!     r#" "frames": [], "mem": [], "mem_after": [], "ops": ["#,
//!     r#" {"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {"pa": "0x1234"}}]}"#,
//! );
//! let vectors = Reader::new("bare.jsonl", file.as_bytes())?;
//! let report = run(vectors, &mut Units::default(), &mut |mismatch| eprintln!("{mismatch}"))?;
//! assert_eq!(report.to_string(), "1 passed, 0 failed");
//! # Ok::<(), emmu_oracle::vectors::VectorError>(())
//! ```

mod aarch64;
pub mod agree;
mod architecture;
pub mod coherent;
mod damage;
pub mod described;
mod descriptors;
mod hashed;
mod heap;
mod noted;
mod riscv;
pub mod snapshot;
pub mod targets;
mod textbook;
mod vectors;
mod x86;

pub use architecture::{Architecture, Exception, Run, SetupError, Unit};
pub use vectors::Units;
