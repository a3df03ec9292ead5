//! x86 on [`X86`] units.

use crate::UnitRegisters;
use emmu_core::{Fault, PhysAddr, RegisterError, RegisterId};
use emmu_paging::{
    X86,
    format::x86::{CR0, CR3, CR4, Cr4, EFER, PKRU, X86Exception},
};
use emmu_vectors::{Fault as Raised, X86Registers};

impl UnitRegisters for X86Registers {
    type Format = X86;

    fn format(&self) -> X86 {
        X86::new(u8::try_from(self.maxphyaddr).unwrap_or(u8::MAX))
    }

    /// Writes all registers. PCIDs can be switched on only in IA-32e mode and with PCID 0.
    fn switch_on(
        &self,
        mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        let Self { cr0, cr3, cr4, efer, pkru, .. } = *self;
        write(PKRU, pkru.into())?;
        write(EFER, efer)?;
        write(CR4, cr4 & !Cr4::PCIDE.bits())?;
        let pcids = cr4 & Cr4::PCIDE.bits() != 0;
        write(CR3, if pcids { cr3 & !0xfff } else { cr3 })?;
        write(CR0, cr0)?;
        write(CR4, cr4)?;
        write(CR3, cr3)
    }

    fn exception(processor: &X86, fault: &Fault) -> Option<Raised> {
        Some(match processor.exception(fault) {
            X86Exception::PageFault { code, cr2 } => {
                Raised::PageFault { code: code.bits().into(), addr: cr2.raw() }
            }
            X86Exception::GeneralProtection => Raised::GeneralProtection { code: 0 },
            X86Exception::StackFault => Raised::Other("stack fault, code 0x0".to_owned()),
            X86Exception::MachineCheck => {
                bus_error(fault.entry.map_or(PhysAddr::ZERO, |entry| entry.addr))
            }
        })
    }

    /// Returns the exception of a refused write: only the load of the PDPTEs raises one.
    fn refused_write(error: &RegisterError) -> Option<Raised> {
        match error {
            RegisterError::Reserved { .. } => Some(Raised::GeneralProtection { code: 0 }),
            RegisterError::Bus { error, .. } => Some(bus_error(error.addr())),
            RegisterError::Unknown { .. }
            | RegisterError::NotModelled { .. }
            | RegisterError::Fault(_) => None,
        }
    }
}

fn bus_error(entry: PhysAddr) -> Raised {
    Raised::Other(format!("bus error at entry {entry}"))
}
