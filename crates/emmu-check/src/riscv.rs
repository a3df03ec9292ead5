//! RISC-V on [`RiscV`] units.

use crate::UnitRegisters;
use emmu_core::{Fault, RegisterError, RegisterId};
use emmu_paging::{
    RiscV,
    format::riscv::{Extensions, MENVCFG, MSTATUS, SATP},
};
use emmu_vectors::{
    RiscVRegisters,
    riscv::{Exception, Fault as Reported},
};

impl UnitRegisters for RiscVRegisters {
    type Format = RiscV;

    /// Returns the format: the ISA string names XLEN and Svnapot; the unit has all other extensions of a 64-bit hart.
    fn format(&self) -> RiscV {
        if self.isa.starts_with("rv32") {
            return RiscV::rv32();
        }
        let mut extensions = Extensions::all();
        extensions.set(Extensions::SVNAPOT, self.has_extension("svnapot"));
        RiscV::rv64().with_extensions(extensions)
    }

    fn switch_on(
        &self,
        mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        write(MENVCFG, self.menvcfg)?;
        write(MSTATUS, self.mstatus)?;
        write(SATP, self.satp)
    }

    fn exception(hart: &RiscV, fault: &Fault) -> Option<emmu_vectors::Fault> {
        let raised = hart.exception(fault);
        let known = Exception::ALL.into_iter().find(|exception| exception.code() == raised.cause);
        known.map(|exception| Reported { exception, tval: raised.tval.raw() }.into())
    }
}
