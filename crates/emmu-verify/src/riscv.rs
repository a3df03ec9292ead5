//! RISC-V on [`RiscV`] units.

mod hypervisor;

use crate::architecture::{Architecture, Run, SetupError, Unit, passes};
use emmu_check::UnitRegisters;
use emmu_core::{Access, Bus, Fault, RegisterError, RegisterId, TranslationUnit};
use emmu_oracle::{
    Memory, Reference,
    riscv::{Fault as Reported, Registers, Xlen},
};
use emmu_paging::{
    Paging, PagingConfig, RiscV,
    format::riscv::{Extensions, PMPADDR0, PMPCFG0},
};
use emmu_vectors::RiscVRegisters;

impl Architecture for Registers {
    type Format = RiscV;
    type Second = ();

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        _: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        let hart = RiscVRegisters::from(self).format();
        Ok(Paging::new(if self.pmp.is_empty() { hart } else { hart.with_pmp() }, config)?)
    }

    fn switch_on<B: Bus>(
        &self,
        unit: &mut Paging<RiscV>,
        bus: &mut B,
    ) -> Result<(), RegisterError> {
        write_all(self, |id, value| unit.write_register(id, value, bus, &mut ()))
    }

    fn exception(hart: &RiscV, fault: &Fault) -> Option<Reported> {
        match RiscVRegisters::exception(hart, fault) {
            Some(emmu_vectors::Fault::RiscV(reported)) => Some(reported),
            _ => None,
        }
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, if self.xlen == Xlen::Rv32 { 32 } else { 64 })
    }

    fn has_memory_protection(&self) -> bool {
        !self.pmp.is_empty()
    }

    /// Returns the run of a Svnapot page ("Svnapot"): sixteen equal entries. A refusal by PMP makes no difference.
    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run> {
        let open = Self { pmp: Vec::new(), ..self.clone() };
        let mapped = open.translate(access, memory).ok()?;
        (mapped.page_bits == 16).then_some(Run { bits: 4, page_bits: 12, step: Some(0) })
    }
}

/// Returns the extensions of a 64-bit hart.
fn extensions(registers: &Registers) -> Extensions {
    let mut extensions = Extensions::all();
    extensions.set(Extensions::SVNAPOT, registers.svnapot);
    extensions
}

/// Writes all registers of M-mode and S-mode.
fn write_all(
    registers: &Registers,
    mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
) -> Result<(), RegisterError> {
    // Addresses first: a locked entry takes none.
    for (number, entry) in (0..).zip(&registers.pmp) {
        write(RegisterId(PMPADDR0.0 + number), entry.addr)?;
    }
    // RV64 has the even registers only.
    let (bytes, step) = match registers.xlen {
        Xlen::Rv32 => (4, 1),
        Xlen::Rv64 => (8, 2),
    };
    for (number, entries) in (0..).zip(registers.pmp.chunks(bytes)) {
        let configs = (0..).zip(entries).map(|(at, entry)| u64::from(entry.cfg) << (8 * at));
        write(RegisterId(PMPCFG0.0 + number * step), configs.sum())?;
    }
    RiscVRegisters::from(registers).switch_on(write)
}
