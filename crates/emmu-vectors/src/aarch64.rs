//! The MMU faults of AArch64, after the Arm Architecture Reference Manual (D8.15, "Memory aborts").

use core::fmt;

/// The kind of an MMU fault (D8.15, "Memory aborts").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A base address, table address or output address is wider than physical addresses are.
    AddressSize,
    /// Nothing is mapped: an invalid or reserved descriptor, a disabled walk, an address out of range.
    Translation,
    /// The access flag is 0, and hardware does not set it.
    AccessFlag,
    /// The mapping does not allow the access.
    Permission,
    /// A synchronous External abort on a translation table walk: a table stands where there is no memory.
    ExternalAbortOnWalk,
}

impl FaultKind {
    /// The Fault status code of this kind at this level: ESR_EL1, "IFSC" and "DFSC".
    #[must_use]
    pub fn status_code(self, level: u32) -> u64 {
        let first = match self {
            Self::AddressSize => 0b00_0000,
            Self::Translation => 0b00_0100,
            Self::AccessFlag => 0b00_1000,
            Self::Permission => 0b00_1100,
            Self::ExternalAbortOnWalk => 0b01_0100,
        };
        first + u64::from(level)
    }
}

impl fmt::Display for FaultKind {
    /// The kind's name as the vectors write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AddressSize => "address-size",
            Self::Translation => "translation",
            Self::AccessFlag => "access-flag",
            Self::Permission => "permission",
            Self::ExternalAbortOnWalk => "external-abort-on-walk",
        })
    }
}
