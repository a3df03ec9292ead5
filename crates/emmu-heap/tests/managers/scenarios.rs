//! The course's worked examples.

use crate::{CONTROL, REGION, memory};
use emmu_core::{Bus, PhysAddr, Width};
use emmu_heap::{
    Audited, Buddy, BuddyConfig, Class, Extent, Fragmentation, FreeList, Heap, HeapError,
    InvalidFree, Layout, ListConfig, Policy, Request, Slabs, Stack, UpTo,
};
use emmu_memory::Memory;

/// The size of a byte of the examples. A free block of one such byte can hold its own node.
const UNIT: u64 = 16;

fn units(start: u64, size: u64) -> Extent {
    Extent::new(PhysAddr::new(REGION.addr.raw() + start * UNIT), size * UNIT)
}

/// Makes a heap of 30 units: 10 free, 10 allocated, 10 free. Returns the address of the allocated block too.
fn heap30(memory: &mut Memory, policy: Policy) -> (FreeList, PhysAddr) {
    let layout = Layout { header: 0, ..Layout::default() };
    let config = ListConfig { policy, layout, ..ListConfig::default() };
    let mut list = FreeList::create(memory, CONTROL, units(0, 30), config).unwrap();
    let ten = Request::new(10 * UNIT);
    let [low, middle, high] = [(); 3].map(|()| list.allocate(memory, ten).unwrap().addr);
    list.release(memory, low, Some(ten.size)).unwrap();
    list.release(memory, high, Some(ten.size)).unwrap();
    assert_eq!(list.free_blocks(memory).unwrap(), [units(0, 10), units(20, 10)]);
    (list, middle)
}

#[test]
fn eleven_fail_though_twenty_are_free() {
    for &policy in Policy::ALL {
        let mut memory = memory();
        let (mut list, _) = heap30(&mut memory, policy);
        let refused = list.allocate(&mut memory, Request::new(11 * UNIT));
        assert_eq!(refused, Err(HeapError::OutOfMemory { need: 11 * UNIT, searched: 2 }));
        let torn = Fragmentation::of(&list.free_blocks(&mut memory).unwrap());
        assert_eq!((torn.free, torn.largest, torn.blocks), (20 * UNIT, 10 * UNIT, 2));
    }
}

#[test]
fn one_splits_a_ten_into_one_and_nine() {
    let mut memory = memory();
    let (mut list, _) = heap30(&mut memory, Policy::First);
    let one = list.allocate(&mut memory, Request::new(UNIT)).unwrap();
    assert_eq!(one.extent, units(0, 1));
    assert_eq!(list.free_blocks(&mut memory).unwrap(), [units(1, 9), units(20, 10)]);
}

#[test]
fn the_middle_freed_gives_one_thirty() {
    for &policy in Policy::ALL {
        let mut memory = memory();
        let (mut list, middle) = heap30(&mut memory, policy);
        list.release(&mut memory, middle, Some(10 * UNIT)).unwrap();
        assert_eq!(list.free_blocks(&mut memory).unwrap(), [units(0, 30)]);
    }
}

#[test]
fn a_search_is_for_the_request_and_its_header() {
    let mut memory = memory();
    let mut list =
        FreeList::create(&mut memory, CONTROL, units(0, 10), ListConfig::default()).unwrap();
    // A header takes one of the ten units.
    let refused = list.allocate(&mut memory, Request::new(10 * UNIT));
    assert_eq!(refused, Err(HeapError::OutOfMemory { need: 11 * UNIT, searched: 1 }));
    let nine = list.allocate(&mut memory, Request::new(9 * UNIT)).unwrap();
    assert_eq!((nine.extent, nine.addr), (units(0, 10), units(1, 9).addr));
    // With a header, a free needs no size.
    assert_eq!(list.free(&mut memory, nine.addr), Ok(units(0, 10)));
}

#[test]
fn next_fit_resumes_where_it_left_off() {
    let mut memory = memory();
    let layout = Layout { header: 0, ..Layout::default() };
    let config = ListConfig { policy: Policy::Next, layout, ..ListConfig::default() };
    let mut list = FreeList::create(&mut memory, CONTROL, units(0, 50), config).unwrap();
    let tens: Vec<_> =
        (0..5).map(|_| list.allocate(&mut memory, Request::new(10 * UNIT)).unwrap().addr).collect();
    // The blocks are freed from the top down, so that the rover ends before the first hole: 10 free, 10 in use,
    // 10 free, …
    for ten in [tens[4], tens[2], tens[0]] {
        list.release(&mut memory, ten, Some(10 * UNIT)).unwrap();
    }
    let mut take =
        |size: u64| list.allocate(&mut memory, Request::new(size * UNIT)).unwrap().extent;
    assert_eq!(take(10), units(0, 10));
    assert_eq!(take(4), units(20, 4));
    // The rest of that hole is next, then the hole after it, and around.
    assert_eq!(take(3), units(24, 3));
    assert_eq!(take(8), units(40, 8));
    assert_eq!(take(3), units(27, 3));
}

#[test]
fn a_heap_that_does_not_fit_grows_or_fails() {
    let mut memory = memory();
    let config = ListConfig { growth_step: 4 * UNIT, ..ListConfig::default() };
    let list = FreeList::create(&mut memory, CONTROL, units(0, 4), config).unwrap();
    let mut list = list.with_growth(UpTo(units(0, 20).end()));
    let mut ask = |size: u64| list.allocate(&mut memory, Request::new(size * UNIT));
    assert_eq!(ask(3).unwrap().extent, units(0, 4));
    assert_eq!(ask(1).unwrap().extent, units(4, 2)); // by the least step of 4
    assert_eq!(ask(9).unwrap().extent, units(6, 10)); // by what is needed, and what was free before it
    assert_eq!(ask(9), Err(HeapError::OutOfMemory { need: 10 * UNIT, searched: 1 }));
    assert_eq!(list.region(&mut memory).unwrap().end, units(0, 18).end());
    assert_eq!(Heap::<Memory>::stats(&list).grown, 14 * UNIT);
}

#[test]
fn a_list_in_memory_outlives_its_manager() {
    let mut memory = memory();
    let (list, middle) = heap30(&mut memory, Policy::First);
    let mut again = FreeList::open(CONTROL, REGION.addr, *list.config()).unwrap();
    again.release(&mut memory, middle, Some(10 * UNIT)).unwrap();
    assert_eq!(again.free_blocks(&mut memory).unwrap(), [units(0, 30)]);
}

/// C1: A, B, C, free C, D, free D, B, A.
#[test]
fn on_a_stack_d_gets_the_place_of_c() {
    let mut memory = memory();
    let mut stack = Audited::new(Stack::create(&mut memory, CONTROL, REGION).unwrap());
    let mut push = |memory: &mut Memory| stack.allocate(memory, Request::new(40)).unwrap().addr;
    let [a, b, c] = [(); 3].map(|()| push(&mut memory));
    stack.free(&mut memory, c).unwrap();
    let d = stack.allocate(&mut memory, Request::new(40)).unwrap().addr;
    assert_eq!(d, c);
    for addr in [d, b, a] {
        stack.free(&mut memory, addr).unwrap();
    }
    assert_eq!(stack.check_leaks(), Ok(()));
    assert_eq!(stack.free_blocks(&mut memory).unwrap(), [REGION]);
}

#[test]
fn a_stack_frees_its_newest_block_first() {
    let mut memory = memory();
    let mut stack = Stack::create(&mut memory, CONTROL, REGION).unwrap();
    let [a, b] = [(); 2].map(|()| stack.allocate(&mut memory, Request::new(8)).unwrap().addr);
    let refused = HeapError::InvalidFree { addr: a, why: InvalidFree::NotTheTop };
    assert_eq!(stack.free(&mut memory, a), Err(refused));
    stack.free(&mut memory, b).unwrap();
    assert_eq!(stack.free(&mut memory, b), Err(HeapError::DoubleFree { addr: b }));
}

/// C2: `main` has an A of its own, 0; it calls `foo(2)`, whose A is a copy of the argument, with a Z of 5.
#[test]
fn every_call_has_a_frame_of_its_own() {
    let mut memory = memory();
    let mut stack = Stack::create(&mut memory, CONTROL, REGION).unwrap();
    let mut printed = Vec::new();
    let variable = |frame: PhysAddr, number: u64| frame.wrapping_add(8 * number);

    let main = stack.allocate(&mut memory, Request::new(8)).unwrap().addr;
    memory.write(variable(main, 0), Width::B8, 0).unwrap();
    let foo = stack.allocate(&mut memory, Request::new(16)).unwrap().addr;
    memory.write(variable(foo, 0), Width::B8, 2).unwrap();
    memory.write(variable(foo, 1), Width::B8, 5).unwrap();
    let mut read = |frame, number| memory.read(variable(frame, number), Width::B8).unwrap();
    printed.push(format!("A: {} Z: {}", read(foo, 0), read(foo, 1)));
    stack.free(&mut memory, foo).unwrap();
    let a = memory.read(variable(main, 0), Width::B8).unwrap();
    printed.push(format!("A: {a}"));
    stack.free(&mut memory, main).unwrap();

    assert_eq!(printed, ["A: 2 Z: 5", "A: 0"]);
    assert_eq!(stack.free_blocks(&mut memory).unwrap(), [REGION]);
}

/// C16: pages for what is large, objects of a few sizes on top, and no library below.
#[test]
fn a_kernel_has_slabs_over_pages() {
    let pages = Extent::new(PhysAddr::new(0x10_0000), 64 << 12);
    let (own, caches) = (PhysAddr::ZERO, PhysAddr::new(0x8000));
    let mut memory = Memory::ram(1 << 21);
    let buddy = Buddy::create(&mut memory, own, pages, BuddyConfig::default()).unwrap();
    let classes = [Class { size: 64, prepared: 1 }, Class { size: 192, prepared: 1 }];
    let mut kernel = Slabs::create(&mut memory, caches, 4096, &classes, buddy).unwrap();
    let free_pages = |kernel: &Slabs<Buddy>, memory: &mut Memory| {
        Fragmentation::of(&kernel.behind().free_blocks(memory).unwrap()).free >> 12
    };
    // Two slabs are prepared at boot.
    assert_eq!(free_pages(&kernel, &mut memory), 62);
    // 63 objects of 64 bytes are in a slab; one more needs another.
    let objects: Vec<_> =
        (0..64).map(|_| kernel.allocate(&mut memory, Request::new(50)).unwrap().addr).collect();
    assert_eq!(free_pages(&kernel, &mut memory), 61);
    // A request that fits in no object gets pages.
    let large = kernel.allocate(&mut memory, Request::new(5000)).unwrap();
    assert_eq!((large.extent.size, large.addr.offset(12)), (8192, 0));
    assert_eq!(free_pages(&kernel, &mut memory), 59);
    for addr in objects {
        kernel.free(&mut memory, addr).unwrap();
    }
    kernel.free(&mut memory, large.addr).unwrap();
    // One of the slabs of 64 is returned, those that were prepared stay.
    assert_eq!(free_pages(&kernel, &mut memory), 62);
}

#[test]
fn an_object_is_freed_once_and_by_its_own_address() {
    let mut memory = memory();
    let buddy =
        Buddy::create(&mut memory, CONTROL, REGION, BuddyConfig { unit: 512, max_order: 5 })
            .unwrap();
    let control = CONTROL.wrapping_add(0x800);
    let classes = [Class { size: 32, prepared: 0 }];
    let mut slabs = Slabs::create(&mut memory, control, 512, &classes, buddy).unwrap();
    let [a, b] = [(); 2].map(|()| slabs.allocate(&mut memory, Request::new(30)).unwrap().addr);
    let within = b.wrapping_add(16);
    let invalid = HeapError::InvalidFree { addr: within, why: InvalidFree::Interior };
    assert_eq!(slabs.free(&mut memory, within), Err(invalid));
    slabs.free(&mut memory, a).unwrap();
    assert_eq!(slabs.free(&mut memory, a), Err(HeapError::DoubleFree { addr: a }));
}

#[test]
fn buddies_differ_in_the_bit_of_their_size_and_merge_all_the_way() {
    let mut memory = memory();
    let config = BuddyConfig { unit: 64, max_order: 8 };
    let buddy = Buddy::create(&mut memory, CONTROL, REGION, config).unwrap();
    let mut buddy = Audited::new(buddy);
    let [a, b] = [(); 2].map(|()| buddy.allocate(&mut memory, Request::new(65)).unwrap().extent);
    assert_eq!(a.addr.raw() ^ b.addr.raw(), 128);
    // 65 of 128 bytes are asked for.
    assert_eq!(buddy.usage().wasted(), 2 * 63);
    assert_eq!(buddy.free_blocks(&mut memory).unwrap().len(), 6);
    buddy.free(&mut memory, a.addr).unwrap();
    buddy.free(&mut memory, b.addr).unwrap();
    assert_eq!(buddy.free_blocks(&mut memory).unwrap(), [REGION]);
}

#[test]
fn a_buddy_tells_double_and_invalid_frees() {
    let mut memory = memory();
    let config = BuddyConfig { unit: 64, max_order: 8 };
    let mut buddy = Buddy::create(&mut memory, CONTROL, REGION, config).unwrap();
    let block = buddy.allocate(&mut memory, Request::new(256)).unwrap().addr;
    let within = block.wrapping_add(64);
    let interior = HeapError::InvalidFree { addr: within, why: InvalidFree::Interior };
    assert_eq!(buddy.free(&mut memory, within), Err(interior));
    buddy.free(&mut memory, block).unwrap();
    for addr in [block, within] {
        assert_eq!(buddy.free(&mut memory, addr), Err(HeapError::DoubleFree { addr }));
    }
}

#[test]
fn a_record_names_double_frees_invalid_frees_and_leaks() {
    let mut memory = memory();
    let list = FreeList::create(&mut memory, CONTROL, REGION, ListConfig::default()).unwrap();
    let mut heap = Audited::new(list);
    let [a, b] = [(); 2].map(|()| heap.allocate(&mut memory, Request::new(100)).unwrap().addr);
    heap.free(&mut memory, a).unwrap();
    let never = REGION.end().checked_sub(64).unwrap();
    for (addr, told) in [
        (a, HeapError::DoubleFree { addr: a }),
        (
            b.wrapping_add(32),
            HeapError::InvalidFree { addr: b.wrapping_add(32), why: InvalidFree::Interior },
        ),
        (never, HeapError::InvalidFree { addr: never, why: InvalidFree::NeverAllocated }),
        (
            PhysAddr::ZERO,
            HeapError::InvalidFree { addr: PhysAddr::ZERO, why: InvalidFree::Outside },
        ),
    ] {
        assert_eq!(heap.free(&mut memory, addr), Err(told));
    }
    assert_eq!(heap.check_leaks(), Err(HeapError::Leak { blocks: 1, bytes: 100, first: b }));
}

#[test]
fn leaks_can_be_found_by_the_headers_alone() {
    let mut memory = memory();
    let mut list = FreeList::create(&mut memory, CONTROL, REGION, ListConfig::default()).unwrap();
    let blocks = [(); 3].map(|()| list.allocate(&mut memory, Request::new(100)).unwrap());
    list.free(&mut memory, blocks[1].addr).unwrap();
    let found = list.allocated_blocks(&mut memory).unwrap();
    assert_eq!(found, Some(vec![blocks[0].extent, blocks[2].extent]));
}
