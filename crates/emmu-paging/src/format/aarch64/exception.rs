//! From a fault to the abort that the processing element takes.

use super::AArch64;
use core::fmt;
use emmu_core::{AccessKind, Cause, Fault, Privilege, VirtAddr};

/// An Instruction or Data Abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AArch64Exception {
    /// The kind of fault.
    pub status: FaultStatus,
    /// Arm's level: 0 is the topmost that there can be, 3 the last.
    pub level: u8,
    /// ESR_EL1 or, of an abort by stage 2, ESR_EL2, without the syndrome of the instruction.
    pub esr: u64,
    /// FAR_EL1 or FAR_EL2: the address as issued, tag included.
    pub far: VirtAddr,
    /// HPFAR_EL2 of an abort by stage 2, which is taken to EL2: bits 51:12 of the intermediate physical address, at
    /// bit 4. `None` of an abort taken to EL1.
    pub hpfar: Option<u64>,
}

/// The kinds of fault that a status code (IFSC, DFSC) tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStatus {
    /// An output address is too wide.
    AddressSize,
    /// No valid descriptor, or no address of this regime.
    Translation,
    /// The access flag is clear.
    AccessFlag,
    /// The rights do not suffice.
    Permission,
    /// The bus refused a table read.
    ExternalAbortOnWalk,
    /// The bus refused the access itself.
    ExternalAbort,
}

impl FaultStatus {
    const fn of(cause: Cause, on_walk: bool) -> Self {
        match cause {
            Cause::Permission | Cause::ReadOnly | Cause::ProtectionKey | Cause::DirtyFlag => {
                Self::Permission
            }
            Cause::AccessFlag => Self::AccessFlag,
            Cause::AddressSize => Self::AddressSize,
            Cause::Protection | Cause::Bus(_) if on_walk => Self::ExternalAbortOnWalk,
            Cause::Protection | Cause::Bus(_) => Self::ExternalAbort,
            // Nothing is mapped there, for whatever reason.
            _ => Self::Translation,
        }
    }

    /// The status code (Arm ARM, ESR_EL1, "ISS encoding for an exception from a Data Abort").
    #[must_use]
    pub const fn code(self, level: u8) -> u64 {
        // spec: arm-fault-code
        let level = level as u64;
        match self {
            Self::AddressSize => level,
            Self::Translation => 0b00_0100 | level,
            Self::AccessFlag => 0b00_1000 | level,
            Self::Permission => 0b00_1100 | level,
            Self::ExternalAbort => 0b01_0000,
            Self::ExternalAbortOnWalk => 0b01_0100 | level,
        }
    }
}

impl fmt::Display for FaultStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AddressSize => "address-size",
            Self::Translation => "translation",
            Self::AccessFlag => "access-flag",
            Self::Permission => "permission",
            Self::ExternalAbortOnWalk => "external-abort-on-walk",
            Self::ExternalAbort => "external-abort",
        })
    }
}

impl AArch64 {
    /// The abort that a fault becomes. A fault that no descriptor decided is reported at level 0.
    #[must_use]
    pub fn exception(&self, fault: &Fault) -> AArch64Exception {
        // spec: arm-cause
        let level = fault.entry.map_or(0, |entry| 3_u8.saturating_sub(entry.level));
        let status = FaultStatus::of(fault.cause, fault.entry.is_some());
        // spec: arm-fault-code, arm-s2-syndrome
        let esr = class(fault) << 26
            | INSTRUCTION_LENGTH
            | on_walk(fault) << 7
            | write_not_read(fault) << 6
            | status.code(level);
        let hpfar = fault.guest.map(|guest| guest.addr.bits(12, 40) << 4);
        AArch64Exception { status, level, esr, far: fault.addr, hpfar }
    }
}

/// ESR_EL1.IL, set for every abort of a 32-bit instruction.
const INSTRUCTION_LENGTH: u64 = 1 << 25;

/// EC: Instruction or Data Abort, from a lower level, as EL0 is to EL1 and both are to EL2, or from the same.
const fn class(fault: &Fault) -> u64 {
    let lower = fault.guest.is_some() || matches!(fault.access.privilege, Privilege::User);
    match (fault.access.kind, lower) {
        (AccessKind::Fetch, true) => 0x20,
        (AccessKind::Fetch, false) => 0x21,
        (_, true) => 0x24,
        (_, false) => 0x25,
    }
}

/// S1PTW: stage 2 has refused what stage 1's walk did.
fn on_walk(fault: &Fault) -> u64 {
    fault.guest.is_some_and(|guest| guest.walk).into()
}

/// WnR: an atomic access reports a write only if a read would not have faulted. It tells of the instruction, also
/// where stage 2 refuses what stage 1's walk did for it.
fn write_not_read(fault: &Fault) -> u64 {
    // spec: arm-wnr
    let write = match fault.access.kind {
        AccessKind::Store => true,
        AccessKind::Amo => on_walk(fault) == 0 && fault.cause == Cause::ReadOnly,
        AccessKind::Fetch | AccessKind::Load => false,
    };
    write.into()
}
