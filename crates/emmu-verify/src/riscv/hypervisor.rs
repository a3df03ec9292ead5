//! RISC-V with the hypervisor extension, on units of two stages.

use super::{extensions, write_all};
use crate::architecture::{Architecture, Run, SetupError, Unit};
use crate::differential::Fenced;
use emmu_core::{
    Access, AccessFlags, Asid, Bus, Fault, Invalidate, PhysAddr, RegisterError, RegisterId,
    TranslationUnit, VirtAddr, Vmid,
};
use emmu_oracle::{
    Memory, TwoStage,
    riscv::{
        Xlen,
        hypervisor::{Exception, Fault as Reported, Registers},
    },
    two_stage::Nested,
};
use emmu_paging::{
    Paging, PagingConfig,
    format::riscv::{GStage, HENVCFG, HGATP, RiscVH, VSATP, VSSTATUS},
};

impl Architecture for Registers {
    type Format = RiscVH;
    type Second = Paging<GStage>;

    /// Returns all fences. HFENCE.GVMA leaves the entries that hold guest-physical addresses, and HFENCE.VVMA is for
    /// one virtual machine.
    fn everything(&self) -> Vec<Invalidate> {
        let second = Invalidate::SecondStage { tables: None, addr: None, combined: true };
        [vec![Invalidate::All, second], self.fence_tables()].concat()
    }

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        let hart = match self.hs.xlen {
            Xlen::Rv32 => RiscVH::rv32(),
            Xlen::Rv64 => RiscVH::rv64().with_extensions(extensions(&self.hs)),
        };
        let hart = if self.hs.pmp.is_empty() { hart } else { hart.with_pmp() };
        Ok(hart.hart(config, second)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError> {
        let mut write = |id, value| unit.write_register(id, value, bus, &mut ());
        write_all(&self.hs, &mut write)?;
        write(HENVCFG, self.henvcfg)?;
        write(VSSTATUS, self.vsstatus)?;
        write(VSATP, self.vsatp)?;
        write(HGATP, self.hgatp)
    }

    fn ask(&self, access: Access, memory: &dyn Memory) -> Nested<Reported> {
        self.nested(access, memory)
    }

    fn exception(hart: &RiscVH, fault: &Fault) -> Option<Reported> {
        let raised = hart.exception(fault);
        let known = Exception::ALL.into_iter().find(|exception| exception.code() == raised.cause);
        known.map(|exception| Reported {
            exception,
            tval: raised.tval.raw(),
            gva: raised.gva,
            tval2: raised.htval,
            tinst: raised.tinst,
        })
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        self.hs.leaves_address_space(access)
    }

    fn has_memory_protection(&self) -> bool {
        self.hs.has_memory_protection()
    }

    /// Returns a run if an entry of either stage is a Svnapot entry ("Svnapot"). The page of the model is the whole
    /// run.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run> {
        let nested = self.nested(access, memory);
        let whole_bits = nested.answer.map_or(12, |outcome| outcome.page_bits);
        let any = nested.reads.iter().any(|entry| entry.raw >> 63 == 1);
        any.then_some(Run { bits: whole_bits.saturating_sub(12), page_bits: 12, step: None })
    }
}

/// "Hypervisor Memory-Management Fence Instructions".
impl Fenced for Registers {
    fn is_of_guest(&self, access: Access) -> bool {
        access.flags.contains(AccessFlags::GUEST)
    }

    fn second_root(&self) -> (PhysAddr, u64) {
        let ppn = self.hgatp & if self.hs.xlen == Xlen::Rv32 { 0x3f_fffc } else { 0xfff_ffff_fffc };
        (PhysAddr::new(ppn << 12), 1 << 14)
    }

    fn enter(&mut self, odd: bool, root: PhysAddr) -> Vec<(RegisterId, u64)> {
        let (vmid, ppn) = if self.hs.xlen == Xlen::Rv32 { (22, 22) } else { (44, 44) };
        let kept = self.hgatp & !(1 << vmid | ((1 << ppn) - 1));
        self.hgatp = kept | u64::from(odd) << vmid | root.raw() >> 12;
        vec![(HGATP, self.hgatp)]
    }

    fn turn(&mut self, odd: bool) -> Vec<(RegisterId, u64)> {
        let asid = if self.hs.xlen == Xlen::Rv32 { 22 } else { 44 };
        self.vsatp = self.vsatp & !(1 << asid) | u64::from(odd) << asid;
        vec![(VSATP, self.vsatp)]
    }

    /// Makes an HFENCE.VVMA.
    fn fence_first(&self, addr: Option<VirtAddr>, own: bool) -> Vec<Invalidate> {
        let asid = own.then(|| match self.hs.xlen {
            Xlen::Rv32 => number(self.vsatp >> 22 & 0x1ff),
            Xlen::Rv64 => number(self.vsatp >> 44),
        });
        let (vmid, asid) = (Vmid(vmid(self)), asid.map(Asid));
        vec![Invalidate::Guest { vmid, asid, addr, keeps_global: false }]
    }

    /// Makes an HFENCE.GVMA.
    fn fence_second(&self, all: bool, addr: Option<PhysAddr>) -> Vec<Invalidate> {
        let tables = (!all).then(|| vmid(self).into());
        vec![Invalidate::SecondStage { tables, addr, combined: true }]
    }

    /// Makes an HFENCE.VVMA in both virtual machines.
    fn fence_tables(&self) -> Vec<Invalidate> {
        let vmids = [vmid(self), vmid(self) ^ 1].map(Vmid);
        let fence = |vmid| Invalidate::Guest { vmid, asid: None, addr: None, keeps_global: false };
        vmids.map(fence).to_vec()
    }
}

fn vmid(registers: &Registers) -> u16 {
    match registers.hs.xlen {
        Xlen::Rv32 => number(registers.hgatp >> 22 & 0x7f),
        Xlen::Rv64 => number(registers.hgatp >> 44 & 0x3fff),
    }
}

/// Returns the low 16 bits.
fn number(bits: u64) -> u16 {
    let [low, high, ..] = bits.to_le_bytes();
    u16::from_le_bytes([low, high])
}
