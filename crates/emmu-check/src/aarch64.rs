//! AArch64 on [`AArch64`] units.

use crate::UnitRegisters;
use emmu_core::{Fault, RegisterError, RegisterId};
use emmu_paging::{
    AArch64,
    format::aarch64::{FaultStatus, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1},
};
use emmu_vectors::{AArch64Fault, AArch64Registers, aarch64::FaultKind};

impl UnitRegisters for AArch64Registers {
    type Format = AArch64;

    fn format(&self) -> AArch64 {
        AArch64::new()
    }

    /// Writes all registers of EL1 but MAIR_EL1, which affects no answer.
    fn switch_on(
        &self,
        mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        write(TTBR0_EL1, self.ttbr0_el1)?;
        write(TTBR1_EL1, self.ttbr1_el1)?;
        write(TCR_EL1, self.tcr_el1)?;
        write(SCTLR_EL1, self.sctlr_el1)
    }

    fn exception(element: &AArch64, fault: &Fault) -> Option<emmu_vectors::Fault> {
        let raised = element.exception(fault);
        let kind = match raised.status {
            FaultStatus::AddressSize => FaultKind::AddressSize,
            FaultStatus::Translation => FaultKind::Translation,
            FaultStatus::AccessFlag => FaultKind::AccessFlag,
            FaultStatus::Permission => FaultKind::Permission,
            FaultStatus::ExternalAbortOnWalk => FaultKind::ExternalAbortOnWalk,
            FaultStatus::ExternalAbort => return None,
        };
        let (level, far) = (raised.level.into(), raised.far.raw());
        let abort = AArch64Fault { kind, level, esr: Some(raised.esr), far };
        Some(emmu_vectors::Fault::AArch64(abort))
    }
}
