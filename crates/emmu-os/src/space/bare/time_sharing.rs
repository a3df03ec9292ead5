//! Several processes, of which one is in memory and the others are on disk.

use super::{Resident, load};
use crate::areas::Area;
use crate::bitmap::Bitmap;
use crate::disk::DiskDriver;
use crate::kernel::FRAME;
use crate::space::whole::{check_references, zero_added};
use crate::{
    AddressSpaces, Growth, KernelPort, Layout, MemoryError, MemoryUsage, OsError, OutOfMemory,
    PhysicalMemory,
};
use emmu_core::{PhysAddr, VirtAddr};

/// Time sharing in the crudest way (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces", 13.2): every
/// process is loaded to the same place. A switch saves all of the memory of the one that leaves to a
/// [`Disk`](emmu_memory::Disk), and restores that of the one that comes. For the unit
/// [`emmu_base_bounds::Bare`].
///
/// Each process has a place on the disk as large as memory; which are taken is in a bitmap at the start of the
/// kernel's part of memory.
#[derive(Clone, Debug)]
pub struct TimeSharing {
    disk: DiskDriver,
    resident: Resident,
    area: Area,
    slots: Bitmap,
    /// The process that is in memory.
    loaded: Option<DiskSpace>,
    /// Bytes of memory that may have been written since they were zeros.
    used: u64,
}

/// Where on the disk a process is saved, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    slot: u64,
    size: u64,
}

impl DiskSpace {
    /// Returns the number of bytes of the process.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Blocks of the disk that it takes to save it.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.size.div_ceil(FRAME)
    }
}

impl TimeSharing {
    /// A machine whose disk has its controller at this address.
    #[must_use]
    pub fn new(controller: PhysAddr) -> Self {
        Self {
            disk: DiskDriver::new(controller),
            resident: Resident::default(),
            area: Area::default(),
            slots: Bitmap::default(),
            loaded: None,
            used: 0,
        }
    }

    const fn check_size(&self, needed: u64) -> Result<(), OutOfMemory> {
        let total = self.area.size;
        if needed <= total {
            return Ok(());
        }
        Err(OutOfMemory::Area { needed, free: total, total })
    }

    fn first_block(&self, space: DiskSpace) -> u64 {
        space.slot * (self.area.size / FRAME)
    }

    fn save(&mut self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        if let Some(space) = self.loaded.take() {
            let first = self.first_block(space);
            self.disk.save(kernel, self.area.start, first, space.blocks())?;
        }
        Ok(())
    }

    /// Zeros what others have left in memory behind the process that is in it now.
    fn loaded(&mut self, kernel: &mut KernelPort<'_>, space: DiskSpace) -> Result<(), OsError> {
        let left = self.used.saturating_sub(space.size);
        kernel.fill(self.area.start.wrapping_add(space.size), left, &[])?;
        self.used = space.blocks() * FRAME;
        self.loaded = Some(space);
        Ok(())
    }
}

impl AddressSpaces for TimeSharing {
    type Space = DiskSpace;

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
        self.area = Area::pool(memory);
        let slots = self.disk.blocks(kernel)? / (self.area.size / FRAME);
        if slots == 0 {
            return Err(OsError::Unsupported { what: "a disk as large as the processes' memory" });
        }
        let (needed, own) = (Bitmap::bytes(slots), memory.kernel_size());
        if needed > own {
            return Err(MemoryError::KernelTooSmall { kernel: own, needed }.into());
        }
        self.resident = Resident::install(kernel, memory, needed)?;
        self.slots = Bitmap::new(kernel, memory.start(), slots)?;
        self.used = self.area.size;
        Ok(())
    }

    /// Loads the program, for which the one in memory is saved; that comes back when it goes on.
    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<DiskSpace, OsError> {
        let size = layout.end().raw();
        self.check_size(size)?;
        check_references(layout, self.area.start)?;
        let slots = self.slots.count();
        let slot = self.slots.take(kernel)?.ok_or(OutOfMemory::Disk { slots })?;
        let space = DiskSpace { slot, size };
        self.save(kernel)?;
        load(kernel, self.area.start, layout)?;
        self.loaded(kernel, space)?;
        Ok(space)
    }

    /// Up to the size of memory, for which the process comes into it.
    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut DiskSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        let size = growth.layout().end().raw();
        self.check_size(size)?;
        self.enter(kernel, space)?;
        space.size = size;
        zero_added(kernel, self.area.start, growth)?;
        self.used = self.used.max(space.blocks() * FRAME);
        self.loaded = Some(*space);
        Ok(0)
    }

    fn enter(&mut self, kernel: &mut KernelPort<'_>, space: &DiskSpace) -> Result<(), OsError> {
        if self.is_loaded(space) {
            return Ok(());
        }
        self.save(kernel)?;
        let first = self.first_block(*space);
        self.disk.restore(kernel, self.area.start, first, space.blocks())?;
        self.loaded(kernel, *space)
    }

    fn leave(&mut self, _: &mut KernelPort<'_>) -> Result<(), OsError> {
        Ok(())
    }

    fn destroy(&mut self, kernel: &mut KernelPort<'_>, space: DiskSpace) -> Result<(), OsError> {
        self.loaded = self.loaded.filter(|loaded| *loaded != space);
        self.slots.give(kernel, space.slot)
    }

    /// Of the memory; those on disk have none.
    fn usage(&self) -> MemoryUsage {
        let total = self.area.size;
        let programs = self.loaded.map_or(0, |space| space.size);
        MemoryUsage { total, free: total - programs, tables: 0, programs }
    }

    fn is_loaded(&self, space: &DiskSpace) -> bool {
        self.loaded == Some(*space)
    }

    fn origin(&self, _: &DiskSpace) -> u64 {
        self.area.start.raw()
    }

    fn inspect(&self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.resident.inspect(kernel)
    }
}
