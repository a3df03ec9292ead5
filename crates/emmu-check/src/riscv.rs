//! RISC-V vectors on [`RiscV`] units.

use crate::{Units, bus::VectorBus, translate};
use emmu_oracle::{
    reference::SparseMemory,
    riscv::{Exception, Fault as Reported},
    vectors::{Answer, Fault, Operation, RiscVRegisters},
};
use emmu_paging::{
    RiscV,
    format::riscv::{EnvConfig, Extensions, Status},
};

pub(crate) fn perform(
    units: &Units,
    registers: &RiscVRegisters,
    operation: Operation,
    memory: &mut SparseMemory,
) -> Result<Answer, Answer> {
    let Operation::Access { access, .. } = operation else {
        return Err(Answer::NotModelled("CR3 outside of x86".to_owned()));
    };
    let mut unit = units.unit(hart(registers))?;
    let answer = translate(&mut unit, access, &mut VectorBus(memory));
    Ok(answer.unwrap_or_else(|fault| {
        let raised = unit.format().exception(&fault);
        let known = Exception::ALL.into_iter().find(|exception| exception.code() == raised.cause);
        match known {
            Some(exception) => {
                Answer::Fault(Fault::RiscV(Reported { exception, tval: raised.tval.raw() }))
            }
            None => Answer::Fault(Fault::Other(fault.to_string())),
        }
    }))
}

fn hart(registers: &RiscVRegisters) -> RiscV {
    let base = if registers.isa.starts_with("rv32") { RiscV::rv32() } else { RiscV::rv64() };
    let mut extensions = Extensions::SV48 | Extensions::SV57;
    for (name, extension) in [
        ("svadu", Extensions::SVADU),
        ("svnapot", Extensions::SVNAPOT),
        ("svpbmt", Extensions::SVPBMT),
    ] {
        extensions.set(extension, registers.has_extension(name));
    }
    base.with_extensions(extensions)
        .with_satp(registers.satp)
        .with_mstatus(Status::from_bits_truncate(registers.mstatus))
        .with_menvcfg(EnvConfig::from_bits_truncate(registers.menvcfg))
}
