//! AArch64 with stage 2, on units of two stages.

use super::write_all;
use crate::architecture::{Architecture, Run, SetupError, Unit};
use crate::differential::Fenced;
use emmu_core::{
    Access, Bus, Fault, Invalidate, PhysAddr, RegisterError, RegisterId, TranslationUnit, VirtAddr,
};
use emmu_oracle::{
    Memory, TwoStage,
    aarch64::{
        self, FaultKind,
        stage2::{Fault as Taken, Registers, Stage2Fault},
    },
    reference::SparseMemory,
    two_stage::Nested,
};
use emmu_paging::{
    AArch64, Paging, PagingConfig,
    format::aarch64::{HCR_EL2, Stage2, VTCR_EL2, VTTBR_EL2},
};

/// HCR_EL2.PTW, which the unit does not model.
const PTW: u64 = 1 << 2;

impl Architecture for Registers {
    type Format = AArch64;
    type Second = Paging<Stage2>;

    fn implemented(self, memory: &SparseMemory) -> Self {
        Self { el1: self.el1.implemented(memory), hcr_el2: self.hcr_el2 & !PTW, ..self }
    }

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(AArch64::new().guest(config, second)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError> {
        let mut write = |id, value| unit.write_register(id, value, bus, &mut ());
        write(VTCR_EL2, self.vtcr_el2)?;
        write(VTTBR_EL2, self.vttbr_el2)?;
        write(HCR_EL2, self.hcr_el2)?;
        write_all(&self.el1, write)
    }

    fn ask(&self, access: Access, memory: &dyn Memory) -> Nested<Taken> {
        self.nested(access, memory)
    }

    /// Returns the exception; HPFAR_EL2 is compared only where it is not UNKNOWN.
    fn exception(element: &AArch64, fault: &Fault) -> Option<Taken> {
        let stage1 = aarch64::Registers::exception(element, fault)?;
        let (Some(guest), hpfar) = (fault.guest, element.exception(fault).hpfar) else {
            return Some(Taken::Stage1(stage1));
        };
        let is_known = match stage1.kind {
            FaultKind::AddressSize | FaultKind::Translation | FaultKind::AccessFlag => true,
            FaultKind::Permission => guest.walk,
            FaultKind::ExternalAbortOnWalk => false,
        };
        Some(Taken::Stage2(Stage2Fault {
            kind: stage1.kind,
            level: stage1.level,
            s1ptw: stage1.esr >> 7 & 1 == 1,
            esr: stage1.esr,
            far: stage1.far,
            ipa: guest.addr,
            hpfar: hpfar.filter(|_| is_known),
        }))
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        self.el1.leaves_address_space(access)
    }

    /// Returns a run if an entry of either stage has "The Contiguous bit" set. The largest runs have 128 entries.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run> {
        let nested = self.nested(access, memory);
        let page_bits = nested.answer.map_or(12, |outcome| outcome.page_bits);
        let any = nested.reads.iter().any(|entry| entry.raw >> 52 & 1 == 1);
        any.then_some(Run { bits: 7, page_bits, step: None })
    }
}

/// "TLB maintenance requirements and the TLB maintenance instructions".
impl Fenced for Registers {
    /// Returns the first table: sixteen tables of 64 KiB at most.
    fn second_root(&self) -> (PhysAddr, u64) {
        (PhysAddr::new(self.vttbr_el2 & 0xffff_ffff_fffe), 1 << 20)
    }

    fn enter(&mut self, odd: bool, root: PhysAddr) -> Vec<(RegisterId, u64)> {
        self.vttbr_el2 = u64::from(odd) << 48 | root.raw();
        vec![(VTTBR_EL2, self.vttbr_el2)]
    }

    /// Makes a TLBI VAAE1 for an address, or a TLBI VMALLE1.
    fn fence_first(&self, addr: Option<VirtAddr>, _: bool) -> Vec<Invalidate> {
        vec![addr.map_or(Invalidate::All, Invalidate::Page)]
    }

    /// Makes a TLBI IPAS2E1 and then a TLBI VMALLE1 for an address, a TLBI VMALLS12E1, or for all virtual machines a
    /// TLBI ALLE1.
    fn fence_second(&self, all: bool, addr: Option<PhysAddr>) -> Vec<Invalidate> {
        // VTCR_EL2.VS: VMIDs of 16 bits, or of 8.
        let vmid = self.vttbr_el2 >> 48 & if self.vtcr_el2 >> 19 & 1 == 1 { 0xffff } else { 0xff };
        let tables = (!all).then_some(vmid);
        match addr {
            Some(_) if !all => {
                vec![Invalidate::SecondStage { tables, addr, combined: false }, Invalidate::All]
            }
            _ => vec![Invalidate::SecondStage { tables, addr: None, combined: true }],
        }
    }
}
