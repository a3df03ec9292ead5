//! From a fault to the exception that the hart raises.

use super::RiscV;
use emmu_core::{AccessKind, Cause, Fault, VirtAddr};

impl RiscV {
    /// The exception that a fault raises: the number for `scause`, and `stval`.
    ///
    /// Faults of the tables and their rights are page faults; what the bus or physical memory protection
    /// refuses is an access fault of the access's own type ("Virtual Address Translation Process", 2–3 and 9).
    #[must_use]
    pub fn exception(&self, fault: &Fault) -> RiscVException {
        // spec: riscv-cause
        let access_fault =
            matches!(fault.cause, Cause::Bus(_) | Cause::Protection | Cause::AddressSize);
        let cause = match (access_fault, fault.access.kind) {
            (true, AccessKind::Fetch) => 1,
            (true, AccessKind::Load) => 5,
            (true, AccessKind::Store | AccessKind::Amo) => 7,
            (false, AccessKind::Fetch) => 12,
            (false, AccessKind::Load) => 13,
            (false, AccessKind::Store | AccessKind::Amo) => 15,
        };
        RiscVException { cause, tval: fault.addr, gva: false, htval: 0, tinst: 0 }
    }
}

/// An exception as a hart reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiscVException {
    /// `scause` without the interrupt bit: 1, 5 or 7 access fault, 12, 13 or 15 page fault, 20, 21 or 23
    /// guest-page fault, of a fetch, a load, or a store and AMO.
    pub cause: u64,
    /// `stval`: the faulting virtual address.
    pub tval: VirtAddr,
    /// `hstatus.GVA` and `mstatus.GVA`: whether `tval` is an address of a guest.
    pub gva: bool,
    /// `htval` and `mtval2`: the faulting guest-physical address shifted right by two, or 0.
    pub htval: u64,
    /// `htinst` and `mtinst`: the pseudoinstruction of a walk's access that raised a guest-page fault, or 0, which
    /// is allowed for all others.
    pub tinst: u64,
}

impl RiscVException {
    pub(super) const fn is_page_fault(&self) -> bool {
        matches!(self.cause, 12 | 13 | 15)
    }
}
