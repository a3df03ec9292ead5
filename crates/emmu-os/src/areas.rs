//! Free areas of any size.

use crate::{Direction, KernelPort, MemoryUsage, OsError, OutOfMemory, PhysicalMemory};
use alloc::vec::Vec;
use emmu_core::PhysAddr;

/// Areas are multiples of this number of bytes: a free area keeps its size and the address of the next one in
/// its first words.
const GRAIN: u64 = 16;

/// The link of the last free area: no area has this address.
const END: u64 = u64::MAX;

/// Contiguous memory, first fit (Knuth, "The Art of Computer Programming", vol. 1, 2.5, algorithms A and B).
/// The free list lies in the free areas, by rising addresses; neighbours are joined when one is given back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AreaPool {
    start: PhysAddr,
    total: u64,
    free: u64,
    first: Option<PhysAddr>,
}

/// Contiguous bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) start: PhysAddr,
    pub(crate) size: u64,
}

impl Area {
    /// All memory for processes.
    pub(crate) const fn pool(memory: &PhysicalMemory) -> Self {
        Self { start: memory.pool(), size: memory.end().raw() - memory.pool().raw() }
    }

    pub(crate) const fn end(self) -> PhysAddr {
        self.start.wrapping_add(self.size)
    }
}

/// A free area, and where in the list it is.
#[derive(Clone, Copy)]
struct Free {
    before: Option<PhysAddr>,
    area: Area,
    next: Option<PhysAddr>,
}

impl AreaPool {
    /// One free area: the whole pool.
    pub(crate) fn new(
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<Self, OsError> {
        let pool = Area::pool(memory);
        let Area { start, size: total } = pool;
        write(kernel, pool, None)?;
        Ok(Self { start, total, free: total, first: Some(start) })
    }

    /// Counts all memory that is not free as the programs'.
    pub(crate) const fn usage(&self) -> MemoryUsage {
        let Self { total, free, .. } = *self;
        MemoryUsage { total, free, tables: 0, programs: total - free }
    }

    /// Takes the first `size` bytes of the first free area that is large enough. Their content has no meaning.
    pub(crate) fn take(&mut self, kernel: &mut KernelPort<'_>, size: u64) -> Result<Area, OsError> {
        let refused = OutOfMemory::Area { needed: size, free: self.free, total: self.total };
        let size = size.max(1).checked_next_multiple_of(GRAIN).ok_or(refused)?;
        let found = self.find(kernel, |free| free.area.size >= size)?.ok_or(refused)?;
        let next = self.split(kernel, found, size)?;
        self.link(kernel, found.before, next)?;
        self.free -= size;
        Ok(Area { start: found.area.start, size })
    }

    /// Makes the bytes of a free area beyond the first `size` an area of their own, and returns the next area
    /// of the list.
    fn split(
        &self,
        kernel: &mut KernelPort<'_>,
        found: Free,
        size: u64,
    ) -> Result<Option<PhysAddr>, OsError> {
        let left = found.area.size - size;
        if left == 0 {
            return Ok(found.next);
        }
        let start = found.area.start.wrapping_add(size);
        write(kernel, Area { start, size: left }, found.next)?;
        Ok(Some(start))
    }

    /// Returns an area that [`take`](Self::take) gave out.
    pub(crate) fn give(&mut self, kernel: &mut KernelPort<'_>, area: Area) -> Result<(), OsError> {
        let mut below = None;
        let above = self.find(kernel, |free| {
            if free.area.start > area.start {
                return true;
            }
            below = Some(free);
            false
        })?;
        let (upper, next) = match above {
            Some(free) if free.area.start == area.end() => (free.area.size, free.next),
            above => (0, above.map(|free| free.area.start)),
        };
        let joined = Area { size: area.size + upper, ..area };
        match below {
            Some(free) if free.area.end() == area.start => {
                write(kernel, Area { size: free.area.size + joined.size, ..free.area }, next)?;
            }
            below => {
                write(kernel, joined, next)?;
                self.link(kernel, below.map(|free| free.area.start), Some(area.start))?;
            }
        }
        self.free += area.size;
        Ok(())
    }

    /// Enlarges an area to at least `size` bytes, if the bytes behind it are free.
    pub(crate) fn extend(
        &mut self,
        kernel: &mut KernelPort<'_>,
        area: Area,
        size: u64,
        direction: Direction,
    ) -> Result<Option<Area>, OsError> {
        let Some(size) = size.checked_next_multiple_of(GRAIN) else { return Ok(None) };
        let more = size.saturating_sub(area.size);
        if more == 0 {
            return Ok(Some(area));
        }
        let neighbour = self.find(kernel, |free| match direction {
            Direction::Up => free.area.start == area.end(),
            Direction::Down => free.area.end() == area.start,
        })?;
        let Some(found) = neighbour.filter(|found| found.area.size >= more) else {
            return Ok(None);
        };
        self.free -= more;
        match direction {
            Direction::Up => {
                let next = self.split(kernel, found, more)?;
                self.link(kernel, found.before, next)?;
                Ok(Some(Area { size, ..area }))
            }
            Direction::Down => {
                let left = Area { size: found.area.size - more, ..found.area };
                match left.size {
                    0 => self.link(kernel, found.before, found.next)?,
                    _ => write(kernel, left, found.next)?,
                }
                Ok(Some(Area { start: left.end(), size }))
            }
        }
    }

    /// Moves all areas that are taken to the start of the pool, in their order, and zeros the bytes that they
    /// leave, so that one free area is left. Returns the number of bytes moved.
    pub(crate) fn compact(
        &mut self,
        kernel: &mut KernelPort<'_>,
        mut taken: Vec<&mut Area>,
    ) -> Result<u64, OsError> {
        taken.sort_by_key(|area| area.start);
        let (mut end, mut moved) = (self.start, 0);
        let mut left = Vec::new();
        for area in taken {
            if area.start != end {
                kernel.copy(area.start, end, area.size)?;
                left.push(*area);
                area.start = end;
                moved += area.size;
            }
            end = area.end();
        }
        for area in left {
            let from = area.start.max(end);
            kernel.fill(from, area.end().raw().saturating_sub(from.raw()), &[])?;
        }
        self.first = None;
        let size = self.start.raw() + self.total - end.raw();
        if size > 0 {
            write(kernel, Area { start: end, size }, None)?;
            self.first = Some(end);
        }
        Ok(moved)
    }

    /// Returns the first free area for which `wanted` returns true.
    fn find(
        &self,
        kernel: &mut KernelPort<'_>,
        mut wanted: impl FnMut(Free) -> bool,
    ) -> Result<Option<Free>, OsError> {
        let (mut before, mut at) = (None, self.first);
        while let Some(start) = at {
            let free = self.read(kernel, before, start)?;
            if wanted(free) {
                return Ok(Some(free));
            }
            (before, at) = (Some(start), free.next);
        }
        Ok(None)
    }

    /// Reads a free area's words. Addresses rise and stay in the pool, so that every search ends.
    fn read(
        &self,
        kernel: &mut KernelPort<'_>,
        before: Option<PhysAddr>,
        start: PhysAddr,
    ) -> Result<Free, OsError> {
        let end = self.start.raw() + self.total;
        let size = kernel.load(start)?;
        if size == 0 || size > end - start.raw() {
            return Err(OsError::Damaged { addr: start, found: size });
        }
        let link = start.wrapping_add(8);
        let area = Area { start, size };
        match kernel.load(link)? {
            END => Ok(Free { before, area, next: None }),
            next if next > area.end().raw() && next < end => {
                Ok(Free { before, area, next: Some(PhysAddr::new(next)) })
            }
            found => Err(OsError::Damaged { addr: link, found }),
        }
    }

    /// Makes `next` follow the area at `before`, or be the first.
    fn link(
        &mut self,
        kernel: &mut KernelPort<'_>,
        before: Option<PhysAddr>,
        next: Option<PhysAddr>,
    ) -> Result<(), OsError> {
        match before {
            Some(before) => kernel.store(before.wrapping_add(8), raw(next))?,
            None => self.first = next,
        }
        Ok(())
    }
}

fn write(kernel: &mut KernelPort<'_>, area: Area, next: Option<PhysAddr>) -> Result<(), OsError> {
    kernel.store(area.start, area.size)?;
    kernel.store(area.start.wrapping_add(8), raw(next))?;
    Ok(())
}

fn raw(next: Option<PhysAddr>) -> u64 {
    next.map_or(END, PhysAddr::raw)
}

#[cfg(test)]
mod tests;
