//! x86 on [`X86`] units.

mod ept;

use crate::architecture::{Architecture, Run, SetupError, Unit, passes};
use emmu_check::UnitRegisters;
use emmu_core::{Access, Bus, Fault, PhysAddr, RegisterError, RegisterId, TranslationUnit};
use emmu_oracle::{
    Memory,
    reference::{SparseMemory, Write},
    x86::{Fault as Raised, Mode, Registers},
};
use emmu_paging::{
    Paging, PagingConfig, X86,
    format::x86::{RFLAGS, RFLAGS_AC, X86Exception},
};
use emmu_vectors::X86Registers;

impl Architecture for Registers {
    type Format = X86;
    type Second = ();

    /// Sets the PDPTE registers to the entries that the load of CR3 finds.
    fn implemented(self, memory: &SparseMemory) -> Self {
        Self { pdptes: self.load_pdptes(memory).unwrap_or_default(), ..self }
    }

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        _: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(Paging::new(X86Registers::from(*self).format(), config)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Paging<X86>, bus: &mut B) -> Result<(), RegisterError> {
        write_all(self, |id, value| unit.write_register(id, value, bus, &mut ()))
    }

    /// Returns no changes: only the load of the PDPTEs can fail.
    fn expected_switch_on(&self, memory: &SparseMemory) -> Result<Vec<Write>, Raised> {
        self.load_pdptes(memory).map(|_| Vec::new())
    }

    fn refused_write(&self, error: &RegisterError) -> Option<Raised> {
        match error {
            RegisterError::Reserved { .. } => Some(Raised::GeneralProtection),
            RegisterError::Bus { error, .. } => Some(Raised::BusError { entry: error.addr() }),
            RegisterError::Unknown { .. }
            | RegisterError::NotModelled { .. }
            | RegisterError::Fault(_) => None,
        }
    }

    fn exception(processor: &X86, fault: &Fault) -> Option<Raised> {
        Some(match processor.exception(fault) {
            X86Exception::PageFault { code, cr2 } => {
                Raised::PageFault { code: code.bits(), cr2: cr2.raw() }
            }
            X86Exception::GeneralProtection => Raised::GeneralProtection,
            X86Exception::StackFault => Raised::StackFault,
            X86Exception::MachineCheck => {
                let entry = fault.entry.map_or(PhysAddr::ZERO, |entry| entry.addr);
                Raised::BusError { entry }
            }
        })
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, if matches!(self.mode(), Mode::Level4 | Mode::Level5) { 64 } else { 32 })
    }

    fn run(&self, _: Access, _: &dyn Memory) -> Option<Run> {
        None
    }
}

/// Writes all registers.
fn write_all(
    registers: &Registers,
    mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
) -> Result<(), RegisterError> {
    write(RFLAGS, if registers.ac { RFLAGS_AC } else { 0 })?;
    X86Registers::from(*registers).switch_on(write)
}
