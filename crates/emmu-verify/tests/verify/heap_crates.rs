//! Allocators of crates.io as live oracles: the same operations, the same answers.

use buddy_system_allocator::FrameAllocator;
use emmu_core::PhysAddr;
use emmu_heap::{
    Audited, Buddy, BuddyConfig, Extent, FreeList, Heap, Layout, ListConfig, Request, Tail,
};
use emmu_memory::Memory;
use emmu_property::quickcheck;
use linked_list_oracle::Oracle;

/// The manager's own words.
const CONTROL: PhysAddr = PhysAddr::new(1 << 40);

/// An operation: an allocation with its size and alignment, or the index of a block to free.
type Op = (bool, u16, u8);

quickcheck! {
    fn first_fit_answers_as_linked_list_allocator_does(pages: u8, ops: Vec<Op>) -> bool {
        let size = 4096 * (u64::from(pages % 4) + 1);
        let mut memory = memory(0, size);
        let mut heap = Audited::new(first_fit(&mut memory, size));
        let mut oracle = Oracle::new(usize::try_from(size).unwrap());
        let mut live = Vec::new();
        ops.into_iter().all(|(allocates, number, align)| {
            let same = if allocates || live.is_empty() {
                let (size, align) = (u64::from(number % 900) + 1, 1 << (align % 8));
                let found = heap.allocate(&mut memory, Request::new(size).aligned(align));
                let found = found.ok().map(|block| block.addr.raw());
                live.extend(found);
                found == oracle.allocate(size.try_into().unwrap(), align.try_into().unwrap())
            } else {
                let at = live.swap_remove(usize::from(number) % live.len());
                heap.free(&mut memory, PhysAddr::new(at)).is_ok() && oracle.free(at)
            };
            same && heap.usage().taken == oracle.used() as u64
        })
    }

    fn buddies_answer_as_buddy_system_allocator_does(start: u8, frames: u8, ops: Vec<Op>) -> bool {
        let (start, frames) = (u64::from(start), u64::from(frames) + 1);
        let config = BuddyConfig { unit: 16, max_order: 9 };
        let region = Extent::new(PhysAddr::new(16 * start), 16 * frames);
        let mut memory = memory(region.addr.raw(), region.size);
        let mut buddy = Buddy::create(&mut memory, CONTROL, region, config).unwrap();
        let mut oracle = FrameAllocator::<10>::new();
        oracle.add_frame(start.try_into().unwrap(), (start + frames).try_into().unwrap());
        let mut live = Vec::new();
        ops.into_iter().all(|(allocates, number, _)| {
            if allocates || live.is_empty() {
                let count = usize::from(number % 40) + 1;
                let found = buddy.allocate(&mut memory, Request::new(16 * count as u64));
                let found = found.ok().map(|block| block.addr.raw() / 16);
                live.extend(found.map(|at| (at, count)));
                found == oracle.alloc(count).map(|at| at as u64)
            } else {
                let (at, count) = live.swap_remove(usize::from(number) % live.len());
                oracle.dealloc(at.try_into().unwrap(), count);
                buddy.free(&mut memory, PhysAddr::new(16 * at)).is_ok()
            }
        })
    }
}

fn memory(start: u64, size: u64) -> Memory {
    let memory = Memory::new().with_ram(PhysAddr::new(start), size).unwrap();
    memory.with_ram(CONTROL, 0x1000).unwrap()
}

/// Sizes of 8 bytes, blocks of at least 16, nothing too small left over.
fn first_fit(memory: &mut Memory, size: u64) -> FreeList {
    let layout =
        Layout { granule: 8, round_to: 8, header: 0, tail: Tail::Refuse, ..Layout::default() };
    let config = ListConfig { layout, ..ListConfig::default() };
    FreeList::create(memory, CONTROL, Extent::new(PhysAddr::ZERO, size), config).unwrap()
}
