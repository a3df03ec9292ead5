//! Processes that grow, move, share, and are moved together.

use crate::common::*;
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::{Bus, PhysAddr, Registers, VirtAddr};
use emmu_os::{
    Contiguous, Direction, Exit, Kill, Layout, LayoutError, MemoryError, Op, Os, OsError,
    OutOfMemory, Pid, Region, Rights, StaticRelocation, Turn,
};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// An access at any address: in bounds, around the bounds, or around the top of the address space.
#[derive(Clone, Copy, Debug)]
struct Anywhere(Op);

impl Arbitrary for Anywhere {
    fn arbitrary(g: &mut Gen) -> Self {
        let near = u64::arbitrary(g) % 24;
        let addr = match u8::arbitrary(g) % 8 {
            0 => 0x1_0000 - near,
            1 => 0u64.wrapping_sub(near),
            // An address whose sum with a base passes the top.
            2 => 0u64.wrapping_sub(START.raw() + 0x8000 + near),
            _ => u64::arbitrary(g) % 0xfff8,
        };
        let size = *g.choose(&[1, 2, 4, 8, 16]).unwrap();
        Self(match u8::arbitrary(g) % 3 {
            0 => fetch(addr, size),
            1 => load(addr, size),
            _ => store(addr, size, u64::arbitrary(g)),
        })
    }
}

quickcheck! {
    fn bounds_as_size_and_as_end_show_identical_traces(ops: Vec<Anywhere>) -> bool {
        let ops: Vec<_> = ops.iter().map(|&Anywhere(op)| op).collect();
        let shown = [Convention::Size, Convention::End].map(|convention| {
            let memory = memory(8, 24);
            let cpu = emmu_cpu::Cpu::new(BaseBounds::new(convention), ram(&memory));
            let mut os = Os::boot(cpu, Contiguous::new(convention), &memory).unwrap();
            (run(&mut os, &portable(), &ops), os.stats())
        });
        shown[0] == shown[1]
    }
}

/// A program that keeps a value at an address, and can be asked whether it is still there.
struct Keeper {
    pid: Pid,
    addr: u64,
    value: u64,
}

impl Keeper {
    fn start(os: &mut dyn AnyOs, layout: &Layout, addr: u64, value: u64) -> Self {
        let pid = os.spawn(layout).unwrap();
        let turn = os.resume(pid, &mut Recorder::new([store(addr, 8, value), Op::YIELD]));
        assert_eq!(turn, Ok(Turn::Yielded));
        Self { pid, addr, value }
    }

    fn check(&self, os: &mut dyn AnyOs) {
        let mut program = Recorder::new([load(self.addr, 8), Op::YIELD]);
        assert_eq!(os.resume(self.pid, &mut program), Ok(Turn::Yielded));
        assert_eq!(program.seen, [self.value.to_le_bytes()], "{}", self.pid);
    }
}

/// Reads and writes as a process, which must live on.
fn turn(os: &mut dyn AnyOs, pid: Pid, ops: &[Op]) -> Vec<Vec<u8>> {
    let mut program = Recorder::new(ops.iter().copied().chain([Op::YIELD]));
    assert_eq!(os.resume(pid, &mut program), Ok(Turn::Yielded));
    program.seen
}

fn base(os: &ContiguousOs, pid: Pid) -> u64 {
    os.space(pid).unwrap().base().raw() - START.raw()
}

#[test]
fn a_stopped_process_is_moved_and_does_not_notice() {
    let mut os = contiguous_os(Contiguous::default(), &memory(1, 4));
    let one = layout([data(0, 0x1000)]);
    let keeper = Keeper::start(&mut os, &one, 0xff8, 0x1234_5678_9abc_def0);
    assert_eq!(base(&os, keeper.pid), 0x1000);
    assert_eq!(os.relocate(keeper.pid), Ok(0x1000));
    assert_eq!(base(&os, keeper.pid), 0x2000);
    keeper.check(&mut os);
    let left = os.cpu().bus().peek(PhysAddr::new(START.raw() + 0x1ff8), emmu_core::Width::B8);
    assert_eq!(left, Ok(0), "what it left is zeros");
    assert_eq!(os.stats().bytes_moved, 0x1000);
}

#[test]
fn a_process_that_has_nowhere_to_go_stays() {
    let mut os = contiguous_os(Contiguous::default(), &memory(1, 3));
    let keeper = Keeper::start(&mut os, &layout([data(0, 0x2000)]), 8, 7);
    let area = OutOfMemory::Area { needed: 0x2000, free: 0x1000, total: 0x3000 };
    assert_eq!(os.relocate(keeper.pid), Err(OsError::OutOfMemory(area)));
    keeper.check(&mut os);
}

#[test]
fn a_process_grows_where_it_is_if_what_follows_is_free() {
    let mut os = contiguous_os(Contiguous::default(), &memory(1, 4));
    let keeper = Keeper::start(&mut os, &layout([data(0, 0x1000)]), 8, 7);
    assert_eq!(os.grow(keeper.pid, VirtAddr::ZERO, 0x1800, Direction::Up), Ok(0));
    assert_eq!(base(&os, keeper.pid), 0x1000);
    assert_eq!(os.usage().programs, 0x2800);
    keeper.check(&mut os);
    let ops = [load(0x1000, 8), load(0x27f8, 8), store(0x27f8, 8, 1), load(0x27f8, 1)];
    assert_eq!(turn(&mut os, keeper.pid, &ops), [&[0; 8][..], &[0; 8], &[1]]);
}

#[test]
fn a_process_grows_by_moving_if_its_neighbour_is_in_the_way() {
    for convention in [Convention::Size, Convention::End] {
        let memory = memory(1, 4);
        let cpu = emmu_cpu::Cpu::new(BaseBounds::new(convention), ram(&memory));
        let mut os = Os::boot(cpu, Contiguous::new(convention), &memory).unwrap();
        let one = layout([data(0, 0x1000)]);
        let keepers = [5, 6].map(|value| Keeper::start(&mut os, &one, 0xff8, value));
        // The second is in the CPU, which must learn of nothing; and then the first, which must.
        assert_eq!(os.grow(keepers[0].pid, VirtAddr::ZERO, 0x1000, Direction::Up), Ok(0x1000));
        assert_eq!((base(&os, keepers[0].pid), base(&os, keepers[1].pid)), (0x3000, 0x2000));
        keepers.iter().for_each(|keeper| keeper.check(&mut os));
        assert_eq!(turn(&mut os, keepers[0].pid, &[load(0x1ff8, 8)]), [[0; 8]]);
        assert_eq!(os.relocate(keepers[1].pid), Ok(0x1000));
        assert_eq!((base(&os, keepers[1].pid), os.usage().free), (0x1000, 0x1000));
        keepers.iter().for_each(|keeper| keeper.check(&mut os));
    }
}

#[test]
fn the_cpu_learns_of_a_move_at_once() {
    let mut os = contiguous_os(Contiguous::default(), &memory(1, 4));
    let one = layout([data(0, 0x1000)]);
    let keepers = [5, 6].map(|value| Keeper::start(&mut os, &one, 8, value));
    let pid = keepers[0].pid;
    let ops = [grow(0, 0x1000, Direction::Up), load(8, 8), load(0x1008, 8)];
    assert_eq!(turn(&mut os, pid, &ops), [&[1][..], &5u64.to_le_bytes(), &[0; 8]]);
    assert_eq!(os.cpu().unit().read_register(BaseBounds::BASE), Ok(START.raw() + 0x3000));
    keepers[1].check(&mut os);
}

#[test]
fn growth_without_room_is_refused_and_changes_nothing() {
    let mut os = contiguous_os(Contiguous::default(), &memory(1, 3));
    let one = layout([data(0, 0x1000)]);
    let keepers = [5, 6].map(|value| Keeper::start(&mut os, &one, 8, value));
    let before = os.usage();
    let area = OutOfMemory::Area { needed: 0x2000, free: 0x1000, total: 0x3000 };
    let refused = os.grow(keepers[0].pid, VirtAddr::ZERO, 0x1000, Direction::Up);
    assert_eq!(refused, Err(OsError::OutOfMemory(area)));
    assert_eq!(os.usage(), before);
    let (exit, _) = run(&mut os, &one, &[load(0x1000, 1)]);
    assert!(matches!(exit, Exit::Killed(Kill::NoRegion(_))));
    keepers.iter().for_each(|keeper| keeper.check(&mut os));
    let pid = keepers[0].pid;
    let ops = [grow(0, 0x1000, Direction::Up), load(8, 1)];
    assert_eq!(turn(&mut os, pid, &ops), [[0], [5]], "a program is told, and lives on");
}

#[test]
fn heap_and_stack_grow_on_every_machine_until_they_collide() {
    for Machine { name, mut os, .. } in all_machines(&memory(8, 72)) {
        let os = os.as_mut();
        let pid = os.spawn(&portable()).unwrap();
        let origin = os.origin(pid);
        let (heap, heap_end, stack) = (origin + HEAP.0, origin + HEAP.0 + HEAP.1, origin + STACK.0);
        let ops = [
            store(heap, 8, 7),
            store(stack, 8, 8),
            grow(heap, 0x1000, Direction::Up),
            load(heap_end, 8),
            store(heap_end, 8, 9),
            grow(stack + 8, 0x2000, Direction::Down),
            load(stack - 0x2000, 8),
            store(stack - 0x2000, 8, 10),
            grow(stack, 0x1_0000, Direction::Down),
            grow(heap, 0x8001, Direction::Up),
            load(heap, 1),
            load(heap_end, 1),
            load(stack - 0x2000, 1),
            load(stack, 1),
        ];
        let seen = turn(os, pid, &ops);
        let words: Vec<_> = seen.iter().map(|bytes| u64::from(bytes[0])).collect();
        assert_eq!(words, [1, 0, 1, 0, 0, 0, 7, 9, 10, 8], "{name}");
        os.terminate(pid).unwrap();
        assert_all_free(name, os);
    }
}

#[test]
fn without_translation_a_process_grows_where_it_is_or_not_at_all() {
    let mut os = bare_os(StaticRelocation::new(), &memory(1, 4));
    let one = layout([data(0, 0x1000)]);
    let pids = [(); 2].map(|()| os.spawn(&one).unwrap());
    let grow = |os: &mut BareOs<_>, pid| os.grow(pid, VirtAddr::ZERO, 0x1000, Direction::Up);
    assert_eq!(grow(&mut os, pids[0]), Err(OsError::Immovable));
    assert_eq!(os.relocate(pids[0]), Err(OsError::Immovable));
    assert_eq!(os.compact(), Err(OsError::Immovable));
    assert_eq!(grow(&mut os, pids[1]), Ok(0));
    assert_eq!(os.usage().programs, 0x3000);
}

#[test]
fn equal_slots_are_given_out_by_a_bitmap() {
    // The textbook's assumption: processes of up to 16 KB.
    let slots = Contiguous::with_slots(Convention::Size, 16 << 10);
    let mut os = contiguous_os(slots, &memory(1, 17));
    let sized = |size| layout([data(0, size)]);
    let pids = [1, 0x1000, 0x3fff, 0x4000].map(|size| os.spawn(&sized(size)).unwrap());
    let places = pids.map(|pid| base(&os, pid));
    assert_eq!(places, [0x1000, 0x5000, 0x9000, 0xd000]);
    assert_eq!((os.usage().programs, os.usage().free), (0x1_0000, 0x1000), "a frame is no slot");
    assert_eq!(word(os.cpu(), START.raw()), 0b1111);
    let full = OsError::OutOfMemory(OutOfMemory::Slots { slots: 4 });
    assert_eq!(os.spawn(&sized(1)), Err(full));
    let large = OutOfMemory::Slot { needed: 0x4001, slot: 0x4000 };
    assert_eq!(os.spawn(&sized(0x4001)), Err(OsError::OutOfMemory(large)));

    os.terminate(pids[2]).unwrap();
    os.terminate(pids[1]).unwrap();
    assert_eq!(word(os.cpu(), START.raw()), 0b1001);
    let next = os.spawn(&sized(8)).unwrap();
    assert_eq!(base(&os, next), 0x5000);
    // Up to the size of its slot a process grows, and no further.
    assert_eq!(os.grow(next, VirtAddr::ZERO, 0x3ff8, Direction::Up), Ok(0));
    let refused = os.grow(next, VirtAddr::ZERO, 1, Direction::Up);
    assert_eq!(refused, Err(OsError::OutOfMemory(large)));
    assert_eq!(os.compact(), Ok(0));
}

#[test]
fn the_bitmap_must_fit_into_the_kernels_part() {
    let memory = memory(1, 16);
    let cpu = || emmu_cpu::Cpu::new(BaseBounds::default(), ram(&memory));
    let boot = |slot| Os::boot(cpu(), Contiguous::with_slots(Convention::Size, slot), &memory);
    assert!(boot(2).is_ok());
    let small = MemoryError::KernelTooSmall { kernel: 0x1000, needed: 0x2000 };
    assert_eq!(boot(1).map(drop), Err(OsError::Memory(small)));
}

/// A program of code and data, which differs from others by `tag` alone.
fn with_code(tag: u8, rights: Rights) -> Layout {
    let code = Region::new(VirtAddr::ZERO, 0x1000, rights).unwrap();
    layout([code.with_image(vec![tag; 0x100]).unwrap(), data(0x4000, 0x1000)])
}

#[test]
fn code_that_several_processes_have_is_in_memory_once() {
    let mut os = segmented_os(16, &memory(1, 8));
    let program = with_code(1, Rights::RX);
    let pids = [(); 3].map(|()| os.spawn(&program).unwrap());
    let bases = pids.map(|pid| os.space(pid).unwrap().segments()[0].base);
    assert_eq!(bases, [bases[0]; 3]);
    assert_eq!(os.usage().programs, 0x1000 + 3 * 0x1000);
    let other = os.spawn(&with_code(2, Rights::RX)).unwrap();
    assert_ne!(os.space(other).unwrap().segments()[0].base, bases[0]);
    assert_eq!(os.usage().programs, 2 * 0x1000 + 4 * 0x1000);
    for pid in pids {
        assert_eq!(turn(&mut os, pid, &[fetch(0, 1), fetch(0xff, 1)]), [[1], [1]]);
        os.terminate(pid).unwrap();
    }
    assert_eq!(os.usage().programs, 2 * 0x1000, "the last one frees it");
}

#[test]
fn nobody_writes_what_is_shared_and_what_is_written_is_not_shared() {
    let mut os = segmented_os(16, &memory(1, 8));
    let keeper = os.spawn(&with_code(1, Rights::RX)).unwrap();
    let (exit, _) = run(&mut os, &with_code(1, Rights::RX), &[store(0, 1, 9)]);
    assert!(matches!(exit, Exit::Killed(Kill::Forbidden { .. })), "{exit:?}");
    assert_eq!(turn(&mut os, keeper, &[fetch(0, 1)]), [[1]]);
    let writable = [(); 2].map(|()| os.spawn(&with_code(1, Rights::all())).unwrap());
    assert_eq!(turn(&mut os, writable[0], &[store(0, 1, 9), load(0, 1)]), [[9]]);
    assert_eq!(turn(&mut os, writable[1], &[load(0, 1)]), [[1]]);
}

#[test]
fn a_shared_segment_that_grows_becomes_ones_own() {
    let mut os = segmented_os(16, &memory(1, 8));
    let pids = [(); 2].map(|()| os.spawn(&with_code(1, Rights::RX)).unwrap());
    assert_eq!(os.grow(pids[0], VirtAddr::ZERO, 0x1000, Direction::Up), Ok(0x1000));
    assert_eq!(turn(&mut os, pids[0], &[fetch(0xff, 1), fetch(0x1fff, 1)]), [[1], [0]]);
    let (exit, _) = run(&mut os, &with_code(1, Rights::RX), &[fetch(0x1000, 1)]);
    assert!(matches!(exit, Exit::Killed(Kill::NoRegion(_))), "the others have what they had");
    assert_eq!(turn(&mut os, pids[1], &[fetch(0xff, 1)]), [[1]]);
}

#[test]
fn a_segment_grows_in_either_direction_where_its_neighbour_is_free() {
    // Odd sizes: the end that does not grow stays where it is, to the byte.
    let program = layout([data(0, 0x101), data(0xffff - 0x103, 0x104)]);
    let mut os = segmented_os(16, &memory(1, 8));
    let below = os.spawn(&layout([data(0, 0x1000)])).unwrap();
    let pid = os.spawn(&program).unwrap();
    let ops = [store(0x100, 1, 5), store(0xffff, 1, 6), store(0xffff - 0x103, 1, 7)];
    turn(&mut os, pid, &ops);
    os.terminate(below).unwrap();
    // The stack lies behind the data, which therefore moves; and then there is room before the stack.
    assert_eq!(os.grow(pid, VirtAddr::ZERO, 0x1f, Direction::Up), Ok(0x101));
    assert_eq!(os.grow(pid, VirtAddr::new(0xffff), 0x99, Direction::Down), Ok(0));
    let ops = [
        load(0x100, 2),
        load(0x11f, 1),
        load(0xffff, 1),
        load(0xffff - 0x103, 1),
        load(0xffff - 0x19c, 1),
    ];
    assert_eq!(turn(&mut os, pid, &ops), [&[5, 0][..], &[0], &[6], &[7], &[0]]);
    let refused = os.grow(pid, VirtAddr::ZERO, 0x4001 - 0x120, Direction::Up).unwrap_err();
    assert!(matches!(refused, OsError::Layout(LayoutError::NoSegment { .. })), "{refused}");
}

#[test]
fn moved_segments_keep_their_bytes() {
    let mut os = segmented_os(16, &memory(1, 8));
    let program = with_code(3, Rights::RX);
    let pid = os.spawn(&program).unwrap();
    turn(&mut os, pid, &[store(0x4ff8, 8, 77)]);
    let before = os.space(pid).unwrap().segments().to_vec();
    assert_eq!(os.relocate(pid), Ok(0x1000), "shared code stays");
    let after = os.space(pid).unwrap().segments().to_vec();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1].base, after[1].base);
    assert_eq!(turn(&mut os, pid, &[load(0x4ff8, 1), fetch(0, 1)]), [[77], [3]]);
    os.terminate(pid).unwrap();
    assert_all_free("segmentation", &os);
}

#[test]
fn a_sparse_space_of_4_gigabytes_costs_what_it_uses() {
    let mut os = segmented_os(32, &memory(1, 0x500));
    let mib = 1 << 20;
    let program = layout([data(0, mib), data(1 << 30, 2 * mib), data((1 << 32) - mib, mib)]);
    let pid = os.spawn(&program).unwrap();
    assert_eq!(os.usage().programs, 4 * mib);
    let last = (1 << 32) - 8;
    assert_eq!(turn(&mut os, pid, &[store(last, 8, 9), load(last, 1)]), [[9]]);
    // One area for all of it would have to be as large as the space.
    let mut contiguous = contiguous_os(Contiguous::default(), &memory(1, 0x500));
    let refused = contiguous.spawn(&program);
    let area = OutOfMemory::Area { needed: 1 << 32, free: 0x50_0000, total: 0x50_0000 };
    assert_eq!(refused, Err(OsError::OutOfMemory(area)));
}
