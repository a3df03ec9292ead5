//! emmu's translation units against reference models, the rules of the manuals, and fuzzers. Tests and fuzz targets use
//! this crate; what is shipped does not.
//!
//! Models: cases that are [generated](generate); [`differential`], which compares units with reference models on them, of every
//! architecture and of formats that are [`described`] at run time; [`coherence`], which lets tables and registers change
//! under units that remember them; [`snapshot`], which writes units down and reads them back; and the checks of the fuzz
//! [`targets`].
//!
//! Does not model: anything. The reference models are in `emmu-oracle`, and the units in their own crates.
//!
//! ```
//! use emmu_oracle::riscv::Registers;
//! use emmu_verify::{differential::agree, generate::Case};
//! agree(Case::<Registers>::from_seed(7)).unwrap();
//! ```

mod aarch64;
mod architecture;
pub mod coherence;
mod damage;
pub mod described;
mod descriptors;
pub mod differential;
pub mod generate;
mod hashed;
mod recording;
mod riscv;
pub mod snapshot;
pub mod targets;
mod x86;

pub use architecture::{Architecture, Exception, Run, SetupError, Unit};
