//! Compares emmu's units with reference models and with the rules of the manuals, on generated cases. Only tests and
//! fuzz targets use this crate; no shipped crate does.
//!
//! Models: [generated](generate) cases; [`differential`], which compares units with reference models on these cases,
//! for every architecture and for formats that are [`described`] at run time; [`coherence`], which changes tables and
//! registers while units have translations cached; [`snapshot`], which serializes units and reads them back; and the
//! checks of the fuzz [`targets`].
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
