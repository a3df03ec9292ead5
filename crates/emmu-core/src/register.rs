//! The registers of a translation unit, by name and by the number that the architecture gives them.

use crate::{BusError, Fault, Privilege};
use core::fmt;
use thiserror::Error;

/// The architecture's own number of a register, such as a RISC-V CSR address or an x86 MSR index. The module of each
/// format says how its registers are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RegisterId(pub u32);

impl fmt::Display for RegisterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The description of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegisterInfo {
    /// The number of the register.
    pub id: RegisterId,
    /// The name of the register in the manual, in lower case.
    pub name: &'static str,
    /// The least privilege that may read or write it.
    pub privilege: Privilege,
    /// The purpose of the register, in one line.
    pub about: &'static str,
}

/// Finds the register of this name in a list, as [`crate::Registers::registers`] returns it.
#[must_use]
pub fn find_register(registers: &[RegisterInfo], name: &str) -> Option<RegisterInfo> {
    registers.iter().find(|info| info.name == name).copied()
}

/// The reason why a register could not be read or written. The register is unchanged.
///
/// The list is complete: the CPU maps each reason to an exception of its own, and a snapshot keeps each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum RegisterError {
    /// The unit has no register with this number.
    #[error("no register has the number {id}")]
    Unknown {
        /// The number asked for.
        id: RegisterId,
    },
    /// The value has bits or a combination of bits that the manual reserves. On hardware, such a write faults.
    #[error("{name} refuses {value:#x}: {what}")]
    Reserved {
        /// The register.
        name: &'static str,
        /// The value that the write asked for.
        value: u64,
        /// The field or rule that forbids it.
        what: &'static str,
    },
    /// The value is legal, but asks for something that emmu does not model.
    #[error("{name} = {value:#x}: not modelled: {what}")]
    NotModelled {
        /// The register.
        name: &'static str,
        /// The value that the write asked for.
        value: u64,
        /// The part that is not modelled.
        what: &'static str,
    },
    /// The write makes the unit read memory (x86 PAE loads four entries), and the bus refused the read.
    #[error("{name}: {error}")]
    Bus {
        /// The register.
        name: &'static str,
        /// The refusal of the bus.
        error: BusError,
    },
    /// The write makes the unit read memory at addresses that are translated (x86 reads a descriptor at a
    /// linear address), and the translation of that read faulted.
    #[error("{0}")]
    Fault(Fault),
}
