//! Pages larger than 4 KiB.

use crate::common::*;
use emmu_core::{Asid, VirtAddr};
use emmu_os::{
    AArch64Tables, Exit, Kill, LayoutError, MemoryError, Op, OsError, PhysicalMemory, Region,
    Rights, Turn,
};

/// The granules, with their bytes and the tables on the way to a low page.
const GRANULES: [(AArch64Tables, u64, u64); 2] =
    [(AArch64Tables::K16, 16 << 10, 4), (AArch64Tables::K64, 64 << 10, 3)];

/// Eight pages for the kernel, and this many for programs.
fn pages(page: u64, count: u64) -> PhysicalMemory {
    PhysicalMemory::new(START, (8 + count) * page, 8 * page).unwrap()
}

/// Code of two pages, and two of data from the eighth on.
fn program(page: u64) -> emmu_os::Layout {
    let image: Vec<u8> = (0..2 * page).map(|at| (at / 7).to_le_bytes()[0]).collect();
    let code = Region::new(VirtAddr::ZERO, 2 * page, Rights::RX).unwrap();
    layout([code.with_image(image).unwrap(), data(8 * page, 2 * page)])
}

#[test]
fn a_page_of_the_granule_comes_with_each_first_touch() {
    for (tables, page, levels) in GRANULES {
        let mut os = aarch64_os(tables, &pages(page, 16));
        let ops =
            [store(9 * page - 4, 8, 7), Op::YIELD, load(9 * page - 4, 8), fetch(page + 5000, 4)];
        let pid = os.spawn(&program(page)).unwrap();
        let mut recorder = Recorder::new(ops);
        assert_eq!(os.resume(pid, &mut recorder), Ok(Turn::Yielded));
        let usage = os.usage();
        assert_eq!((usage.programs, usage.tables), (2 * page, levels * page));
        assert_eq!(os.resume(pid, &mut recorder), Ok(Turn::Ended(Exit::Code(0))));
        let byte = |at: u64| (at / 7).to_le_bytes()[0];
        let code: Vec<u8> = (page + 5000..page + 5004).map(byte).collect();
        assert_eq!(recorder.seen, [7u64.to_le_bytes().to_vec(), code]);
        assert_all_free("large pages", &os);
    }
}

#[test]
fn programs_are_apart_and_their_frames_are_cleared() {
    for (tables, page, _) in GRANULES {
        let mut os = aarch64_os(tables, &pages(page, 24));
        let secret = store(8 * page, 8, 0x5ec2_e700_5ec2_e700);
        let first = os.spawn(&program(page)).unwrap();
        os.resume(first, &mut Recorder::new([secret, Op::YIELD])).unwrap();
        let (exit, seen) =
            run(&mut os, &program(page), &[load(8 * page, 8), store(9 * page, 8, 1)]);
        assert_eq!((exit, &seen[0][..]), (Exit::Code(0), &[0; 8][..]));
        os.terminate(first).unwrap();
        let (_, seen) = run(&mut os, &program(page), &[load(8 * page, 8), load(9 * page, 8)]);
        assert_eq!(seen, [[0; 8]; 2]);
        assert_all_free("large pages", &os);
    }
}

#[test]
fn rights_are_those_of_the_region_and_the_kernels_half_is_closed() {
    for (tables, page, _) in GRANULES {
        let mut os = aarch64_os(tables, &pages(page, 16));
        let killed = |os: &mut PagedOs<_, _>, op| run(os, &program(page), &[load(0, 1), op]).0;
        let forbidden = |exit: Exit| matches!(exit, Exit::Killed(Kill::Forbidden { .. }));
        assert!(forbidden(killed(&mut os, store(0, 8, 1))));
        assert!(forbidden(killed(&mut os, fetch(8 * page, 4))));
        let window = killed(&mut os, load(0xffff_0000_0000_0000 + START.raw(), 8));
        assert!(matches!(window, Exit::Killed(Kill::NoRegion(_))), "{window:?}");
        assert_all_free("large pages", &os);
    }
}

#[test]
fn a_space_that_failed_for_want_of_frames_leaves_nothing() {
    for (tables, page, levels) in GRANULES {
        for frames in 1..levels + 1 {
            let mut os = aarch64_os(tables, &pages(page, frames));
            let (exit, _) = run(&mut os, &program(page), &[load(0, 1)]);
            assert!(matches!(exit, Exit::Killed(Kill::OutOfMemory { .. })), "{exit:?}");
            assert_all_free("large pages", &os);
        }
    }
}

#[test]
fn layouts_and_memory_are_made_of_whole_pages_of_the_granule() {
    for (tables, page, _) in GRANULES {
        let mut os = aarch64_os(tables, &pages(page, 16));
        let (start, len) = (VirtAddr::new(page), 0x1000);
        let unaligned = OsError::Layout(LayoutError::Unaligned { start, len, page });
        assert_eq!(os.spawn(&layout([data(start.raw(), len)])), Err(unaligned));
        let memory = PhysicalMemory::new(START, 17 * page - 0x1000, 8 * page).unwrap();
        let refused = paged_os(emmu_paging::AArch64::new(), tables, &tiny(), &memory).map(drop);
        let (what, value) = ("its end", memory.end().raw());
        let unaligned = MemoryError::Unaligned { what, value, frame: page };
        assert_eq!(refused, Err(OsError::Memory(unaligned)));
    }
}

#[test]
fn every_process_has_an_asid_of_its_own() {
    let mut os = aarch64_os(AArch64Tables::K64, &pages(64 << 10, 16));
    let pids = [0; 3].map(|_| os.spawn(&program(64 << 10)).unwrap());
    assert_eq!(pids.map(|pid| os.space(pid).unwrap().asid()), [1, 2, 3].map(Asid));
}
