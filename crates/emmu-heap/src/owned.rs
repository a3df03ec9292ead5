//! The search for the block that an address to be freed belongs to.

use crate::chain::Area;
use crate::header::{self, Header};
use crate::{Extent, HeapError, InvalidFree, Layout};
use alloc::vec::Vec;
use emmu_core::{Bus, PhysAddr};

/// Returns the block whose payload is at `addr`, from its header or, without headers, from the `size` of the
/// request. If there is no header, the error is that it was overwritten: only code that knows the free blocks
/// can tell if it is a double free.
pub(crate) fn owned<B: Bus + ?Sized>(
    bus: &mut B,
    layout: &Layout,
    area: &Area,
    addr: PhysAddr,
    size: Option<u64>,
) -> Result<Extent, HeapError> {
    let invalid = |why| HeapError::InvalidFree { addr, why };
    let start = addr.checked_sub(layout.header).filter(|start| area.extent.contains(*start));
    let start = start.ok_or(invalid(InvalidFree::Outside))?;
    if !area.admits(start) {
        return Err(invalid(InvalidFree::Misaligned));
    }
    let size = match (layout.header, size) {
        (0, None) => return Err(HeapError::SizeUnknown { addr }),
        (0, Some(size)) => layout.need(size),
        _ => match header::read(bus, addr)? {
            Header::Allocated(size) => size,
            Header::Freed => return Err(HeapError::DoubleFree { addr }),
            Header::Foreign(found) => return Err(HeapError::HeaderOverwritten { addr, found }),
        },
    };
    let block = Extent::new(start, size);
    if area.holds(block) { Ok(block) } else { Err(invalid(InvalidFree::Extent)) }
}

/// Checks that a block can be freed. `near` is a free block that contains its start or overlaps it, if there is
/// one.
pub(crate) fn not_free(
    addr: PhysAddr,
    block: Extent,
    near: Option<Extent>,
) -> Result<(), HeapError> {
    match near {
        Some(free) if free.contains(block.addr) => Err(HeapError::DoubleFree { addr }),
        Some(free) if free.overlaps(block) => {
            Err(HeapError::InvalidFree { addr, why: InvalidFree::Extent })
        }
        _ => Ok(()),
    }
}

/// Returns the allocated blocks, by their headers. They fill the space between the free blocks. `free` is
/// sorted by address.
pub(crate) fn between<B: Bus + ?Sized>(
    bus: &mut B,
    layout: &Layout,
    area: &Area,
    free: &[Extent],
) -> Result<Vec<Extent>, HeapError> {
    let (mut at, mut blocks) = (area.extent.addr, Vec::new());
    for free in free.iter().copied().chain([Extent::new(area.extent.end(), 0)]) {
        while at < free.addr {
            let gap = Area { extent: Extent::between(at, free.addr), ..*area };
            let block = owned(bus, layout, &gap, at.wrapping_add(layout.header), None)?;
            at = block.end();
            blocks.push(block);
        }
        at = free.end();
    }
    Ok(blocks)
}
