//! Tests of traps: entry, return, and a missing handler.

use crate::machine::{
    HANDLER, MAP, Mapping, PAGE, Paged, RAM, enter_user, machine, memory, trapped, user_machine, va,
};
use emmu_core::{Access, AccessFlags, Cause, Event, Invalidate, Privilege, Width};
use emmu_cpu::{Cpu, Exception, Illegal, Operation, Stop, Trap};

#[test]
fn a_fault_before_there_is_a_handler_halts_the_cpu() {
    let mut cpu = Cpu::new(Paged::default(), memory());
    let stop = cpu.load(va(0x123), Width::B2).unwrap_err();
    let Stop::DoubleFault(Exception::Fault(fault)) = stop else { panic!("{stop:?}") };
    assert_eq!((fault.addr, fault.cause), (va(0x123), Cause::Absent));
    assert_eq!(
        stop.to_string(),
        "double fault: no handler is installed for the exception \"supervisor load of 2 bytes at \
         0x123: nothing is mapped there (level 0 entry at 0x0 holds 0x0)\"; the CPU is halted"
    );
    assert_eq!((cpu.halted(), cpu.trap()), (stop.exception(), None));
}

#[test]
fn a_halted_cpu_does_nothing_until_it_is_reset() {
    let mut cpu = Cpu::with_probe(Paged::default(), memory(), Vec::new());
    cpu.write_register(MAP, Mapping::all(RAM).register_value(0)).unwrap();
    let exception = cpu.load(va(PAGE), Width::B1).unwrap_err().exception().unwrap();
    cpu.probe_mut().clear();
    let halted = Stop::Halted(exception);
    assert_eq!(cpu.load(va(0), Width::B1), Err(halted));
    assert_eq!(cpu.store_bytes(va(0), &[1, 2, 3]), Err(halted));
    assert_eq!(cpu.load_bytes(va(0), &mut []), Err(halted));
    assert_eq!(cpu.amo(va(0), Width::B1, |_| 1), Err(halted));
    assert_eq!(cpu.amo(va(1), Width::B2, |_| 1), Err(halted));
    assert_eq!(cpu.load_reserved(va(0), Width::B1), Err(halted));
    assert_eq!(cpu.store_conditional(va(0), Width::B1, 1), Err(halted));
    assert_eq!(cpu.write_register(MAP, 8), Err(halted));
    assert_eq!(cpu.read_register(MAP), Err(halted));
    assert_eq!(cpu.invalidate(Invalidate::All), Err(halted));
    assert_eq!(cpu.install_handler(HANDLER), Err(halted));
    assert_eq!(cpu.return_from_trap(), Err(halted));
    assert_eq!(cpu.system_call(), halted);
    assert!(cpu.probe().is_empty());

    cpu.reset();
    assert_eq!(cpu.load(va(0), Width::B4), Ok(0));
}

#[test]
fn a_trap_saves_cause_address_mode_and_pc_and_goes_to_the_handler() {
    let mut cpu = user_machine();
    cpu.set_pc(va(0x44));
    let fault = trapped(cpu.store(va(2 * PAGE - 1), Width::B4, 1));
    let saved =
        Trap { exception: Some(Exception::Fault(fault)), ..Trap::start(va(0x44), Privilege::User) };
    assert_eq!(cpu.trap(), Some(&saved));
    assert_eq!(Exception::Fault(fault).addr(), Some(va(2 * PAGE)));
    assert_eq!((cpu.pc(), cpu.privilege()), (HANDLER, Privilege::Supervisor));
}

#[test]
fn the_access_succeeds_when_it_is_repeated_after_the_repair() {
    let mut cpu = user_machine();
    cpu.probe_mut().clear();
    let access = trapped(cpu.store(va(2 * PAGE - 1), Width::B2, 0xbbaa)).access;
    cpu.write_register(MAP, Mapping::all(RAM + 2 * PAGE).register_value(2)).unwrap();
    cpu.return_from_trap().unwrap();
    assert_eq!((cpu.pc(), cpu.privilege(), cpu.trap()), (va(0x40), Privilege::User, None));
    assert_eq!(cpu.store(va(2 * PAGE - 1), Width::B2, 0xbbaa), Ok(()));
    assert_eq!(cpu.load(va(2 * PAGE), Width::B1), Ok(0xbb));
    let again = cpu.probe().iter().filter(|&&event| event == Event::Restart(access)).count();
    let first = cpu.probe().iter().filter(|&&event| event == Event::Access(access)).count();
    assert_eq!((first, again), (1, 1));
}

#[test]
fn only_the_next_access_and_only_the_same_is_a_restart() {
    for between in [true, false] {
        let mut cpu = user_machine();
        trapped(cpu.load(va(2 * PAGE), Width::B1));
        cpu.write_register(MAP, Mapping::all(RAM).register_value(2)).unwrap();
        cpu.return_from_trap().unwrap();
        if between {
            cpu.load(va(0), Width::B1).unwrap();
        }
        cpu.load(va(2 * PAGE), Width::B1).unwrap();
        cpu.load(va(2 * PAGE), Width::B1).unwrap();
        let restarts = cpu.probe().iter().filter(|event| matches!(event, Event::Restart(_)));
        assert_eq!(restarts.count(), usize::from(!between));
    }
}

#[test]
fn another_trap_in_between_makes_the_access_a_new_one() {
    let mut cpu = machine(&[]);
    let access = trapped(cpu.load(va(0), Width::B1)).access;
    cpu.return_from_trap().unwrap();
    assert_eq!(cpu.system_call(), Stop::Trap(Exception::SystemCall(Privilege::Supervisor)));
    trapped(cpu.load(va(0), Width::B1));
    assert!(!cpu.probe().contains(&Event::Restart(access)));
}

#[test]
fn a_system_call_saves_its_own_pc_and_mode() {
    let mut cpu = user_machine();
    let call = Exception::SystemCall(Privilege::User);
    assert_eq!(cpu.system_call(), Stop::Trap(call));
    let trap = *cpu.trap().expect("a trap is saved");
    assert_eq!(trap, Trap { exception: Some(call), ..Trap::start(va(0x40), Privilege::User) });
    cpu.set_trap(Trap { pc: va(0x44), ..trap }).unwrap();
    cpu.return_from_trap().unwrap();
    assert_eq!(cpu.pc(), va(0x44));
}

#[test]
fn a_handler_that_saves_the_record_may_fault_itself() {
    let mut cpu = user_machine();
    trapped(cpu.load(va(2 * PAGE), Width::B1));
    let outer = *cpu.trap().expect("a trap is saved");
    cpu.set_pc(HANDLER.wrapping_add(4));

    let inner = trapped(cpu.load(va(3 * PAGE), Width::B1));
    let saved = *cpu.trap().expect("the inner trap is saved");
    assert_eq!((saved.privilege, saved.pc), (Privilege::Supervisor, HANDLER.wrapping_add(4)));
    assert_eq!(inner.access, Access::load(va(3 * PAGE), 1));
    cpu.return_from_trap().unwrap();
    assert_eq!((cpu.privilege(), cpu.pc()), (Privilege::Supervisor, HANDLER.wrapping_add(4)));

    cpu.set_trap(outer).unwrap();
    cpu.return_from_trap().unwrap();
    assert_eq!((cpu.privilege(), cpu.pc()), (Privilege::User, va(0x40)));
}

#[test]
fn a_switched_program_restarts_its_own_access() {
    let mut cpu = user_machine();
    let first = trapped(cpu.load(va(2 * PAGE), Width::B1)).access;
    let waiting = *cpu.trap().expect("a trap is saved");
    enter_user(&mut cpu);
    trapped(cpu.load(va(3 * PAGE), Width::B1));
    cpu.set_trap(waiting).unwrap();
    cpu.return_from_trap().unwrap();
    trapped(cpu.load(va(2 * PAGE), Width::B1));
    assert!(cpu.probe().contains(&Event::Restart(first)));
}

#[test]
fn a_return_without_a_trap_is_an_illegal_instruction() {
    let mut cpu = machine(&[]);
    let illegal = Exception::IllegalInstruction(Illegal::NoTrap);
    assert_eq!(cpu.return_from_trap(), Err(Stop::Trap(illegal)));
}

#[test]
fn a_trap_never_leaves_machine_mode() {
    let mut cpu = machine(&[]);
    cpu.set_privilege(Privilege::Machine);
    trapped(cpu.load(va(0), Width::B1));
    assert_eq!(cpu.privilege(), Privilege::Machine);
}

#[test]
fn whoever_decodes_instructions_raises_what_it_finds() {
    let mut cpu = user_machine();
    let undefined = Exception::IllegalInstruction(Illegal::Undefined);
    assert_eq!(cpu.raise(undefined), Stop::Trap(undefined));
    assert_eq!(cpu.trap().and_then(|trap| trap.exception), Some(undefined));
}

#[test]
fn a_trap_leaves_the_virtual_machine_and_the_return_goes_back() {
    let mut cpu = Cpu::with_probe(Paged::default(), memory(), Vec::new());
    cpu.write_register(MAP, Mapping::all(RAM).register_value(0)).unwrap();
    cpu.install_handler(HANDLER).unwrap();
    cpu.set_guest(true);
    cpu.load(va(0), Width::B1).unwrap();
    let is_guest = |event: &Event| match event {
        Event::Access(access) => Some(access.flags.contains(AccessFlags::GUEST)),
        _ => None,
    };
    assert_eq!(cpu.probe().iter().find_map(is_guest), Some(true));

    cpu.load(va(PAGE), Width::B1).unwrap_err();
    assert!(!cpu.is_guest() && cpu.trap().unwrap().guest);
    cpu.probe_mut().clear();
    cpu.load(va(0), Width::B1).unwrap();
    assert_eq!(cpu.probe().iter().find_map(is_guest), Some(false));
    cpu.return_from_trap().unwrap();
    assert!(cpu.is_guest());
}

#[test]
fn a_guest_of_supervisor_privilege_does_nothing_that_is_the_hypervisor_s() {
    let mut cpu = machine(&[(0, Mapping::all(RAM))]);
    cpu.set_guest(true);
    let stop = cpu.write_register(MAP, 0).unwrap_err();
    let illegal = Illegal::InGuest(Operation::WriteRegister(MAP));
    assert_eq!(stop.exception(), Some(Exception::IllegalInstruction(illegal)));
    assert_eq!(
        stop.to_string(),
        "illegal instruction: to write register 0x180 is the hypervisor's, and the CPU is in a virtual machine"
    );
    assert_eq!(cpu.load(va(0), Width::B1), Ok(0), "the register is as it was");
}
