//! `UnitRegisters`: gives a unit the registers of a vector, and translates its faults into the vectors' exceptions.

use emmu_core::{Fault, RegisterError, RegisterId};
use emmu_paging::format::Format;

/// The registers of a vector, and the way to give a unit of emmu the same registers.
pub trait UnitRegisters {
    /// The format of the unit.
    type Format: Format;

    /// Returns the format of a processor out of reset with the features that these registers need.
    fn format(&self) -> Self::Format;

    /// Writes all registers through `write`, in an order that software may use. The caller writes the registers that an
    /// operation sets, and not the vector (EFLAGS.AC, PSTATE.PAN).
    ///
    /// # Errors
    /// The [`RegisterError`] of the first write that is refused.
    fn switch_on(
        &self,
        write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError>;

    /// Returns the exception that a fault of the unit raises, or `None` if vectors have no such exception.
    fn exception(format: &Self::Format, fault: &Fault) -> Option<emmu_vectors::Fault>;

    /// Returns the exception that a refused write raises, if it raises one.
    #[must_use]
    fn refused_write(error: &RegisterError) -> Option<emmu_vectors::Fault> {
        let _ = error;
        None
    }
}
