//! A forbidden operation ends the program, and has no other effect.

use crate::common::*;
use emmu_core::{Cause, Privilege, VirtAddr};
use emmu_cpu::{Exception, Illegal, Operation};
use emmu_os::{Exit, Kill, Layout, MAX_ACCESS, Op, Region, Rights, Turn};

/// Runs one operation, and returns why it killed the program.
fn kill(machine: &mut Machine, op: Op) -> Kill {
    match run(machine.os.as_mut(), &portable(), &[op]) {
        (Exit::Killed(kill), _) => kill,
        (exit, _) => panic!("{}: {op:?} ended in {exit:?}", machine.name),
    }
}

#[test]
fn writing_a_privileged_register_kills_and_leaves_it_unchanged() {
    for mut machine in machines(&ample()) {
        let (id, name) = (machine.privileged, machine.name);
        let os = machine.os.as_mut();
        let pid = os.spawn(&portable()).unwrap();
        assert_eq!(os.resume(pid, &mut Recorder::new([Op::YIELD])), Ok(Turn::Yielded), "{name}");
        let before = os.read_register(id);
        let mut attack = Recorder::new([Op::WriteRegister { id, value: 0x1234_5000 }]);
        let other = os.spawn(&portable()).unwrap();
        let turn = os.resume(other, &mut attack).unwrap();
        let illegal = Illegal::Privileged {
            operation: Operation::WriteRegister(id),
            needed: Privilege::Supervisor,
            held: Privilege::User,
        };
        let expected = Exit::Killed(Kill::Exception(Exception::IllegalInstruction(illegal)));
        assert_eq!(turn, Turn::Ended(expected), "{name}");
        assert_ne!(os.read_register(id), 0x1234_5000, "{name}");
        os.resume(pid, &mut Recorder::new([Op::YIELD])).unwrap();
        assert_eq!(os.read_register(id), before, "{name}");
    }
}

#[test]
fn the_kernels_half_kills() {
    for mut machine in paged_machines(&ample()) {
        for addr in [0xffff_ffc0_8000_0000, 0xffff_8000_8000_0000, 0xff00_0000_8000_0000] {
            for op in [load(addr, 8), store(addr, 8, 1), fetch(addr, 4)] {
                let kill = kill(&mut machine, op);
                let Kill::NoRegion(fault) = kill else { panic!("{}: {kill}", machine.name) };
                assert_eq!(fault.addr, VirtAddr::new(addr), "{}", machine.name);
            }
        }
        assert_all_free(machine.name, machine.os.as_ref());
    }
}

#[test]
fn past_the_last_region_kills() {
    for mut machine in machines(&ample()) {
        for op in [load(0x1_0000, 1), store(0xffff, 2, 0), load(u64::MAX, 8), load(u64::MAX, 1)] {
            let kill = kill(&mut machine, op);
            assert!(matches!(kill, Kill::NoRegion(_)), "{}: {op:?}: {kill}", machine.name);
        }
    }
}

#[test]
fn storing_to_code_kills_where_there_are_rights() {
    for mut machine in machines(&ample()) {
        if machine.name.starts_with("base and bounds") {
            continue;
        }
        // The first of these meets no page yet; in the second the page is there.
        for ops in [vec![store(0x1000, 4, 0)], vec![fetch(0x1000, 4), store(0x1000, 4, 0)]] {
            let (exit, _) = run(machine.os.as_mut(), &portable(), &ops);
            let Exit::Killed(Kill::Forbidden { rights, .. }) = exit else {
                panic!("{}: {exit:?}", machine.name)
            };
            assert_eq!(rights, Rights::RX, "{}", machine.name);
        }
    }
}

#[test]
fn fetching_data_kills_where_there_are_rights() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        if name.starts_with("base and bounds") {
            continue;
        }
        // The first of these meets no page yet; in the second the page is there.
        for ops in [vec![fetch(HEAP.0, 4)], vec![load(HEAP.0, 4), fetch(HEAP.0, 4)]] {
            let (exit, _) = run(os.as_mut(), &portable(), &ops);
            let Exit::Killed(Kill::Forbidden { rights, .. }) = exit else {
                panic!("{name}: {exit:?}")
            };
            assert_eq!(rights, Rights::RW, "{name}");
        }
    }
}

#[test]
fn a_store_that_leaves_its_region_writes_nothing() {
    let end = STACK.0 + STACK.1;
    let tag = [0x5c; 4];
    let value = u64::from_le_bytes([0x5c; 8]);
    for Machine { name, mut os, .. } in machines(&ample()) {
        let os = os.as_mut();
        let (exit, _) = run(os, &portable(), &[load(end - 8, 8), store(end - 4, 8, value)]);
        let Exit::Killed(Kill::NoRegion(fault)) = exit else { panic!("{name}: {exit:?}") };
        assert_eq!(fault.access.addr, VirtAddr::new(end - 4), "{name}");
        assert_eq!(fault.addr, VirtAddr::new(end), "{name}");
        assert!(!os.ram_holds(tag), "{name}");
        run(os, &portable(), &[store(end - 8, 8, value)]);
        assert!(os.ram_holds(tag), "{name}: what is looked for can be found");
    }
}

#[test]
fn only_the_offender_ends() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let os = os.as_mut();
        let good = os.spawn(&portable()).unwrap();
        let mut program = Recorder::new([store(HEAP.0, 8, 7), Op::YIELD, load(HEAP.0, 8)]);
        assert_eq!(os.resume(good, &mut program), Ok(Turn::Yielded), "{name}");
        let (exit, _) = run(os, &portable(), &[store(HEAP.0, 8, 9), load(1 << 40, 1)]);
        assert!(matches!(exit, Exit::Killed(_)), "{name}");
        assert_eq!(os.resume(good, &mut program), Ok(Turn::Ended(Exit::Code(0))), "{name}");
        assert_eq!(program.seen, [7u64.to_le_bytes()], "{name}");
        assert_eq!((os.stats().killed, os.stats().exited), (1, 1), "{name}");
        assert_all_free(name, os);
    }
}

#[test]
fn an_operation_of_too_many_bytes_is_no_instruction() {
    for mut machine in machines(&ample()) {
        let undefined = Exception::IllegalInstruction(Illegal::Undefined);
        for op in [load(HEAP.0, MAX_ACCESS + 1), store(HEAP.0, u32::MAX, 0)] {
            assert_eq!(kill(&mut machine, op), Kill::Exception(undefined), "{}", machine.name);
        }
    }
}

#[test]
fn an_operation_of_no_bytes_does_nothing() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let ops = [load(1 << 40, 0), store(1 << 40, 0, 1), fetch(1 << 40, 0)];
        let (exit, seen) = run(os.as_mut(), &portable(), &ops);
        assert_eq!((exit, seen), (Exit::Code(0), vec![vec![]; 2]), "{name}");
        assert_eq!(os.stats().faults, 0, "{name}");
    }
}

#[test]
fn a_region_that_can_only_be_executed_is_read_on_no_riscv() {
    let region = Region::new(VirtAddr::new(0x1000), 0x1000, Rights::EXECUTE).unwrap();
    let layout = Layout::new([region]).unwrap();
    let mut os = riscv_os(&ample());
    let (exit, _) = run(&mut os, &layout, &[fetch(0x1000, 4), load(0x1000, 4)]);
    let Exit::Killed(Kill::Forbidden { fault, .. }) = exit else { panic!("{exit:?}") };
    assert_eq!(fault.cause, Cause::Permission);
}
