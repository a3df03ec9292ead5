//! AArch64 vectors on [`AArch64`] units.

use crate::{Units, bus::VectorBus, translate};
use emmu_core::{Fault as Refused, RegisterError, TranslationUnit};
use emmu_oracle::{
    aarch64::FaultKind,
    reference::SparseMemory,
    vectors::{AArch64Fault, AArch64Registers, Answer, Fault, Operation},
};
use emmu_paging::{
    AArch64, Paging,
    format::aarch64::{FaultStatus, MAIR_EL1, PAN, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1},
};

pub(crate) fn perform(
    units: &Units,
    registers: &AArch64Registers,
    operation: Operation,
    memory: &mut SparseMemory,
) -> Result<Answer, Answer> {
    let Operation::Access { access, pan, .. } = operation else {
        return Err(Answer::NotModelled("CR3 outside of x86".to_owned()));
    };
    let mut unit = units.unit(AArch64::new())?;
    let mut bus = VectorBus(memory);
    switch_on(&mut unit, registers, pan, &mut bus)
        .map_err(|error| Answer::NotModelled(error.to_string()))?;
    let answer = translate(&mut unit, access, &mut bus);
    Ok(answer.unwrap_or_else(|fault| Answer::Fault(abort(unit.format(), &fault))))
}

fn switch_on(
    unit: &mut Paging<AArch64>,
    registers: &AArch64Registers,
    pan: bool,
    bus: &mut VectorBus<'_>,
) -> Result<(), RegisterError> {
    for (id, value) in [
        (TTBR0_EL1, registers.ttbr0_el1),
        (TTBR1_EL1, registers.ttbr1_el1),
        (TCR_EL1, registers.tcr_el1),
        (MAIR_EL1, registers.mair_el1),
        (SCTLR_EL1, registers.sctlr_el1),
        (PAN, u64::from(pan) << 22),
    ] {
        unit.write_register(id, value, bus, &mut ())?;
    }
    Ok(())
}

fn abort(format: &AArch64, fault: &Refused) -> Fault {
    let raised = format.exception(fault);
    let kind = match raised.status {
        FaultStatus::AddressSize => FaultKind::AddressSize,
        FaultStatus::Translation => FaultKind::Translation,
        FaultStatus::AccessFlag => FaultKind::AccessFlag,
        FaultStatus::Permission => FaultKind::Permission,
        FaultStatus::ExternalAbortOnWalk => FaultKind::ExternalAbortOnWalk,
        FaultStatus::ExternalAbort => return Fault::Other(fault.to_string()),
    };
    Fault::AArch64(AArch64Fault {
        kind,
        level: raised.level.into(),
        esr: Some(raised.esr),
        far: raised.far.raw(),
    })
}
