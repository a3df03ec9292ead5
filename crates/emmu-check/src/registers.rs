//! The seam between the registers of a vector and the unit that holds them.

use emmu_core::{Fault, RegisterError, RegisterId};
use emmu_paging::format::Format;

/// The registers of a vector, and how a unit of emmu comes to hold them.
pub trait UnitRegisters {
    /// The format of the unit.
    type Format: Format;

    /// The format of a processor out of reset that has what these registers take for granted.
    fn format(&self) -> Self::Format;

    /// Writes all registers by way of `write`, in an order that software may use. What stands in an operation, and not
    /// in the registers of the vector (EFLAGS.AC, PSTATE.PAN), is left to the caller.
    ///
    /// # Errors
    /// The [`RegisterError`] of the first write that is refused.
    fn switch_on(
        &self,
        write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError>;

    /// The exception that a fault of the unit raises, or `None` if vectors have no word for it.
    fn exception(format: &Self::Format, fault: &Fault) -> Option<emmu_vectors::Fault>;

    /// The exception that a refused write raises, if it raises one.
    #[must_use]
    fn refused_write(error: &RegisterError) -> Option<emmu_vectors::Fault> {
        let _ = error;
        None
    }
}
