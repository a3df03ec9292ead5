//! User mode may not perform the operations of the operating system.

use crate::machine::{HANDLER, MAP, Machine, Mapping, Paged, RAM, SERIAL, enter_user, machine, va};
use emmu_core::{
    Access, AccessKind, Bus, Event, Invalidate, PhysAddr, Privilege, Probe, RegisterError,
    RegisterId, TranslationUnit, Width,
};
use emmu_cpu::{Cpu, Exception, Illegal, Operation, Stop, Trap};
use emmu_memory::Memory;

fn privileged(operation: Operation) -> Stop {
    let (needed, held) = (Privilege::Supervisor, Privilege::User);
    Stop::Trap(Exception::IllegalInstruction(Illegal::Privileged { operation, needed, held }))
}

#[test]
fn a_privileged_operation_of_a_program_is_an_illegal_instruction_and_changes_nothing() {
    type Attempt = (Operation, fn(&mut Machine) -> Result<(), Stop>);
    let attempts: [Attempt; 6] = [
        (Operation::WriteRegister(MAP), |cpu| {
            cpu.write_register(MAP, Mapping::all(RAM).register_value(0))
        }),
        (Operation::ReadRegister(MAP), |cpu| cpu.read_register(MAP).map(drop)),
        (Operation::Invalidate, |cpu| cpu.invalidate(Invalidate::All)),
        (Operation::InstallHandler, |cpu| cpu.install_handler(va(0))),
        (Operation::SetTrap, |cpu| cpu.set_trap(Trap::start(va(0), Privilege::User))),
        (Operation::ReturnFromTrap, Cpu::return_from_trap),
    ];
    for (operation, attempt) in attempts {
        let mut cpu = machine(&[]);
        enter_user(&mut cpu);
        let unit = cpu.unit().clone();
        cpu.probe_mut().clear();
        assert_eq!(attempt(&mut cpu), Err(privileged(operation)));
        assert_eq!(cpu.unit(), &unit);
        assert_eq!(cpu.probe(), &[Event::TrapEnter]);
        assert_eq!(cpu.pc(), HANDLER);
        assert_eq!(cpu.trap().map(|trap| trap.privilege), Some(Privilege::User));
    }
}

#[test]
fn the_operating_system_writes_registers_and_invalidates() {
    let mut cpu = machine(&[]);
    let map = cpu.register("map").expect("the unit has it").id;
    assert_eq!(cpu.write_register(map, Mapping::all(RAM).register_value(3)), Ok(()));
    assert_eq!(cpu.invalidate(Invalidate::Page(va(0x3000))), Ok(()));
    let told = [Event::RegisterWrite(MAP), Event::Invalidate(Invalidate::Page(va(0x3000)))];
    assert_eq!(cpu.probe(), &told);
    assert_eq!(cpu.store(va(0x3000), Width::B1, 1), Ok(()));
}

#[test]
fn the_register_says_which_privilege_it_needs() {
    let mut cpu = machine(&[]);
    enter_user(&mut cpu);
    assert_eq!(cpu.read_register(SERIAL), Ok(42));
}

#[test]
fn a_register_that_does_not_exist_is_an_illegal_instruction() {
    let mut cpu = machine(&[]);
    let id = RegisterId(7);
    let refused = Err(Stop::Trap(Exception::IllegalInstruction(Illegal::NoRegister(id))));
    assert_eq!(cpu.write_register(id, 1), refused);
    assert_eq!(cpu.read_register(id), refused.map(|()| 0));
    assert_eq!(cpu.register("seven"), None);
}

#[test]
fn a_reserved_value_traps_and_an_unmodelled_one_does_not() {
    let mut cpu = machine(&[]);
    let stop = cpu.write_register(MAP, 0).unwrap_err();
    assert!(matches!(stop, Stop::NotModelled(RegisterError::NotModelled { .. })));
    assert_eq!((cpu.trap(), stop.exception()), (None, None));
    let stop = cpu.write_register(MAP, u64::MAX).unwrap_err();
    assert!(matches!(stop, Stop::Trap(Exception::RegisterRefused(RegisterError::Reserved { .. }))));
    assert!(cpu.trap().is_some());
}

#[test]
fn a_return_to_a_higher_mode_cannot_be_made_up() {
    let mut cpu = machine(&[]);
    let operation = Operation::SetTrap;
    let (needed, held) = (Privilege::Machine, Privilege::Supervisor);
    let illegal = Illegal::Privileged { operation, needed, held };
    let refused = Err(Stop::Trap(Exception::IllegalInstruction(illegal)));
    assert_eq!(cpu.set_trap(Trap::start(va(0), Privilege::Machine)), refused);
}

#[test]
fn an_unprivileged_access_of_the_operating_system_is_checked_as_the_programs() {
    let mut cpu = machine(&[(0, Mapping { user: false, ..Mapping::all(RAM) })]);
    let access = Access::new(AccessKind::Load, va(0), 0);
    assert_eq!(cpu.read(access, &mut [0; 4]), Ok(()));
    assert!(cpu.read(access.with_privilege(Privilege::User), &mut [0; 4]).is_err());
}

#[test]
fn the_unit_can_be_boxed() {
    fn run<P: Probe>(probe: P) -> Result<u64, Stop> {
        let unit: Box<dyn TranslationUnit<Memory, P>> =
            Box::new(Paged::new([(0, Mapping::all(RAM))]));
        let mut cpu = Cpu::with_probe(unit, crate::machine::memory(), probe);
        cpu.store(va(8), Width::B4, 6)?;
        assert_eq!(cpu.bus().peek(PhysAddr::new(RAM + 8), Width::B4), Ok(6));
        cpu.load(va(8), Width::B4)
    }
    assert_eq!(run(()), Ok(6));
    assert_eq!(run(Vec::new()), Ok(6));
}
