//! Memory: where it comes from, what happens when there is none, and that all of it comes back.

use crate::common::*;
use emmu_core::VirtAddr;
use emmu_os::{
    Exit, FRAME, Kill, Layout, LayoutError, MAX_ACCESS, Op, OsError, OutOfMemory, Region, Rights,
    Turn,
};

/// Touches every page of the portable layout.
fn touch_all() -> Vec<Op> {
    let pages = |(start, size): (u64, u64)| (start..start + size).step_by(0x1000);
    let code = pages(CODE).map(|addr| fetch(addr, 4));
    let data = pages(HEAP).chain(pages(STACK)).map(|addr| store(addr, 8, addr));
    code.chain(data).collect()
}

#[test]
fn exit_frees_everything_and_the_second_run_is_like_the_first() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        assert_all_free(name, os.as_ref());
        for run_number in 1..=2 {
            let (exit, _) = run(os.as_mut(), &portable(), &touch_all());
            assert_eq!(exit, Exit::Code(0), "{name}, run {run_number}");
            assert_all_free(name, os.as_ref());
        }
    }
}

#[test]
fn a_killed_program_frees_everything() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let mut ops = touch_all();
        ops.push(load(1 << 30, 1));
        let (exit, _) = run(os.as_mut(), &portable(), &ops);
        assert!(matches!(exit, Exit::Killed(Kill::NoRegion(_))), "{name}");
        assert_all_free(name, os.as_ref());
    }
}

#[test]
fn a_terminated_process_frees_everything_also_while_another_is_in_the_cpu() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
        for pid in pids {
            let mut ops = touch_all();
            ops.push(Op::YIELD);
            assert_eq!(os.resume(pid, &mut Recorder::new(ops)), Ok(Turn::Yielded), "{name}");
        }
        for pid in pids {
            os.terminate(pid).unwrap();
            assert_eq!(os.terminate(pid), Err(OsError::NoProcess(pid)), "{name}");
        }
        assert_all_free(name, os.as_ref());
    }
}

#[test]
fn pages_come_one_at_a_time_when_they_are_used() {
    for Machine { name, mut os, .. } in paged_machines(&ample()) {
        let pid = os.spawn(&portable()).unwrap();
        assert_eq!(os.usage().programs, 0, "{name}");
        // The second store is in the page of the first; the third needs two.
        let stores = [store(HEAP.0, 8, 1), store(HEAP.0 + 8, 8, 1), store(HEAP.0 + 0x1ffc, 8, 1)];
        for (store, pages) in stores.into_iter().zip([1, 1, 3]) {
            os.resume(pid, &mut Recorder::new([store, Op::YIELD])).unwrap();
            assert_eq!(os.usage().programs, pages * FRAME, "{name}");
            assert_eq!(os.stats().pages_mapped, pages, "{name}");
        }
        assert_eq!(os.stats().faults, 3, "{name}");
    }
}

#[test]
fn the_longest_access_maps_every_page_that_it_touches() {
    let start = VirtAddr::new(0x1_0000);
    let size = u64::from(MAX_ACCESS);
    let layout = Layout::new([Region::new(start, 2 * size, Rights::RW).unwrap()]).unwrap();
    let mut os = riscv_os(&ample());
    let across = store(start.raw() + FRAME - 1, MAX_ACCESS, 7);
    assert_eq!(run(&mut os, &layout, &[across]).0, Exit::Code(0));
    assert_eq!(os.stats().pages_mapped, size / FRAME + 1);
}

#[test]
fn a_low_page_costs_one_table_a_level() {
    let levels = [3, 4, 5, 4, 4, 5, 2, 3, 4];
    for (Machine { name, mut os, .. }, levels) in paged_machines(&ample()).into_iter().zip(levels) {
        let pid = os.spawn(&portable()).unwrap();
        assert_eq!(os.usage().tables, FRAME, "{name}: the root");
        os.resume(pid, &mut Recorder::new([load(0, 1), Op::YIELD])).unwrap();
        assert_eq!(os.usage().tables, levels * FRAME, "{name}");
        assert_eq!(os.stats().tables_made, levels - 1, "{name}");
    }
}

/// Checks that the free memory, the tables and the memory of programs sum up to all memory.
fn assert_sum(name: &str, os: &dyn AnyOs) {
    let usage = os.usage();
    assert_eq!(usage.free + usage.tables + usage.programs, usage.total, "{name}: {usage:?}");
}

#[test]
fn failing_at_every_frame_in_turn_leaves_no_trace() {
    for frames in 1..=12 {
        for Machine { name, mut os, .. } in paged_machines(&memory(8, frames)) {
            let os = os.as_mut();
            let (exit, _) = run(os, &portable(), &touch_all());
            let Exit::Killed(Kill::OutOfMemory { reason, .. }) = exit else {
                // Seven pages, and as many tables as there are levels.
                let least = if name == "Sv32" { 9 } else { 10 };
                assert!(exit == Exit::Code(0) && frames >= least, "{name}, {frames}: {exit:?}");
                continue;
            };
            let OutOfMemory::Frames { needed, free, total } = reason else { panic!("{reason}") };
            assert!(needed > free && total == frames, "{name}: {reason}");
            assert_all_free(name, os);
        }
    }
}

#[test]
fn a_page_that_finds_no_frame_leaves_the_others_as_they_are() {
    for Machine { name, mut os, .. } in paged_machines(&memory(8, 11)) {
        let os = os.as_mut();
        let good = os.spawn(&portable()).unwrap();
        let mut program = Recorder::new([store(HEAP.0, 8, 7), Op::YIELD, load(HEAP.0, 8)]);
        os.resume(good, &mut program).unwrap();
        let before = os.usage();
        let (exit, _) = run(os, &portable(), &touch_all());
        assert!(matches!(exit, Exit::Killed(Kill::OutOfMemory { .. })), "{name}: {exit:?}");
        assert_eq!(os.usage(), before, "{name}");
        assert_sum(name, os);
        assert_eq!(os.resume(good, &mut program), Ok(Turn::Ended(Exit::Code(0))), "{name}");
        assert_eq!(program.seen, [7u64.to_le_bytes()], "{name}");
    }
}

#[test]
fn a_process_that_finds_no_memory_is_not_made() {
    for Machine { name, mut os, .. } in machines(&memory(8, 20)) {
        let os = os.as_mut();
        let mut pids = Vec::new();
        let refused = loop {
            let before = os.usage();
            match os.spawn(&portable()) {
                Ok(pid) => pids.push(pid),
                Err(error) => {
                    assert_eq!(os.usage(), before, "{name}");
                    break error;
                }
            }
            assert_sum(name, os);
        };
        assert!(matches!(refused, OsError::OutOfMemory(_)), "{name}: {refused}");
        assert!(!pids.is_empty(), "{name}");
        pids.into_iter().for_each(|pid| os.terminate(pid).unwrap());
        assert_all_free(name, os);
        assert!(os.spawn(&portable()).is_ok(), "{name}");
    }
}

#[test]
fn out_of_frames_names_what_was_needed() {
    let mut os = riscv_os(&memory(1, 3));
    let (exit, _) = run(&mut os, &portable(), &[load(HEAP.0, 4)]);
    let Exit::Killed(kill) = exit else { panic!("{exit:?}") };
    assert_eq!(
        kill.to_string(),
        "out of frames: 3 needed, 2 of 3 free, for user load of 4 bytes at 0x4000: nothing is mapped there \
         (level 2 entry at 0x80001000 holds 0x0)"
    );
}

#[test]
fn untouched_memory_costs_the_host_nothing() {
    use emmu_cpu::Cpu;
    use emmu_memory::Memory;
    use emmu_os::{Os, Paged, PhysicalMemory, RiscVTables};
    use emmu_paging::{Paging, RiscV};
    let size = 64 << 30;
    let bus = Memory::new().with_ram(START, size).unwrap();
    let memory = PhysicalMemory::new(START, size, 1 << 20).unwrap();
    let cpu = Cpu::new(Paging::uncached(RiscV::rv64()), bus);
    let mut os = Os::boot(cpu, Paged::new(RiscVTables::SV48), &memory).unwrap();
    let (exit, _) = run(&mut os, &portable(), &touch_all());
    assert_eq!(exit, Exit::Code(0));
    // The kernel's root and the table below it; the program's four tables and seven pages.
    assert_eq!(os.cpu().bus().touched_frames(), 2 + 4 + 7);
}

fn region(start: u64, size: u64) -> Region {
    Region::new(VirtAddr::new(start), size, Rights::RW).unwrap()
}

#[test]
fn pages_want_whole_pages() {
    for Machine { name, mut os, .. } in paged_machines(&ample()) {
        for (start, len) in [(0x1004, 0x1000), (0x1000, 0x1004)] {
            let layout = Layout::new([region(start, len)]).unwrap();
            let error = LayoutError::Unaligned { start: VirtAddr::new(start), len, page: FRAME };
            assert_eq!(os.spawn(&layout), Err(OsError::Layout(error)), "{name}");
        }
    }
}

#[test]
fn no_region_reaches_into_the_kernels_half() {
    let limit = 1 << 38;
    let layout = |size| Layout::new([region(limit - 0x1000, size)]).unwrap();
    let mut os = riscv_os(&ample());
    assert!(os.spawn(&layout(0x1000)).is_ok());
    let (start, end) = (VirtAddr::new(limit - 0x1000), VirtAddr::new(limit + 0x1000));
    let error = LayoutError::OutOfSpace { start, end, limit: VirtAddr::new(limit) };
    assert_eq!(os.spawn(&layout(0x2000)), Err(OsError::Layout(error)));
}

#[test]
fn segments_take_one_region_each_from_one_of_their_ends() {
    let mut os = machines(&ample()).pop().unwrap().os;
    let mut refusal = |regions: &[(u64, u64)]| {
        let regions = regions.iter().map(|&(start, size)| region(start, size));
        match os.spawn(&Layout::new(regions).unwrap()) {
            Err(OsError::Layout(error)) => Some(error),
            other => other.map(|_| None).unwrap(),
        }
    };
    assert_eq!(refusal(&[(0, 1), (0x4000, 0x4000), (0xbfff, 1)]), None);
    let amid = refusal(&[(0x4010, 0x10)]);
    assert!(matches!(amid, Some(LayoutError::NoSegment { segment: 0x4000, .. })), "{amid:?}");
    let across = refusal(&[(0, 0x4001)]);
    assert!(matches!(across, Some(LayoutError::NoSegment { .. })), "{across:?}");
    let both = refusal(&[(0, 16), (0x3ff0, 16)]);
    assert!(matches!(both, Some(LayoutError::SegmentTaken { segment: 0, .. })), "{both:?}");
    let beyond = refusal(&[(0x1_0000, 1)]);
    assert!(matches!(beyond, Some(LayoutError::OutOfSpace { .. })), "{beyond:?}");
}
