//! The translation registers of EL1. Their numbers are `op0:op1:CRn:CRm:op2`, as in MRS and MSR.

use super::{AArch64, half::Tcr};
use crate::format::refuse_not_modelled;
use emmu_core::{Invalidate, Privilege, RegisterError, RegisterId, RegisterInfo};

/// SCTLR_EL1: of it M (MMU enable) and WXN matter here.
pub const SCTLR_EL1: RegisterId = system(0, 1, 0, 0);
/// TTBR0_EL1: the root of the lower half, and an ASID.
pub const TTBR0_EL1: RegisterId = system(0, 2, 0, 0);
/// TTBR1_EL1: the root of the upper half, and an ASID.
pub const TTBR1_EL1: RegisterId = system(0, 2, 0, 1);
/// TCR_EL1: sizes, granules and options of both halves.
pub const TCR_EL1: RegisterId = system(0, 2, 0, 2);
/// MAIR_EL1: the memory types that AttrIndx chooses from; kept and not acted on.
pub const MAIR_EL1: RegisterId = system(0, 10, 2, 0);
/// PSTATE.PAN, at bit 22 as in `MSR PAN, Xt`.
pub const PAN: RegisterId = system(0, 4, 2, 3);

/// SCTLR_EL1.M: the MMU is on.
pub const SCTLR_M: u64 = 1 << 0;
/// SCTLR_EL1.WXN: what is writable is not executable.
pub(super) const SCTLR_WXN: u64 = 1 << 19;
/// PSTATE.PAN as in `MSR PAN, Xt`.
pub const PAN_BIT: u64 = 1 << 22;

/// Bits of SCTLR_EL1 that change translation and are not modelled.
const SCTLR_NOT_MODELLED: [(u32, &str); 2] =
    [(25, "SCTLR_EL1.EE (big-endian tables)"), (57, "SCTLR_EL1.EPAN (FEAT_PAN3)")];

/// Bits of TCR_EL1 that change translation and are not modelled. (NFDn concern loads that do not fault, TCMAn tag
/// checks, HWUn what is implementation defined.)
const TCR_NOT_MODELLED: [(u32, &str); 7] = [
    (51, "TCR_EL1.TBID0 (tags that only data addresses have, FEAT_PAuth)"),
    (52, "TCR_EL1.TBID1 (tags that only data addresses have, FEAT_PAuth)"),
    (55, "TCR_EL1.E0PD0 (faults of the lower half at EL0, FEAT_E0PD)"),
    (56, "TCR_EL1.E0PD1 (faults of the upper half at EL0, FEAT_E0PD)"),
    (59, "TCR_EL1.DS (52-bit addresses, FEAT_LPA2)"),
    (60, "TCR_EL1.MTX0 (extended memory tag checking, FEAT_MTE4)"),
    (61, "TCR_EL1.MTX1 (extended memory tag checking, FEAT_MTE4)"),
];

/// The number of a system register with op0 = 3.
const fn system(op1: u32, crn: u32, crm: u32, op2: u32) -> RegisterId {
    RegisterId(3 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
}

/// The number of a system register of EL2.
pub(super) const fn system_el2(crn: u32, crm: u32, op2: u32) -> RegisterId {
    system(4, crn, crm, op2)
}

const fn register(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

pub(super) const ALL: &[RegisterInfo] = &[
    register(SCTLR_EL1, "sctlr_el1", "M, WXN"),
    register(TTBR0_EL1, "ttbr0_el1", "root of the lower half, ASID"),
    register(TTBR1_EL1, "ttbr1_el1", "root of the upper half, ASID"),
    register(TCR_EL1, "tcr_el1", "sizes, granules and options of both halves"),
    register(MAIR_EL1, "mair_el1", "memory types by AttrIndx"),
    register(PAN, "pan", "EL1 does not access what EL0 can"),
];

impl AArch64 {
    pub(super) fn read(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            SCTLR_EL1 => Ok(self.sctlr),
            TTBR0_EL1 => Ok(self.ttbr0),
            TTBR1_EL1 => Ok(self.ttbr1),
            TCR_EL1 => Ok(self.tcr.0),
            MAIR_EL1 => Ok(self.mair),
            PAN => Ok(if self.pan { PAN_BIT } else { 0 }),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    /// No write invalidates anything: that is TLBI's alone.
    pub(super) fn write(
        &mut self,
        id: RegisterId,
        value: u64,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            SCTLR_EL1 => {
                refuse_not_modelled("sctlr_el1", value, &SCTLR_NOT_MODELLED)?;
                self.sctlr = value;
            }
            TTBR0_EL1 => self.ttbr0 = value,
            TTBR1_EL1 => self.ttbr1 = value,
            TCR_EL1 => {
                refuse_not_modelled("tcr_el1", value, &TCR_NOT_MODELLED)?;
                self.tcr = Tcr(value);
            }
            MAIR_EL1 => self.mair = value,
            PAN => self.pan = value & PAN_BIT != 0,
            _ => return Err(RegisterError::Unknown { id }),
        }
        self.derive();
        Ok(None)
    }
}
