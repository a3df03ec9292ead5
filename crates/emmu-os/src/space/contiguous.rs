//! Address spaces of base and bounds: one area of physical memory each.

use super::whole::{self, ContiguousSpace};
use super::{AddressSpaces, Mapped, MemoryUsage, PhysicalMemory};
use crate::areas::AreaPool;
use crate::{CpuPort, Kernel, Layout, OsError, Region};
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::VirtAddr;

/// Address spaces for [`BaseBounds`]: a process has all addresses from 0 to the end of its highest region, in
/// one piece, from its start on. The hardware knows of no rights, nor of the gaps between regions.
#[derive(Clone, Debug, Default)]
pub struct Contiguous {
    convention: Convention,
    pool: AreaPool,
}

impl Contiguous {
    /// Address spaces for a unit whose bounds register means this.
    #[must_use]
    pub fn new(convention: Convention) -> Self {
        Self { convention, pool: AreaPool::default() }
    }

    const fn bounds(&self, space: &ContiguousSpace) -> u64 {
        match self.convention {
            Convention::Size => space.size,
            Convention::End => space.area.start.raw() + space.size,
        }
    }
}

impl AddressSpaces for Contiguous {
    type Space = ContiguousSpace;

    /// The supervisor is not relocated.
    fn window(&self) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(u64::MAX)
    }

    fn boot<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.leave(kernel)?;
        self.pool = AreaPool::new(kernel, memory)?;
        Ok(())
    }

    fn create<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        layout: &Layout,
    ) -> Result<ContiguousSpace, OsError> {
        let size = layout.end().raw();
        let area = self.pool.take(kernel, size)?;
        whole::write(kernel, area.start, layout)?;
        Ok(ContiguousSpace { area, size })
    }

    fn map<C: CpuPort>(
        &mut self,
        _: &mut Kernel<C>,
        _: &mut ContiguousSpace,
        _: &Region,
        _: VirtAddr,
    ) -> Result<Mapped, OsError> {
        Ok(Mapped::Nothing)
    }

    fn enter<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: &ContiguousSpace,
    ) -> Result<(), OsError> {
        let bounds = self.bounds(space);
        kernel.cpu_mut().write_register(BaseBounds::BASE, space.area.start.raw())?;
        kernel.cpu_mut().write_register(BaseBounds::BOUNDS, bounds)?;
        Ok(())
    }

    /// Within bounds of 0 there is nothing.
    fn leave<C: CpuPort>(&mut self, kernel: &mut Kernel<C>) -> Result<(), OsError> {
        kernel.cpu_mut().write_register(BaseBounds::BOUNDS, 0)?;
        Ok(())
    }

    fn destroy<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: ContiguousSpace,
    ) -> Result<(), OsError> {
        self.pool.give(kernel, space.area)
    }

    fn usage(&self) -> MemoryUsage {
        self.pool.usage()
    }
}
