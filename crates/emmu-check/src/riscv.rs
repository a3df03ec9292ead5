//! RISC-V on [`RiscV`] units.

use crate::architecture::{Architecture, Run, passes};
use emmu_core::{Access, Bus, Fault, RegisterError, RegisterId, TranslationUnit};
use emmu_oracle::{
    Reference,
    reference::SparseMemory,
    riscv::{Exception, Fault as Reported, Registers, Xlen},
};
use emmu_paging::{
    Paging, RiscV,
    format::riscv::{Extensions, MENVCFG, MSTATUS, PMPADDR0, PMPCFG0, SATP},
};

impl Architecture for Registers {
    type Format = RiscV;

    fn out_of_reset(&self) -> RiscV {
        let hart = match self.xlen {
            Xlen::Rv32 => RiscV::rv32(),
            Xlen::Rv64 => {
                let mut extensions = Extensions::all();
                extensions.set(Extensions::SVNAPOT, self.svnapot);
                RiscV::rv64().with_extensions(extensions)
            }
        };
        if self.pmp.is_empty() { hart } else { hart.with_pmp() }
    }

    fn switch_on<B: Bus>(
        &self,
        unit: &mut Paging<RiscV>,
        bus: &mut B,
    ) -> Result<(), RegisterError> {
        let mut write = |id, value| unit.write_register(id, value, bus, &mut ());
        write(MENVCFG, self.menvcfg)?;
        write(MSTATUS, self.mstatus)?;
        // Addresses first: a locked entry takes none.
        for (number, entry) in (0..).zip(&self.pmp) {
            write(RegisterId(PMPADDR0.0 + number), entry.addr)?;
        }
        // RV64 has the even registers only.
        let (bytes, step) = match self.xlen {
            Xlen::Rv32 => (4, 1),
            Xlen::Rv64 => (8, 2),
        };
        for (number, entries) in (0..).zip(self.pmp.chunks(bytes)) {
            let configs = (0..).zip(entries).map(|(at, entry)| u64::from(entry.cfg) << (8 * at));
            write(RegisterId(PMPCFG0.0 + number * step), configs.sum())?;
        }
        write(SATP, self.satp)
    }

    fn exception(hart: &RiscV, fault: &Fault) -> Option<Reported> {
        let raised = hart.exception(fault);
        let known = Exception::ALL.into_iter().find(|exception| exception.code() == raised.cause);
        known.map(|exception| Reported { exception, tval: raised.tval.raw() })
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, if self.xlen == Xlen::Rv32 { 32 } else { 64 })
    }

    fn has_memory_protection(&self) -> bool {
        !self.pmp.is_empty()
    }

    /// "Svnapot": sixteen entries that are all alike. Whether PMP refuses the access makes no difference.
    fn run(&self, access: Access, memory: &SparseMemory) -> Option<Run> {
        let open = Self { pmp: Vec::new(), ..self.clone() };
        let mapped = open.translate(access, memory).ok()?;
        (mapped.page_bits == 16).then_some(Run { bits: 4, page_bits: 12, step: 0 })
    }
}
