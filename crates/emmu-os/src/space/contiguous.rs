//! Address spaces of base and bounds: one area of physical memory each.

mod pool;

use super::whole::{self, ContiguousSpace};
use super::{AddressSpaces, MemoryUsage, PhysicalMemory};
use crate::areas::{Area, AreaPool};
use crate::{Growth, KernelPort, Layout, OsError};
use alloc::vec::Vec;
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::VirtAddr;
use pool::{Pool, SlotPool};

/// Address spaces for [`BaseBounds`]: a process has all addresses from 0 to the end of its highest region, in
/// one piece, from its start on. The hardware knows of no rights, nor of the gaps between regions.
///
/// A process that grows stays where it is if what follows is free, and moves elsewhere if not; the hardware
/// relocates every access, so the program does not notice.
#[derive(Clone, Debug)]
pub struct Contiguous {
    convention: Convention,
    pool: Pool,
}

impl Contiguous {
    /// Address spaces for a unit whose bounds register means this; each has as much memory as it needs, from a
    /// free list.
    #[must_use]
    pub fn new(convention: Convention) -> Self {
        Self { convention, pool: Pool::Areas(AreaPool::default()) }
    }

    /// Makes address spaces with slots: all memory is cut into slots of `size` bytes (at least one byte), and
    /// each process has one. A bitmap tells which are taken.
    #[must_use]
    pub fn with_slots(convention: Convention, size: u64) -> Self {
        Self { convention, pool: Pool::Slots(SlotPool::of_size(size)) }
    }

    const fn bounds(&self, space: &ContiguousSpace) -> u64 {
        match self.convention {
            Convention::Size => space.size,
            Convention::End => space.area.start.raw() + space.size,
        }
    }

    /// Moves a process to a new area of `size` bytes, and returns how many it had.
    fn move_to_new(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut ContiguousSpace,
        size: u64,
    ) -> Result<u64, OsError> {
        let area = self.pool.take(kernel, size)?;
        let old = Area { size: space.size, ..space.area };
        whole::move_to(kernel, old, area.start)?;
        self.pool.give(kernel, space.area)?;
        space.area = area;
        Ok(old.size)
    }
}

/// By size, from a free list.
impl Default for Contiguous {
    fn default() -> Self {
        Self::new(Convention::default())
    }
}

impl AddressSpaces for Contiguous {
    type Space = ContiguousSpace;

    /// The supervisor is not relocated.
    fn window(&self, _: &PhysicalMemory) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(u64::MAX)
    }

    fn boot(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.leave(kernel)?;
        self.pool = self.pool.boot(kernel, memory)?;
        Ok(())
    }

    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<ContiguousSpace, OsError> {
        let size = layout.end().raw();
        let area = self.pool.take(kernel, size)?;
        whole::write(kernel, area.start, layout)?;
        Ok(ContiguousSpace { area, size })
    }

    /// Between regions there is room already.
    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut ContiguousSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        let size = growth.layout().end().raw();
        let moved = match self.pool.extend(kernel, space.area, size)? {
            Some(area) => {
                space.area = area;
                0
            }
            None => self.move_to_new(kernel, space, size)?,
        };
        space.size = size;
        whole::zero_added(kernel, space.area.start, growth)?;
        Ok(moved)
    }

    fn relocate(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut ContiguousSpace,
    ) -> Result<u64, OsError> {
        self.move_to_new(kernel, space, space.size)
    }

    /// Slots are never too small for what slots are for.
    fn compact(
        &mut self,
        kernel: &mut KernelPort<'_>,
        spaces: Vec<&mut ContiguousSpace>,
    ) -> Result<u64, OsError> {
        match &mut self.pool {
            Pool::Areas(areas) => {
                areas.compact(kernel, spaces.into_iter().map(|space| &mut space.area).collect())
            }
            Pool::Slots(_) => Ok(0),
        }
    }

    fn enter(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &ContiguousSpace,
    ) -> Result<(), OsError> {
        let bounds = self.bounds(space);
        kernel.cpu_mut().write_register(BaseBounds::BASE, space.area.start.raw())?;
        kernel.cpu_mut().write_register(BaseBounds::BOUNDS, bounds)?;
        Ok(())
    }

    /// Within bounds of 0 there is nothing.
    fn leave(&mut self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        kernel.cpu_mut().write_register(BaseBounds::BOUNDS, 0)?;
        Ok(())
    }

    fn destroy(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: ContiguousSpace,
    ) -> Result<(), OsError> {
        self.pool.give(kernel, space.area)
    }

    fn usage(&self) -> MemoryUsage {
        self.pool.usage()
    }
}
