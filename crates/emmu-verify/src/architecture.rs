//! The seam between a reference model and the unit that it judges: the same registers, the same exceptions.

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

/// The registers of an architecture's reference model, and how a unit of emmu comes to hold the same.
pub trait Architecture: Reference<Fault: Exception> + Generate + Clone + Debug {
    /// The format of the unit: of its first stage, if it has two.
    type Format: Format + Clone + Debug;

    /// The second stage: none (`()`), or its unit.
    type Second: SecondStage + Clone;

    /// Registers that the unit can hold too: what only the model can be told gets the value that the unit has, or
    /// loads from `memory`.
    #[must_use]
    fn implemented(self, memory: &SparseMemory) -> Self {
        let _ = memory;
        self
    }

    /// A processor out of reset that has what these registers take for granted. `config` says what holds the outcome
    /// of translation, `second` what holds that of the second stage alone, if there is one.
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

    /// The exception that a refused write raises, if it raises one.
    #[must_use]
    fn refused_write(&self, error: &RegisterError) -> Option<Self::Fault> {
        let _ = error;
        None
    }

    /// The exception that a fault of the unit raises, or `None` if the model has no word for it.
    fn exception(format: &Self::Format, fault: &Fault) -> Option<Self::Fault>;

    /// Returns the invalidations that empty all caches of a unit, for the present virtual machine and the one with the
    /// next number, if there are virtual machines.
    fn everything(&self) -> Vec<Invalidate> {
        vec![Invalidate::All, Invalidate::SecondStage { tables: None, addr: None, combined: true }]
    }

    /// Returns true if the access has bytes past the end of the address space. The manuals let it wrap, or leave it
    /// open; the CPU port refuses it.
    fn leaves_address_space(&self, access: Access) -> bool;

    /// Returns true if physical memory protection is on (RISC-V PMP). It checks each of the accesses that an access
    /// was decomposed into, and of which there may be one or several ("Priority and Matching Logic").
    fn has_memory_protection(&self) -> bool {
        false
    }

    /// Log2 of the sizes in bytes that a TLB is to hold, ascending: all pages, blocks and runs up to 16 GiB.
    fn sizes(&self) -> Vec<u8> {
        vec![12, 14, 16, 21, 22, 25, 29, 30, 34, 39]
    }

    /// Of which run the leaf entry that maps this access says it is, under the tables in `memory`. With two stages: the
    /// largest that some entry on the way may say it is of.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run>;
}

/// Why there is no unit for these registers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// There can be no such caches.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There can be no such format.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A description of emmu cannot say this.
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
    /// Log2 of the size in bytes of what each of them maps.
    pub page_bits: u32,
    /// By how much the bits of one entry exceed those of the entry before. `None` if there may be several runs, which
    /// are not looked at.
    pub step: Option<u64>,
}

/// Returns true if a byte of the access is past the first 2^`bits` bytes.
pub(crate) fn passes(access: Access, bits: u32) -> bool {
    u128::from(access.addr.raw()) + u128::from(access.size) > 1 << bits
}
