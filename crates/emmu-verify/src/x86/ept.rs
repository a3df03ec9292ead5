//! x86 in VMX non-root operation, on units with EPT.

use super::write_all;
use crate::architecture::{Architecture, Run, SetupError, Unit};
use crate::differential::Fenced;
use emmu_core::{
    Access, Asid, Bus, Cause, Fault, Invalidate, PhysAddr, RegisterError, RegisterId,
    TranslationUnit, VirtAddr, Vmid,
};
use emmu_oracle::{
    Memory, TwoStage,
    reference::{SparseMemory, Write},
    two_stage::Nested,
    x86::{
        self,
        ept::{Fault as Raised, Registers},
    },
};
use emmu_paging::{
    Paging, PagingConfig, X86,
    format::x86::{EPTP, Ept, VPID, VmExit},
};

impl Architecture for Registers {
    type Format = X86;
    type Second = Paging<Ept>;

    /// Sets the execute-only translations of the unit, and the PDPTE registers to the entries that the load of CR3
    /// finds.
    fn implemented(self, memory: &SparseMemory) -> Self {
        let this = Self { execute_only: true, ..self };
        let pdptes = this.load_pdptes(memory).map(|(pdptes, _)| pdptes).unwrap_or_default();
        Self { guest: x86::Registers { pdptes, ..this.guest }, ..this }
    }

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(X86::new(u8::try_from(self.guest.maxphyaddr).unwrap_or(u8::MAX))
            .guest(config, second)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError> {
        let mut write = |id, value| unit.write_register(id, value, bus, &mut ());
        if self.enable_ept {
            write(EPTP, self.eptp)?;
        }
        write(VPID, self.vpid.into())?;
        write_all(&self.guest, write)
    }

    fn expected_switch_on(&self, memory: &SparseMemory) -> Result<Vec<Write>, Raised> {
        self.load_pdptes(memory).map(|(_, changes)| changes)
    }

    fn refused_write(&self, error: &RegisterError) -> Option<Raised> {
        match error {
            RegisterError::Reserved { name: "eptp", .. } => {
                self.check_eptp().err().map(Raised::InvalidEptp)
            }
            RegisterError::Fault(fault) => {
                exit(Ept::exit_of_load(fault), false).or(bus_error(fault))
            }
            RegisterError::Bus { error, .. } => Some(Raised::BusError { entry: error.addr() }),
            _ => self.guest.refused_write(error).map(Raised::Exception),
        }
    }

    fn ask(&self, access: Access, memory: &dyn Memory) -> Nested<Raised> {
        self.nested(access, memory)
    }

    fn exception(processor: &X86, fault: &Fault) -> Option<Raised> {
        let exception = || x86::Registers::exception(processor, fault).map(Raised::Exception);
        exit(Ept::exit(fault), true).or_else(|| bus_error(fault)).or_else(exception)
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        self.guest.leaves_address_space(access)
    }

    fn run(&self, _: Access, _: &dyn Memory) -> Option<Run> {
        None
    }
}

/// "Invalidating Cached Translation Information".
impl Fenced for Registers {
    fn second_root(&self) -> (PhysAddr, u64) {
        (PhysAddr::new(self.eptp & !0xfff), 1 << 12)
    }

    /// Writes the EPTP only: the VPID stays, since "EPTRTA" tells the virtual machines apart.
    fn enter(&mut self, _: bool, root: PhysAddr) -> Vec<(RegisterId, u64)> {
        if !self.enable_ept {
            return Vec::new();
        }
        self.eptp = self.eptp & 0xfff | root.raw();
        vec![(EPTP, self.eptp)]
    }

    /// Makes an INVLPG in the guest, or an INVVPID for a single context.
    fn fence_first(&self, addr: Option<VirtAddr>, _: bool) -> Vec<Invalidate> {
        let vmid = Vmid(self.vpid);
        let single = Invalidate::Guest { vmid, asid: None, addr, keeps_global: false };
        let pcids = self.guest.cr4 >> 17 & 1 == 1;
        let pcid = if pcids { self.guest.cr3 & 0xfff } else { 0 };
        let asid = Asid(u16::try_from(pcid).unwrap_or(0));
        let invlpg = |addr| Invalidate::PageInAsid { addr, asid, global: true };
        vec![addr.map_or(single, invlpg)]
    }

    /// Makes an INVEPT for a single context, or for all.
    fn fence_second(&self, all: bool, _: Option<PhysAddr>) -> Vec<Invalidate> {
        let tables = (!all).then_some(self.eptp);
        vec![Invalidate::SecondStage { tables, addr: None, combined: true }]
    }
}

/// Returns a VM exit in the form of the model, with or without a linear address.
fn exit(exit: Option<VmExit>, has_linear: bool) -> Option<Raised> {
    Some(match exit? {
        VmExit::EptViolation { qualification, guest_linear, guest_physical } => {
            let linear = has_linear.then_some(guest_linear.raw());
            Raised::EptViolation { qualification, gpa: guest_physical.raw(), linear }
        }
        VmExit::EptMisconfiguration { guest_physical } => {
            Raised::EptMisconfiguration { gpa: guest_physical.raw() }
        }
    })
}

/// Returns the bus error of an entry at whose host address nothing answers.
fn bus_error(fault: &Fault) -> Option<Raised> {
    match fault.cause {
        Cause::Bus(error) => Some(Raised::BusError { entry: error.addr() }),
        _ => None,
    }
}
