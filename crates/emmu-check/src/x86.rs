//! x86 vectors on [`X86`] units.

use crate::{Units, bus::VectorBus, translate};
use emmu_core::{RegisterError, RegisterId, TranslationUnit};
use emmu_oracle::{
    reference::SparseMemory,
    vectors::{Answer, Fault, Operation, X86Registers},
};
use emmu_paging::{
    Paging, X86,
    format::x86::{CR0, CR3, CR4, Cr4, EFER, PKRU, RFLAGS, RFLAGS_AC, X86Exception},
};

pub(crate) fn perform(
    units: &Units,
    registers: &X86Registers,
    operation: Operation,
    memory: &mut SparseMemory,
) -> Result<Answer, Answer> {
    let mut unit = units.unit(X86::new(u8::try_from(registers.maxphyaddr).unwrap_or(u8::MAX)))?;
    let mut bus = VectorBus(memory);
    if let Err(error) = switch_on(&mut unit, registers, &mut bus) {
        return Err(refused(&error));
    }
    let Operation::Access { access, ac, .. } = operation else { return Ok(Answer::Loaded) };
    if ac {
        write(&mut unit, RFLAGS, RFLAGS_AC, &mut bus).map_err(|error| refused(&error))?;
    }
    let answer = translate(&mut unit, access, &mut bus);
    Ok(answer.unwrap_or_else(|fault| match unit.format().exception(&fault) {
        X86Exception::PageFault { code, cr2 } => {
            Answer::Fault(Fault::PageFault { code: code.bits().into(), addr: cr2.raw() })
        }
        X86Exception::GeneralProtection => Answer::Fault(Fault::GeneralProtection { code: 0 }),
        X86Exception::StackFault | X86Exception::MachineCheck => {
            Answer::Fault(Fault::Other(fault.to_string()))
        }
    }))
}

/// Brings a processor out of reset into the paging mode of `registers`, in an order that software may use:
/// PCIDs can be switched on only in IA-32e mode and with PCID 0.
fn switch_on(
    unit: &mut Paging<X86>,
    registers: &X86Registers,
    bus: &mut VectorBus<'_>,
) -> Result<(), RegisterError> {
    write(unit, PKRU, registers.pkru.into(), bus)?;
    write(unit, EFER, registers.efer, bus)?;
    write(unit, CR4, registers.cr4 & !Cr4::PCIDE.bits(), bus)?;
    write(unit, CR3, registers.cr3 & !0xfff, bus)?;
    write(unit, CR0, registers.cr0, bus)?;
    write(unit, CR4, registers.cr4, bus)?;
    write(unit, CR3, registers.cr3, bus)
}

fn write(
    unit: &mut Paging<X86>,
    id: RegisterId,
    value: u64,
    bus: &mut VectorBus<'_>,
) -> Result<(), RegisterError> {
    unit.write_register(id, value, bus, &mut ())
}

/// A register write that the architecture refuses raises #GP(0).
fn refused(error: &RegisterError) -> Answer {
    match error {
        RegisterError::Reserved { .. } => Answer::Fault(Fault::GeneralProtection { code: 0 }),
        error => Answer::NotModelled(error.to_string()),
    }
}
