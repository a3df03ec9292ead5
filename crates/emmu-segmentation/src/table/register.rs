//! The registers that say where the table is.

use super::{DESCRIPTOR_BYTES, SegmentTable};
use crate::selection::Geometry;
use emmu_core::{PhysAddr, Privilege, RegisterError, RegisterInfo};

pub(super) static ALL: [RegisterInfo; 2] = [
    RegisterInfo {
        id: SegmentTable::BASE,
        name: "table_base",
        privilege: Privilege::Supervisor,
        about: "physical address of descriptor 0, a multiple of 16",
    },
    RegisterInfo {
        id: SegmentTable::LENGTH,
        name: "table_length",
        privilege: Privilege::Supervisor,
        about: "how many descriptors the table has",
    },
];

/// The reasons why a base, and why a length, is refused.
pub(super) const REASONS: [&str; 2] =
    ["the table begins at a multiple of 16", "more descriptors than selectors"];

pub(super) fn base(value: u64) -> Result<PhysAddr, RegisterError> {
    if value.is_multiple_of(DESCRIPTOR_BYTES) {
        return Ok(PhysAddr::new(value));
    }
    let [what, _] = REASONS;
    Err(RegisterError::Reserved { name: "table_base", value, what })
}

/// A table has as many descriptors as there are selectors, at most.
pub(super) fn length(value: u64, geometry: Geometry) -> Result<u64, RegisterError> {
    let selectors = 1u64 << geometry.selection.selector_bits();
    if value <= selectors {
        return Ok(value);
    }
    let [_, what] = REASONS;
    Err(RegisterError::Reserved { name: "table_length", value, what })
}
