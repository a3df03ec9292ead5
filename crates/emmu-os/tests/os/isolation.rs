//! No process sees another's bytes, nor the kernel's.

use crate::common::*;
use emmu_core::VirtAddr;
use emmu_os::{Exit, Layout, Op, OsError, Pid, Region, Rights, Turn};
use emmu_paging::format::x86;

const PAGES: u64 = 5;

fn data_pages() -> impl Iterator<Item = u64> {
    let pages = |(start, size): (u64, u64)| (start..start + size).step_by(0x1000);
    pages(HEAP).chain(pages(STACK))
}

#[test]
fn what_another_process_left_behind_reads_as_zero() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let fill: Vec<_> = data_pages().map(|addr| store(addr, 4096, u64::MAX)).collect();
        assert_eq!(run(os.as_mut(), &portable(), &fill).0, Exit::Code(0), "{name}");
        let look: Vec<_> = data_pages().map(|addr| load(addr, 4096)).collect();
        let (exit, seen) = run(os.as_mut(), &portable(), &look);
        assert_eq!((exit, seen.len() as u64), (Exit::Code(0), PAGES), "{name}");
        assert!(seen.iter().flatten().all(|&byte| byte == 0), "{name}");
    }
}

#[test]
fn processes_in_turns_read_what_they_wrote_themselves() {
    for Machine { name, mut os, .. } in machines(&memory(8, 200)) {
        let ops = |tag: u64| {
            let stores = data_pages().map(move |addr| store(addr + 8 * tag, 8, addr + tag));
            let loads = data_pages().map(move |addr| load(addr, 64));
            stores.chain(loads).flat_map(|op| [op, Op::YIELD])
        };
        let start = |tag| (os.spawn(&portable()).unwrap(), Recorder::new(ops(tag)));
        let mut running: Vec<(Pid, Recorder)> = (0..4).map(start).collect();
        for _ in 0..2 * PAGES {
            for (pid, program) in &mut running {
                assert_eq!(os.resume(*pid, program), Ok(Turn::Yielded), "{name}");
            }
        }
        for (tag, (pid, mut program)) in running.into_iter().enumerate() {
            assert_eq!(os.resume(pid, &mut program), Ok(Turn::Ended(Exit::Code(0))), "{name}");
            for (page, bytes) in data_pages().zip(program.seen) {
                let mut expected = [0; 64];
                let value = page + tag as u64;
                expected[8 * tag..8 * tag + 8].copy_from_slice(&value.to_le_bytes());
                assert_eq!(bytes, expected, "{name}, process {tag}, page {page:#x}");
            }
        }
        assert_all_free(name, os.as_ref());
    }
}

#[test]
fn what_lies_between_the_regions_reads_as_zero_where_it_can_be_read() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        if name.starts_with("base and bounds") {
            let gap = CODE.0 + CODE.1;
            let fill = [store(gap, 4096, u64::MAX), store(HEAP.0 - 4096, 4096, u64::MAX)];
            assert_eq!(run(os.as_mut(), &portable(), &fill).0, Exit::Code(0), "{name}");
            let look = [load(gap, 4096), load(HEAP.0 - 4096, 4096)];
            let (exit, seen) = run(os.as_mut(), &portable(), &look);
            assert_eq!((exit, seen), (Exit::Code(0), vec![vec![0; 4096]; 2]), "{name}");
        }
    }
}

#[test]
fn an_ended_process_leaves_no_way_into_its_memory() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let ops = [store(HEAP.0, 8, 7), load(HEAP.0, 8)];
        assert_eq!(run(os.as_mut(), &portable(), &ops).0, Exit::Code(0), "{name}");
        let stop = os.load_as_user(HEAP.0).unwrap_err();
        assert!(stop.fault().is_some(), "{name}: {stop}");
    }
}

#[test]
fn a_process_goes_on_where_it_was() {
    let mut os = riscv_os(&ample());
    let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
    for (pid, addr) in pids.into_iter().zip([0x100, 0x200]) {
        os.resume(pid, &mut Recorder::new([fetch(addr, 4), Op::YIELD])).unwrap();
    }
    for (pid, addr) in pids.into_iter().zip([0x100, 0x200]) {
        os.resume(pid, &mut Recorder::new([Op::YIELD])).unwrap();
        assert_eq!(os.cpu().trap().unwrap().pc, VirtAddr::new(addr));
    }
}

#[test]
fn identifiers_do_not_run_out_by_processes_that_came_and_went() {
    let mut os = x86_os(&memory(2, 1));
    for _ in 0..0x1001 {
        let pid = os.spawn(&portable()).unwrap();
        let refused = os.spawn(&portable());
        assert!(matches!(refused, Err(OsError::OutOfMemory(_))), "there is one frame: {refused:?}");
        os.terminate(pid).unwrap();
    }
}

/// Every page of a process, as `(virtual, entry)`, and every frame that its tables take, from the tables.
fn user_leaves(read: &dyn Fn(u64) -> u64, target: fn(u64) -> u64, root: u64) -> Vec<u64> {
    let mut level = vec![root];
    for _ in 0..3 {
        level = level
            .iter()
            .flat_map(|table| (0..256).map(move |index| table + 8 * index))
            .map(read)
            .filter(|entry| entry & 1 != 0)
            .map(target)
            .collect();
    }
    level
}

#[test]
fn no_frame_is_in_two_processes() {
    let mut os = riscv_os(&ample());
    let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
    for pid in pids {
        let ops: Vec<_> = data_pages().map(|addr| store(addr, 1, 1)).chain([Op::YIELD]).collect();
        os.resume(pid, &mut Recorder::new(ops)).unwrap();
    }
    let read = |addr| word(os.cpu(), addr);
    let frames = pids.map(|pid| {
        let root = os.space(pid).unwrap().root().raw();
        user_leaves(&read, |entry| entry >> 10 << 12 & ((1 << 56) - 1), root)
    });
    assert_eq!(frames.each_ref().map(|frames| frames.len() as u64), [PAGES; 2]);
    assert!(frames[0].iter().all(|frame| !frames[1].contains(frame)));
}

#[test]
fn the_kernels_half_is_the_same_in_every_root_and_not_the_users() {
    let mut riscv = riscv_os(&ample());
    let mut x86 = x86_os(&ample());
    let riscv_roots = [(); 3].map(|()| {
        let pid = riscv.spawn(&portable()).unwrap();
        riscv.space(pid).unwrap().root().raw()
    });
    let x86_roots = [(); 3].map(|()| {
        let pid = x86.spawn(&portable()).unwrap();
        x86.space(pid).unwrap().root().raw()
    });
    let (user_riscv, user_x86) = (1 << 4, 1 << 2);
    for index in 256..512 {
        let entries = riscv_roots.map(|root| word(riscv.cpu(), root + 8 * index));
        assert!(entries.iter().all(|&entry| entry == entries[0] && entry & user_riscv == 0));
        let entries = x86_roots.map(|root| word(x86.cpu(), root + 8 * index));
        // The hardware sets A in the entries of a root that it walks.
        let plain = entries.map(|entry| entry & !x86::Pte::A.bits());
        assert!(plain.iter().all(|&entry| entry == plain[0] && entry & user_x86 == 0));
    }
}

#[test]
fn an_identifier_that_is_used_again_brings_nothing_back() {
    let page = Region::new(VirtAddr::new(0x4000), 0x1000, Rights::RW).unwrap();
    let layout = Layout::new([page]).unwrap();
    for Machine { name, mut os, .. } in paged_machines(&ample()) {
        for value in 1..4 {
            let ops = [load(0x4000, 8), store(0x4000, 8, value), load(0x4000, 8)];
            let (exit, seen) = run(os.as_mut(), &layout, &ops);
            assert_eq!(exit, Exit::Code(0), "{name}");
            assert_eq!(seen, [[0; 8], value.to_le_bytes()], "{name}");
        }
    }
}

#[test]
fn registers_that_programs_may_write_are_each_programs_own() {
    let mut os = x86_os(&ample());
    let (id, value) = (x86::PKRU, 0xffff_fffc);
    let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
    let mut write = Recorder::new([Op::WriteRegister { id, value }, Op::YIELD]);
    let mut idle = Recorder::new([Op::YIELD, Op::YIELD]);
    os.resume(pids[0], &mut write).unwrap();
    assert_eq!(os.cpu_mut().read_register(id), Ok(value));
    os.resume(pids[1], &mut idle).unwrap();
    assert_eq!(os.cpu_mut().read_register(id), Ok(0));
    os.resume(pids[0], &mut Recorder::new([Op::YIELD])).unwrap();
    assert_eq!(os.cpu_mut().read_register(id), Ok(value));
}

#[test]
fn the_address_space_changes_only_when_the_process_does() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
        for (pid, switches) in [(pids[0], 1), (pids[0], 1), (pids[1], 2), (pids[0], 3)] {
            os.resume(pid, &mut Recorder::new([Op::YIELD])).unwrap();
            assert_eq!(os.stats().switches, switches, "{name}");
        }
    }
}
