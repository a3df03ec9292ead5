//! Free areas of any size.

use crate::{CpuPort, Kernel, MemoryUsage, OsError, OutOfMemory, PhysicalMemory};
use emmu_core::PhysAddr;

/// Areas are made of this many bytes: a free one keeps its size and the address of the next in its first
/// words.
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
    pub(crate) fn new<C: CpuPort>(
        kernel: &mut Kernel<C>,
        memory: &PhysicalMemory,
    ) -> Result<Self, OsError> {
        let pool = Area::pool(memory);
        let Area { start, size: total } = pool;
        write(kernel, pool, None)?;
        Ok(Self { start, total, free: total, first: Some(start) })
    }

    /// All that is not free is a program's.
    pub(crate) const fn usage(&self) -> MemoryUsage {
        let Self { total, free, .. } = *self;
        MemoryUsage { total, free, tables: 0, programs: total - free }
    }

    /// Takes the first `size` bytes of the first free area that has so many. What they hold has no meaning.
    pub(crate) fn take<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        size: u64,
    ) -> Result<Area, OsError> {
        let refused = OutOfMemory::Area { needed: size, free: self.free, total: self.total };
        let size = size.max(1).checked_next_multiple_of(GRAIN).ok_or(refused)?;
        let found = self.find(kernel, |free| free.area.size >= size)?.ok_or(refused)?;
        let next = self.split(kernel, found, size)?;
        self.link(kernel, found.before, next)?;
        self.free -= size;
        Ok(Area { start: found.area.start, size })
    }

    /// Makes what a free area has beyond `size` bytes an area of its own, and returns what is now next in
    /// the list.
    fn split<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
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

    /// Gives an area back that [`take`](Self::take) gave out.
    pub(crate) fn give<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        area: Area,
    ) -> Result<(), OsError> {
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

    /// The first free area that `wanted` agrees to.
    fn find<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
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
    fn read<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
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
    fn link<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
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

fn write<C: CpuPort>(
    kernel: &mut Kernel<C>,
    area: Area,
    next: Option<PhysAddr>,
) -> Result<(), OsError> {
    kernel.store(area.start, area.size)?;
    kernel.store(area.start.wrapping_add(8), raw(next))?;
    Ok(())
}

fn raw(next: Option<PhysAddr>) -> u64 {
    next.map_or(END, PhysAddr::raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_base_bounds::BaseBounds;
    use emmu_core::VirtAddr;
    use emmu_cpu::Cpu;
    use emmu_memory::Memory;
    use quickcheck::quickcheck;
    use std::vec;
    use std::vec::Vec;

    type Machine = Kernel<Cpu<BaseBounds, Memory>>;

    /// What a pool of one frame has.
    const GRAINS: usize = 256;
    const POOL: PhysAddr = PhysAddr::new(0x1000);

    fn machine() -> (Machine, AreaPool) {
        let mut cpu = Cpu::new(BaseBounds::default(), Memory::ram(0x2000));
        cpu.install_handler(VirtAddr::ZERO).unwrap();
        let mut kernel = Kernel::new(cpu);
        let memory = PhysicalMemory::new(PhysAddr::ZERO, 0x2000, 0x1000).unwrap();
        let pool = AreaPool::new(&mut kernel, &memory).unwrap();
        (kernel, pool)
    }

    /// First fit, by looking at every grain.
    fn first_fit(taken: &[bool], grains: usize) -> Option<usize> {
        (0..=taken.len().checked_sub(grains)?)
            .find(|&at| taken[at..at + grains].iter().all(|&taken| !taken))
    }

    /// Takes an area of so many grains from pool and model, which must agree.
    fn take(
        kernel: &mut Machine,
        pool: &mut AreaPool,
        taken: &mut [bool],
        grains: usize,
    ) -> Option<Area> {
        let found = pool.take(kernel, grains as u64 * GRAIN - 3);
        match first_fit(taken, grains) {
            None => {
                assert!(matches!(found, Err(OsError::OutOfMemory(_))));
                None
            }
            Some(at) => {
                let area = found.unwrap();
                assert_eq!(area.start, POOL.wrapping_add(at as u64 * GRAIN));
                taken[at..at + grains].fill(true);
                Some(area)
            }
        }
    }

    quickcheck! {
        fn areas_are_where_a_search_of_every_grain_finds_them(choices: Vec<(bool, u8)>) -> bool {
            let (mut kernel, mut pool) = machine();
            let mut taken = vec![false; GRAINS];
            let mut areas = Vec::new();
            for (gives, number) in choices {
                if gives && !areas.is_empty() {
                    let area: Area = areas.swap_remove(usize::from(number) % areas.len());
                    pool.give(&mut kernel, area).unwrap();
                    let grains = |bytes: u64| usize::try_from(bytes / GRAIN).unwrap();
                    let at = grains(area.start.raw() - POOL.raw());
                    taken[at..at + grains(area.size)].fill(false);
                } else {
                    let grains = usize::from(number % 64) + 1;
                    areas.extend(take(&mut kernel, &mut pool, &mut taken, grains));
                }
                let free = taken.iter().filter(|&&taken| !taken).count() as u64 * GRAIN;
                assert_eq!(pool.usage().free, free);
            }
            areas.into_iter().for_each(|area| pool.give(&mut kernel, area).unwrap());
            pool.take(&mut kernel, 4096).is_ok()
        }
    }

    #[test]
    fn a_size_that_wraps_is_out_of_memory() {
        let (mut kernel, mut pool) = machine();
        let refused = pool.take(&mut kernel, u64::MAX);
        let area = OutOfMemory::Area { needed: u64::MAX, free: 4096, total: 4096 };
        assert_eq!(refused, Err(OsError::OutOfMemory(area)));
    }

    #[test]
    fn an_overwritten_size_or_link_is_reported_and_ends_the_search() {
        for (offset, found) in [(0, 0), (0, 4097), (8, POOL.raw()), (8, POOL.raw() + 4096)] {
            let (mut kernel, mut pool) = machine();
            let addr = POOL.wrapping_add(offset);
            kernel.store(addr, found).unwrap();
            let refused = pool.take(&mut kernel, 8192);
            assert_eq!(refused, Err(OsError::Damaged { addr, found }), "at {addr}");
        }
    }
}
