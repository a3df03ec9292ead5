//! The sources of contiguous memory.

use crate::areas::{Area, AreaPool};
use crate::bitmap::Bitmap;
use crate::{
    Direction, KernelPort, MemoryError, MemoryUsage, OsError, OutOfMemory, PhysicalMemory,
};
use emmu_core::PhysAddr;

/// Free memory, in pieces of any size or all of one size.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pool {
    Areas(AreaPool),
    Slots(SlotPool),
}

impl Pool {
    /// Makes a pool of the same kind, with all of this memory free.
    pub(super) fn boot(
        self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<Self, OsError> {
        Ok(match self {
            Self::Areas(_) => Self::Areas(AreaPool::new(kernel, memory)?),
            Self::Slots(slots) => Self::Slots(SlotPool::new(kernel, memory, slots.slot)?),
        })
    }

    pub(super) fn usage(&self) -> MemoryUsage {
        match self {
            Self::Areas(areas) => areas.usage(),
            Self::Slots(slots) => slots.usage(),
        }
    }

    pub(super) fn take(&mut self, kernel: &mut KernelPort<'_>, size: u64) -> Result<Area, OsError> {
        match self {
            Self::Areas(areas) => areas.take(kernel, size),
            Self::Slots(slots) => slots.take(kernel, size),
        }
    }

    pub(super) fn give(&mut self, kernel: &mut KernelPort<'_>, area: Area) -> Result<(), OsError> {
        match self {
            Self::Areas(areas) => areas.give(kernel, area),
            Self::Slots(slots) => slots.give(kernel, area),
        }
    }

    /// Enlarges an area where it lies, if it can be.
    pub(super) fn extend(
        &mut self,
        kernel: &mut KernelPort<'_>,
        area: Area,
        size: u64,
    ) -> Result<Option<Area>, OsError> {
        match self {
            Self::Areas(areas) => areas.extend(kernel, area, size, Direction::Up),
            Self::Slots(slots) => slots.check(size).map(|()| Some(area)),
        }
    }
}

/// Slots of one size; which are taken is in a bitmap at the start of the kernel's part of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotPool {
    first: PhysAddr,
    slot: u64,
    /// Bytes for processes, of which the last may make no whole slot.
    total: u64,
    bitmap: Bitmap,
}

impl SlotPool {
    /// A pool without memory yet.
    pub(super) fn of_size(slot: u64) -> Self {
        Self { first: PhysAddr::ZERO, slot: slot.max(1), total: 0, bitmap: Bitmap::default() }
    }

    fn new(
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
        slot: u64,
    ) -> Result<Self, OsError> {
        let Area { start: first, size: total } = Area::pool(memory);
        let count = total / slot;
        let (needed, own) = (Bitmap::bytes(count), memory.kernel_size());
        if needed > own {
            return Err(MemoryError::KernelTooSmall { kernel: own, needed }.into());
        }
        let bitmap = Bitmap::new(kernel, memory.start(), count)?;
        Ok(Self { first, slot, total, bitmap })
    }

    fn usage(&self) -> MemoryUsage {
        let programs = self.bitmap.taken() * self.slot;
        MemoryUsage { total: self.total, free: self.total - programs, tables: 0, programs }
    }

    fn check(&self, needed: u64) -> Result<(), OsError> {
        let slot = self.slot;
        if needed <= slot { Ok(()) } else { Err(OutOfMemory::Slot { needed, slot }.into()) }
    }

    fn take(&mut self, kernel: &mut KernelPort<'_>, size: u64) -> Result<Area, OsError> {
        self.check(size)?;
        let slots = self.bitmap.count();
        let index = self.bitmap.take(kernel)?.ok_or(OutOfMemory::Slots { slots })?;
        Ok(Area { start: self.first.wrapping_add(index * self.slot), size: self.slot })
    }

    fn give(&mut self, kernel: &mut KernelPort<'_>, area: Area) -> Result<(), OsError> {
        self.bitmap.give(kernel, (area.start.raw() - self.first.raw()) / self.slot)
    }
}
