//! The header before the payload of an allocated block: its size, and a magic number.
//!
//! ```text
//!  block                      payload − 16        payload − 8        payload
//! ├ (the rest of the header) ─┼ size (sealed) ────┼ magic number ────┼ …
//! ```

use crate::sealed::{WORD, Word};
use crate::{Field, HeapError};
use emmu_core::{Bus, PhysAddr, Width};

/// The number of bytes of a header that are used.
pub(crate) const BYTES: u64 = 2 * WORD;
/// The magic number of an allocated block.
pub(crate) const MAGIC: u64 = 0x0a11_0ca7_edb1_0c15;
/// The magic number of a freed block, until something is written there.
const FREED: u64 = 0x0f4e_edb1_0c4f_4eed;

/// The content of the place where the header of a payload should be.
pub(crate) enum Header {
    /// A header of a block with this number of bytes.
    Allocated(u64),
    /// A header of a block that was freed.
    Freed,
    /// No header. The number is the word in place of the magic number; if the size was overwritten, it is the
    /// magic number.
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

/// Marks the block as free, before its first bytes become a node.
pub(crate) fn wipe<B: Bus + ?Sized>(bus: &mut B, payload: PhysAddr) -> Result<(), HeapError> {
    Ok(bus.write(magic(payload), Width::B8, FREED)?)
}

fn word(payload: PhysAddr) -> Word {
    Word { at: PhysAddr::new(payload.raw().wrapping_sub(BYTES)), field: Field::HeaderSize }
}

fn magic(payload: PhysAddr) -> PhysAddr {
    PhysAddr::new(payload.raw().wrapping_sub(WORD))
}
