//! The segment registers: three for each segment, from number 0x20 + 4 × segment on.
//!
//! The textbook gives no numbers; these are free in all of emmu's other units, so that a
//! [`emmu_core::Chain`] can have both.

use crate::MAX_SEGMENTS;
use emmu_core::{Privilege, RegisterId, RegisterInfo};

/// Number of the base register of a segment.
#[must_use]
pub const fn base_register(segment: u32) -> RegisterId {
    number(segment, 0)
}

/// Number of the bounds register of a segment.
#[must_use]
pub const fn bounds_register(segment: u32) -> RegisterId {
    number(segment, 1)
}

/// Number of the flags register of a segment: [`crate::SegmentFlags`].
#[must_use]
pub const fn flags_register(segment: u32) -> RegisterId {
    number(segment, 2)
}

/// Saturates at a number that is no register's.
const fn number(segment: u32, field: u32) -> RegisterId {
    RegisterId(segment.saturating_mul(STRIDE).saturating_add(FIRST + field))
}

/// Number of the first register of segment 0.
const FIRST: u32 = 0x20;

/// Distance between the numbers of the same register of two segments.
const STRIDE: u32 = 4;

/// Registers of a segment.
const FIELDS: usize = 3;

/// The content of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Base,
    Bounds,
    Flags,
}

/// The segment and field of a register number.
pub(crate) fn parse(id: RegisterId) -> Option<(u32, Field)> {
    let place = id.0.checked_sub(FIRST)?;
    let field = match place % STRIDE {
        0 => Field::Base,
        1 => Field::Bounds,
        2 => Field::Flags,
        _ => return None,
    };
    Some((place / STRIDE, field))
}

/// The registers of that many segments, of which there are at most [`MAX_SEGMENTS`].
pub(crate) fn registers(segments: usize) -> &'static [RegisterInfo] {
    REGISTERS.get(..FIELDS * segments).unwrap_or(&REGISTERS)
}

/// The name of a register, whether or not a unit has so many segments.
pub(crate) fn name(id: RegisterId) -> &'static str {
    REGISTERS.iter().find(|info| info.id == id).map_or("unknown", |info| info.name)
}

const fn info(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

macro_rules! registers_of {
    ($($segment:literal)*) => {
        [$(
            info(
                base_register($segment),
                concat!("seg", $segment, "_base"),
                "physical address of the segment's first byte; past its last one, if it grows down",
            ),
            info(
                bounds_register($segment),
                concat!("seg", $segment, "_bounds"),
                "bytes that the segment has",
            ),
            info(
                flags_register($segment),
                concat!("seg", $segment, "_flags"),
                "read (1), write (2), execute (4), grows down (8)",
            ),
        )*]
    };
}

static REGISTERS: [RegisterInfo; FIELDS * MAX_SEGMENTS as usize] =
    registers_of!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
