//! What stands before the payload of an allocated block: its size, and a magic number.
//!
//! ```text
//!  block                      payload − 16        payload − 8        payload
//! ├ (the rest of the header) ─┼ size (sealed) ────┼ magic number ────┼ …
//! ```

use crate::sealed::{WORD, Word};
use crate::{Field, HeapError};
use emmu_core::{Bus, PhysAddr, Width};

/// Bytes of a header that are used.
pub(crate) const BYTES: u64 = 2 * WORD;
/// Marks an allocated block.
pub(crate) const MAGIC: u64 = 0x0a11_0ca7_edb1_0c15;
/// Marks one that was freed, until somebody writes there.
const FREED: u64 = 0x0f4e_edb1_0c4f_4eed;

/// What stands where the header of a payload should be.
pub(crate) enum Header {
    /// A block of so many bytes.
    Allocated(u64),
    /// One that was freed.
    Freed,
    /// Anything else; for an overwritten size, the magic number is what is wrong with it.
    Foreign(u64),
}

pub(crate) fn write<B: Bus + ?Sized>(
    bus: &mut B,
    payload: PhysAddr,
    size: u64,
) -> Result<(), HeapError> {
    word(payload).write(bus, size)?;
    Ok(bus.write(magic(payload), Width::B8, MAGIC)?)
}

pub(crate) fn read<B: Bus + ?Sized>(bus: &mut B, payload: PhysAddr) -> Result<Header, HeapError> {
    match bus.read(magic(payload), Width::B8)? {
        MAGIC => word(payload).read(bus).map(Header::Allocated),
        FREED => Ok(Header::Freed),
        found => Ok(Header::Foreign(found)),
    }
}

/// Says that the block is free, before its first bytes become a node.
pub(crate) fn wipe<B: Bus + ?Sized>(bus: &mut B, payload: PhysAddr) -> Result<(), HeapError> {
    Ok(bus.write(magic(payload), Width::B8, FREED)?)
}

fn word(payload: PhysAddr) -> Word {
    Word { at: PhysAddr::new(payload.raw().wrapping_sub(BYTES)), field: Field::HeaderSize }
}

fn magic(payload: PhysAddr) -> PhysAddr {
    PhysAddr::new(payload.raw().wrapping_sub(WORD))
}
