//! Programs in one piece: all addresses from 0 to the end of the last region lie together.

use crate::areas::Area;
use crate::{Growth, KernelPort, Layout, LayoutError, OsError, Region};
use emmu_core::PhysAddr;
use emmu_cpu::Stop;

/// A process's memory, in one piece.
#[derive(Debug, PartialEq, Eq)]
pub struct ContiguousSpace {
    pub(super) area: Area,
    pub(super) size: u64,
}

impl ContiguousSpace {
    /// Physical address of the process's byte 0.
    #[must_use]
    pub const fn base(&self) -> PhysAddr {
        self.area.start
    }

    /// Returns the number of bytes of the process.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Writes a program to `start`: the regions' images where they belong, and zeros around them.
pub(super) fn write(
    kernel: &mut KernelPort<'_>,
    start: PhysAddr,
    layout: &Layout,
) -> Result<(), OsError> {
    let mut done = 0;
    for region in layout.regions() {
        let gap = region.start().raw() - done;
        kernel.fill(start.wrapping_add(done), gap, &[])?;
        kernel.fill(start.wrapping_add(done + gap), region.size(), region.image())?;
        done = region.end().raw();
    }
    Ok(())
}

/// Copies what is in `from` to the start of `to`, which is no part of it, and zeros what was left.
pub(super) fn move_to(kernel: &mut KernelPort<'_>, from: Area, to: PhysAddr) -> Result<(), Stop> {
    kernel.copy(from.start, to, from.size)?;
    kernel.fill(from.start, from.size, &[])
}

/// Zeros the bytes that are new, of a program whose byte 0 is at `start`.
pub(super) fn zero_added(
    kernel: &mut KernelPort<'_>,
    start: PhysAddr,
    growth: &Growth,
) -> Result<(), Stop> {
    kernel.fill(start.wrapping_add(growth.start().raw()), growth.added(), &[])
}

/// Checks that every absolute reference has room for its new value when the program's byte 0 is at `origin`.
pub(super) fn check_references(layout: &Layout, origin: PhysAddr) -> Result<(), LayoutError> {
    layout.regions().iter().try_for_each(|region| {
        region.references().iter().try_for_each(|reference| {
            let addr = region.start().wrapping_add(reference.offset());
            let held = bytes_at(region, reference.offset(), reference.width().bytes());
            let moved = held.checked_add(origin.raw());
            match moved.filter(|&moved| moved <= reference.width().mask()) {
                Some(_) => Ok(()),
                None => Err(LayoutError::ReferenceTooWide { addr, held, origin: origin.raw() }),
            }
        })
    })
}

fn bytes_at(region: &Region, offset: u64, len: u64) -> u64 {
    let image = usize::try_from(offset).ok().and_then(|offset| region.image().get(offset..));
    let bytes = image.unwrap_or(&[]).iter().take(8).zip(0..len);
    bytes.fold(0, |value, (&byte, index)| value | u64::from(byte) << (8 * index))
}

/// Static relocation: adds `origin` to every absolute reference of a program that was written there.
pub(super) fn patch(
    kernel: &mut KernelPort<'_>,
    origin: PhysAddr,
    layout: &Layout,
) -> Result<(), Stop> {
    for region in layout.regions() {
        let start = origin.wrapping_add(region.start().raw());
        for reference in region.references() {
            let (at, width) = (start.wrapping_add(reference.offset()), reference.width());
            let held = kernel.load_word(at, width)?;
            kernel.store_word(at, width, held.wrapping_add(origin.raw()))?;
        }
    }
    Ok(())
}
