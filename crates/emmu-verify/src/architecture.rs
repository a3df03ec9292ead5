//! `Architecture`: gives a unit the registers of a reference model, and translates its faults into the model's
//! exceptions.

use crate::generate::Generate;
use crate::recording;
use core::fmt::Debug;
use emmu_core::{Access, Bus, Fault, Invalidate, RegisterError};
use emmu_oracle::{
    Memory, Reference,
    reference::{SparseMemory, Write},
    two_stage::Nested,
};
use emmu_paging::{
    ConfigError, Paging, PagingConfig, SecondStage,
    format::{Format, described::DescriptionError},
};
use thiserror::Error;

/// The unit of an architecture.
pub type Unit<A> = Paging<<A as Architecture>::Format, <A as Architecture>::Second>;

/// The registers of an architecture's reference model, and the way to give a unit of emmu the same registers.
pub trait Architecture: Reference<Fault: Exception> + Generate + Clone + Debug {
    /// The format of the unit, or of its first stage, if it has two.
    type Format: Format + Clone + Debug;

    /// The second stage: none (`()`), or its unit.
    type Second: SecondStage + Clone;

    /// Returns registers that the unit can hold too: a field that only the model has gets the value that the unit has,
    /// or loads from `memory`.
    #[must_use]
    fn implemented(self, memory: &SparseMemory) -> Self {
        let _ = memory;
        self
    }

    /// Makes a processor out of reset with the features that these registers need. `config` describes the caches of the
    /// unit, `second` those of the second stage alone, if there is one.
    ///
    /// # Errors
    /// [`SetupError`] if there can be no such caches, or no such format.
    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError>;

    /// Writes all registers, in an order that software may use.
    ///
    /// # Errors
    /// The [`RegisterError`] of the first write that is refused.
    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError>;

    /// Returns the answer of the model to an access, with the entries that it reads and changes.
    fn ask(&self, access: Access, memory: &dyn Memory) -> Nested<Self::Fault> {
        recording::ask(self, access, memory)
    }

    /// Returns the entries that [`switch_on`](Self::switch_on) changes by the model.
    ///
    /// # Errors
    /// The exception that a write raises.
    fn expected_switch_on(&self, memory: &SparseMemory) -> Result<Vec<Write>, Self::Fault> {
        let _ = memory;
        Ok(Vec::new())
    }

    /// Returns the exception that a refused write raises, if it raises one.
    #[must_use]
    fn refused_write(&self, error: &RegisterError) -> Option<Self::Fault> {
        let _ = error;
        None
    }

    /// Returns the exception that a fault of the unit raises, or `None` if the model has no such exception.
    fn exception(format: &Self::Format, fault: &Fault) -> Option<Self::Fault>;

    /// Returns the invalidations that empty all caches of a unit, for the present virtual machine and the one with the
    /// next number, if there are virtual machines.
    fn everything(&self) -> Vec<Invalidate> {
        vec![Invalidate::All, Invalidate::SecondStage { tables: None, addr: None, combined: true }]
    }

    /// Returns true if the access has bytes past the end of the address space. The manuals let the address wrap, or
    /// leave the result open; the CPU port refuses the access.
    fn leaves_address_space(&self, access: Access) -> bool;

    /// Returns true if physical memory protection is on (RISC-V PMP). It checks each of the accesses into which an
    /// access is decomposed; their number is open ("Priority and Matching Logic").
    fn has_memory_protection(&self) -> bool {
        false
    }

    /// Returns log2 of the sizes in bytes that a TLB has to hold, ascending: all pages, blocks and runs up to 16 GiB.
    fn sizes(&self) -> Vec<u8> {
        vec![12, 14, 16, 21, 22, 25, 29, 30, 34, 39]
    }

    /// Returns the run to which the leaf entry that maps this access belongs, under the tables in `memory`. With two
    /// stages: the largest run to which some entry on the way may belong.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run>;
}

/// The reason why there is no unit for these registers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// There can be no such caches.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There can be no such format.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A description of emmu cannot express this.
    #[error("a description with {what} that emmu has no word for")]
    Unspeakable {
        /// The property that emmu cannot describe.
        what: &'static str,
    },
}

/// An exception of a model.
pub trait Exception: Clone + Debug + PartialEq {}

impl<T: Clone + Debug + PartialEq> Exception for T {}

/// Neighbouring entries that a TLB may take for one: 2^`bits` of them, aligned to as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Log2 of the number of entries.
    pub bits: u32,
    /// Log2 of the size in bytes of the page of each entry.
    pub page_bits: u32,
    /// The difference between the bits of one entry and those of the entry before. `None` if there may be several runs,
    /// which are not examined.
    pub step: Option<u64>,
}

/// Returns true if a byte of the access is past the first 2^`bits` bytes.
pub(crate) fn passes(access: Access, bits: u32) -> bool {
    u128::from(access.addr.raw()) + u128::from(access.size) > 1 << bits
}
