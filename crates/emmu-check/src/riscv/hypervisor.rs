//! RISC-V with the hypervisor extension, on units of two stages.

use super::{extensions, write_all};
use crate::architecture::{Architecture, Run, Unit};
use emmu_core::{Access, Bus, Fault, RegisterError, TranslationUnit};
use emmu_oracle::{
    Memory, TwoStage,
    riscv::{
        Xlen,
        hypervisor::{Exception, Fault as Reported, Registers},
    },
    two_stage::Nested,
};
use emmu_paging::{
    ConfigError, Paging, PagingConfig,
    format::riscv::{GStage, HENVCFG, HGATP, RiscVH, VSATP, VSSTATUS},
};

impl Architecture for Registers {
    type Format = RiscVH;
    type Second = Paging<GStage>;

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, ConfigError> {
        let hart = match self.hs.xlen {
            Xlen::Rv32 => RiscVH::rv32(),
            Xlen::Rv64 => RiscVH::rv64().with_extensions(extensions(&self.hs)),
        };
        if self.hs.pmp.is_empty() { hart } else { hart.with_pmp() }.hart(config, second)
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

    /// "Svnapot", at either stage. The page of the model is the whole run.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run> {
        let nested = self.nested(access, memory);
        let whole_bits = nested.answer.map_or(12, |outcome| outcome.page_bits);
        let any = nested.reads.iter().any(|entry| entry.raw >> 63 == 1);
        any.then_some(Run { bits: whole_bits.saturating_sub(12), page_bits: 12, step: None })
    }
}
