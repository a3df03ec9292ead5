//! Faults, and how they are reported to EL1.

pub use emmu_vectors::aarch64::FaultKind;

use super::at_el0;
use emmu_core::{Access, AccessKind};
use thiserror::Error;

/// A Data Abort or Instruction Abort taken to EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{kind} fault at level {level}, ESR {esr:#x}, FAR {far:#x}")]
pub struct Fault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The lookup level that it is reported for, 0 to 3.
    pub level: u32,
    /// The Fault status code: `ESR_EL1.ISS` bits 5:0.
    pub fsc: u64,
    /// `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL1`: the virtual address as the program issued it, tag and all.
    pub far: u64,
}

/// The pseudocode's `FaultRecord`, as far as a translation fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abort {
    kind: FaultKind,
    level: u32,
    /// `FaultRecord.write`, which becomes `WnR`, bit 6 of a Data Abort's syndrome.
    write: bool,
}

impl Abort {
    /// `NoFault(accdesc)` sets `write` to "writes and does not read": a fault that a read would meet as well
    /// is a read's fault, so an atomic access reports it with `WnR` = 0.
    pub(super) fn new(kind: FaultKind, level: u32, access: Access) -> Self {
        Self { kind, level, write: access.kind == AccessKind::Store }
    }

    /// A Permission fault of the reading or of the writing part of an access.
    pub(super) fn permission(level: u32, write: bool) -> Self {
        Self { kind: FaultKind::Permission, level, write }
    }

    /// `AArch64.Abort()`: the exception as EL1 sees it.
    pub(super) fn report(self, access: Access) -> Fault {
        let fsc = self.kind.status_code(self.level);
        Fault {
            kind: self.kind,
            level: self.level,
            fsc,
            esr: exception_class(access) << 26 | 1 << 25 | u64::from(self.write) << 6 | fsc,
            far: access.addr.raw(),
        }
    }
}

/// `ESR_EL1.EC`: Instruction or Data Abort, from a lower level (EL0) or from EL1 itself. `IL` (bit 25) is 1
/// for each of them, as `ISV` is 0 for all that stage 1 reports; S1PTW, EA, CM and FnV are 0.
fn exception_class(access: Access) -> u64 {
    match (access.kind == AccessKind::Fetch, at_el0(access)) {
        (true, true) => 0b10_0000,
        (true, false) => 0b10_0001,
        (false, true) => 0b10_0100,
        (false, false) => 0b10_0101,
    }
}
