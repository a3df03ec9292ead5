//! The pool against a map of its grains.

use super::*;
use crate::Kernel;
use emmu_base_bounds::BaseBounds;
use emmu_core::VirtAddr;
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_property::quickcheck;
use std::ops::Range;
use std::vec;
use std::vec::Vec;

type Machine = Kernel<Cpu<BaseBounds, Memory>>;

/// The number of grains in a pool of one frame.
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

/// Where areas are, in grains.
fn grains(area: Area) -> (usize, usize) {
    let grain = |bytes: u64| usize::try_from(bytes / GRAIN).unwrap();
    (grain(area.start.raw() - POOL.raw()), grain(area.size))
}

quickcheck! {
    fn an_area_is_extended_exactly_where_the_grains_beside_it_are_free(
        sizes: Vec<u8>,
        freed: Vec<u8>,
        index: u8,
        more: u8,
        down: bool
    ) -> bool {
        let (mut kernel, mut pool) = machine();
        let mut taken = vec![false; GRAINS];
        let takes = sizes.iter().map(|size| usize::from(size % 32) + 1);
        let mut areas: Vec<_> =
            takes.filter_map(|size| take(&mut kernel, &mut pool, &mut taken, size)).collect();
        for number in freed {
            if areas.len() > 1 {
                let area = areas.swap_remove(usize::from(number) % areas.len());
                pool.give(&mut kernel, area).unwrap();
                let (at, len) = grains(area);
                taken[at..at + len].fill(false);
            }
        }
        let Some(&area) = areas.get(usize::from(index) % areas.len().max(1)) else { return true };
        let (at, len) = grains(area);
        let more = usize::from(more % 16);
        let beside = match down {
            true => at.checked_sub(more).map(|from| from..at),
            false => Some(at + len..at + len + more),
        };
        let is_free = |beside: &Range<usize>| {
            taken.get(beside.clone()).is_some_and(|beside| beside.iter().all(|&taken| !taken))
        };
        let beside = beside.filter(is_free);
        let direction = if down { Direction::Down } else { Direction::Up };
        let size = ((len + more) as u64) * GRAIN;
        let extended = pool.extend(&mut kernel, area, size - 1, direction).unwrap();
        let expected = beside.map(|beside| {
            taken[beside].fill(true);
            (if down { at - more } else { at }, len + more)
        });
        assert_eq!(extended.map(grains), expected);
        // The list names the areas that are left.
        let free = taken.iter().filter(|&&taken| !taken).count() as u64 * GRAIN;
        assert_eq!(pool.usage().free, free);
        while take(&mut kernel, &mut pool, &mut taken, 1).is_some() {}
        taken.iter().all(|&taken| taken)
    }

    fn compaction_keeps_contents_and_order_and_leaves_one_zeroed_hole(
        sizes: Vec<u8>,
        freed: Vec<u8>
    ) -> bool {
        let (mut kernel, mut pool) = machine();
        let mut taken = vec![false; GRAINS];
        let takes = sizes.iter().map(|size| usize::from(size % 32) + 1);
        let mut areas: Vec<_> =
            takes.filter_map(|size| take(&mut kernel, &mut pool, &mut taken, size)).collect();
        for number in freed {
            if !areas.is_empty() {
                let area = areas.swap_remove(usize::from(number) % areas.len());
                pool.give(&mut kernel, area).unwrap();
            }
        }
        // Each area holds its own number.
        for (area, number) in areas.iter().zip(1..) {
            let bytes = vec![number; usize::try_from(area.size).unwrap()];
            kernel.store_bytes(area.start, &bytes).unwrap();
        }
        let before = areas.clone();
        let moved = pool.compact(&mut kernel, areas.iter_mut().collect()).unwrap();
        let changed = before.iter().zip(&areas).filter(|(before, after)| before != after);
        assert_eq!(moved, changed.map(|(before, _)| before.size).sum::<u64>());
        let mut by_place: Vec<_> = areas.iter().zip(&before).zip(1u8..).collect();
        by_place.sort_by_key(|((after, _), _)| after.start);
        let mut end = POOL;
        let mut last = PhysAddr::ZERO;
        for ((after, before), number) in by_place {
            assert_eq!((after.start, after.size), (end, before.size));
            assert!(before.start > last, "in the same order");
            (end, last) = (after.end(), before.start);
            let mut bytes = vec![0; usize::try_from(after.size).unwrap()];
            kernel.load_bytes(after.start, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == number));
        }
        let free = POOL.raw() + 0x1000 - end.raw();
        assert_eq!(pool.usage().free, free);
        // Behind the two words of the list nothing is left of what was moved away.
        let hole = end.wrapping_add(2 * 8);
        for area in before {
            let from = area.start.max(hole);
            let left = area.end().raw().saturating_sub(from.raw());
            let mut bytes = vec![1; usize::try_from(left).unwrap()];
            kernel.load_bytes(from, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
        free == 0 || pool.take(&mut kernel, free).is_ok()
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
