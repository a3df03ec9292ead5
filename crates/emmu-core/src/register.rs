//! Registers of a translation unit, by name and by the number that the architecture gives them.

use crate::{BusError, Fault, Privilege};
use core::fmt;
use thiserror::Error;

/// The architecture's own number of a register: a RISC-V CSR address, an x86 control-register number or
/// MSR index, an AArch64 `op0:op1:CRn:CRm:op2` encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RegisterId(pub u32);

impl fmt::Display for RegisterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What there is to know of a register before touching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegisterInfo {
    /// Its number.
    pub id: RegisterId,
    /// Its name in the manual, in lower case.
    pub name: &'static str,
    /// The least privilege that may read or write it.
    pub privilege: Privilege,
    /// What it does, in one line.
    pub about: &'static str,
}

/// Finds a register of that name, as [`crate::Registers::registers`] lists them.
#[must_use]
pub fn find_register(registers: &[RegisterInfo], name: &str) -> Option<RegisterInfo> {
    registers.iter().find(|info| info.name == name).copied()
}

/// Why a register was not read or written; the register is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum RegisterError {
    /// The unit has no register of this number.
    #[error("no register has the number {id}")]
    Unknown {
        /// The number asked for.
        id: RegisterId,
    },
    /// The value has bits or a combination that the manual reserves, and a write of it faults.
    #[error("{name} refuses {value:#x}: {what}")]
    Reserved {
        /// The register.
        name: &'static str,
        /// The value that was to be written.
        value: u64,
        /// The field or rule that forbids it.
        what: &'static str,
    },
    /// The value is legal, but asks for something that emmu does not model.
    #[error("{name} = {value:#x}: not modelled: {what}")]
    NotModelled {
        /// The register.
        name: &'static str,
        /// The value that was to be written.
        value: u64,
        /// What is not modelled.
        what: &'static str,
    },
    /// The write makes the unit read memory (x86 PAE loads four entries), and the bus refused.
    #[error("{name}: {error}")]
    Bus {
        /// The register.
        name: &'static str,
        /// What the bus said.
        error: BusError,
    },
    /// The write makes the unit read memory at addresses that are translated (x86 reads a descriptor at a
    /// linear address), and that access of its own was refused.
    #[error("{0}")]
    Fault(Fault),
}
