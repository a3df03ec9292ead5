//! Several processes in memory, each patched for its place.

use super::{Resident, load};
use crate::areas::AreaPool;
use crate::space::whole::{ContiguousSpace, check_references, zero_added};
use crate::{
    AddressSpaces, Direction, Growth, KernelPort, Layout, MemoryUsage, OsError, PhysicalMemory,
};
use alloc::vec::Vec;
use emmu_core::VirtAddr;

/// Static relocation (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", 15.4, "Software-based
/// Relocation"): the loader puts each program into a free area, and adds the area's address to every absolute
/// reference in it. Nothing keeps programs apart; and none can be moved, because it has by then made other
/// addresses of those that were patched, and nobody knows where. For the unit [`emmu_base_bounds::Bare`].
#[derive(Clone, Debug, Default)]
pub struct StaticRelocation {
    resident: Resident,
    pool: AreaPool,
}

impl StaticRelocation {
    /// A machine without processes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl AddressSpaces for StaticRelocation {
    type Space = ContiguousSpace;

    fn window(&self, _: &PhysicalMemory) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(self.pool.usage().total)
    }

    fn boot(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.resident = Resident::install(kernel, memory, 0)?;
        self.pool = AreaPool::new(kernel, memory)?;
        Ok(())
    }

    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<ContiguousSpace, OsError> {
        let size = layout.end().raw();
        let area = self.pool.take(kernel, size)?;
        if let Err(refused) = check_references(layout, area.start) {
            self.pool.give(kernel, area)?;
            return Err(refused.into());
        }
        load(kernel, area.start, layout)?;
        Ok(ContiguousSpace { area, size })
    }

    /// Only where it lies.
    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut ContiguousSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        let size = growth.layout().end().raw();
        let area = self.pool.extend(kernel, space.area, size, Direction::Up)?;
        space.area = area.ok_or(OsError::Immovable)?;
        space.size = size;
        zero_added(kernel, space.base(), growth)?;
        Ok(0)
    }

    fn compact(
        &mut self,
        _: &mut KernelPort<'_>,
        _: Vec<&mut ContiguousSpace>,
    ) -> Result<u64, OsError> {
        Err(OsError::Immovable)
    }

    /// Nothing: it is there.
    fn enter(&mut self, _: &mut KernelPort<'_>, _: &ContiguousSpace) -> Result<(), OsError> {
        Ok(())
    }

    fn leave(&mut self, _: &mut KernelPort<'_>) -> Result<(), OsError> {
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

    fn origin(&self, space: &ContiguousSpace) -> u64 {
        space.base().raw()
    }

    fn inspect(&self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.resident.inspect(kernel)
    }
}
