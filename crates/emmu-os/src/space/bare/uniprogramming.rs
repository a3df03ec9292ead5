//! One process, which has all of the memory.

use super::{Resident, load};
use crate::areas::Area;
use crate::space::whole::{ContiguousSpace, check_references, zero_added};
use crate::{
    AddressSpaces, Growth, KernelPort, Layout, MemoryUsage, OsError, OutOfMemory, PhysicalMemory,
};
use emmu_core::VirtAddr;

/// One process at a time (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", 13.1 "Early Systems"):
/// it has all of the memory but the operating system's own, all of it zeros around its image; and nothing
/// keeps it from the operating system's own, either. For the unit [`emmu_base_bounds::Bare`].
#[derive(Clone, Debug, Default)]
pub struct Uniprogramming {
    resident: Resident,
    area: Area,
    taken: bool,
}

impl Uniprogramming {
    /// A machine without a process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl AddressSpaces for Uniprogramming {
    type Space = ContiguousSpace;

    fn window(&self, _: &PhysicalMemory) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(self.area.size)
    }

    fn boot(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.resident = Resident::install(kernel, memory, 0)?;
        self.area = Area::pool(memory);
        Ok(())
    }

    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<ContiguousSpace, OsError> {
        let (area, size) = (self.area, layout.end().raw());
        if self.taken {
            return Err(OsError::Occupied);
        }
        if size > area.size {
            let (needed, total) = (size, area.size);
            return Err(OutOfMemory::Area { needed, free: total, total }.into());
        }
        check_references(layout, area.start)?;
        load(kernel, area.start, layout)?;
        kernel.fill(area.start.wrapping_add(size), area.size - size, &[])?;
        self.taken = true;
        Ok(ContiguousSpace { area, size: area.size })
    }

    /// It has all the memory already.
    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut ContiguousSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        let (needed, total) = (growth.layout().end().raw(), space.size);
        if needed > total {
            return Err(OutOfMemory::Area { needed, free: total, total }.into());
        }
        zero_added(kernel, space.base(), growth)?;
        Ok(0)
    }

    /// Nothing: it is there.
    fn enter(&mut self, _: &mut KernelPort<'_>, _: &ContiguousSpace) -> Result<(), OsError> {
        Ok(())
    }

    fn leave(&mut self, _: &mut KernelPort<'_>) -> Result<(), OsError> {
        Ok(())
    }

    fn destroy(&mut self, _: &mut KernelPort<'_>, _: ContiguousSpace) -> Result<(), OsError> {
        self.taken = false;
        Ok(())
    }

    fn usage(&self) -> MemoryUsage {
        let total = self.area.size;
        let programs = if self.taken { total } else { 0 };
        MemoryUsage { total, free: total - programs, tables: 0, programs }
    }

    fn origin(&self, space: &ContiguousSpace) -> u64 {
        space.base().raw()
    }

    fn inspect(&self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.resident.inspect(kernel)
    }
}
