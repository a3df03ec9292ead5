//! The exceptions of RISC-V that translation raises, after the RISC-V Instruction Set Manual, Volume II: Privileged
//! Architecture ("Supervisor Cause Register (scause)").

use core::fmt;
use emmu_core::AccessKind;

/// The exceptions of translation, with their `scause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exception {
    /// `scause` 1.
    InstructionAccessFault = 1,
    /// `scause` 5.
    LoadAccessFault = 5,
    /// `scause` 7; of stores and AMOs.
    StoreAccessFault = 7,
    /// `scause` 12.
    InstructionPageFault = 12,
    /// `scause` 13.
    LoadPageFault = 13,
    /// `scause` 15; of stores and AMOs.
    StorePageFault = 15,
}

impl Exception {
    /// All six, in order of `scause`.
    pub const ALL: [Self; 6] = [
        Self::InstructionAccessFault,
        Self::LoadAccessFault,
        Self::StoreAccessFault,
        Self::InstructionPageFault,
        Self::LoadPageFault,
        Self::StorePageFault,
    ];

    /// The exception code that `scause` gets.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// "An access-fault exception corresponding to the original access type."
    #[must_use]
    pub const fn access_fault(kind: AccessKind) -> Self {
        match kind {
            AccessKind::Fetch => Self::InstructionAccessFault,
            AccessKind::Load => Self::LoadAccessFault,
            AccessKind::Store | AccessKind::Amo => Self::StoreAccessFault,
        }
    }

    /// "A page-fault exception corresponding to the original access type."
    #[must_use]
    pub const fn page_fault(kind: AccessKind) -> Self {
        match kind {
            AccessKind::Fetch => Self::InstructionPageFault,
            AccessKind::Load => Self::LoadPageFault,
            AccessKind::Store | AccessKind::Amo => Self::StorePageFault,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InstructionAccessFault => "instruction-access-fault",
            Self::LoadAccessFault => "load-access-fault",
            Self::StoreAccessFault => "store-access-fault",
            Self::InstructionPageFault => "instruction-page-fault",
            Self::LoadPageFault => "load-page-fault",
            Self::StorePageFault => "store-page-fault",
        })
    }
}

/// The exception as a trap handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The value of `scause`.
    pub exception: Exception,
    /// The value of `stval`: the virtual address of the access.
    pub tval: u64,
}
