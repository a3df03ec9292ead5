//! Atomics and reservations.

use crate::machine::{
    DEVICE, Doorbell, HANDLER, HOLE, Machine, Mapping, PAGE, RAM, ROM, enter_user, held, machine,
    trapped, va,
};
use emmu_core::{Access, Bus, BusError, Cause, Event, PhysAddr, Width};
use emmu_cpu::{Exception, Stop};

/// Pages 0 and 1 are the same frame.
fn aliased_pages() -> Machine {
    machine(&[(0, Mapping::all(RAM)), (1, Mapping::all(RAM)), (2, Mapping::all(RAM + PAGE))])
}

#[test]
fn an_amo_returns_the_old_value_and_stores_the_new() {
    let mut cpu = aliased_pages();
    cpu.store(va(8), Width::B8, u64::MAX).unwrap();
    // The amo is made twice, so that the second takes the short path.
    assert_eq!(cpu.amo(va(8), Width::B4, |old| old + 2), Ok(0xffff_ffff));
    assert_eq!(cpu.amo(va(8), Width::B4, |old| old + 2), Ok(1));
    assert_eq!(cpu.load(va(8), Width::B8), Ok(0xffff_ffff_0000_0003));
}

#[test]
fn an_amo_needs_both_permissions() {
    let read = Mapping { write: false, ..Mapping::all(RAM) };
    let write = Mapping { read: false, ..Mapping::all(RAM) };
    let mut cpu = machine(&[(0, read), (1, write), (2, Mapping::all(RAM))]);
    assert_eq!(trapped(cpu.amo(va(0), Width::B8, |_| 1)).cause, Cause::Permission);
    assert_eq!(trapped(cpu.amo(va(PAGE), Width::B8, |_| 1)).cause, Cause::Permission);
    assert_eq!(cpu.amo(va(2 * PAGE), Width::B8, |_| 1), Ok(0));
}

#[test]
fn an_amo_to_rom_or_a_hole_changes_nothing() {
    let mut cpu = machine(&[(0, Mapping::all(ROM)), (1, Mapping::all(HOLE))]);
    let read_only = BusError::ReadOnly { addr: PhysAddr::new(ROM + 8) };
    assert_eq!(trapped(cpu.amo(va(8), Width::B8, |_| 1)).cause, Cause::Bus(read_only));
    assert_eq!(held(&cpu, ROM + 8, Width::B8), 0);
    let unmapped = BusError::Unmapped { addr: PhysAddr::new(HOLE) };
    assert_eq!(trapped(cpu.amo(va(PAGE), Width::B8, |_| 1)).cause, Cause::Bus(unmapped));
}

#[test]
fn an_amo_reads_and_writes_a_device_once() {
    let mut cpu = machine(&[(0, Mapping::all(DEVICE))]);
    assert_eq!(cpu.amo(va(4), Width::B4, |old| old + 6), Ok(1));
    let doorbell: &Doorbell = cpu.bus().device(PhysAddr::new(DEVICE)).unwrap();
    assert_eq!(doorbell.reads, [Width::B4]);
    assert_eq!(doorbell.writes, [(4, Width::B4, 7)]);
}

#[test]
fn atomics_must_be_naturally_aligned() {
    let mut cpu = aliased_pages();
    let amo = cpu.amo(va(4), Width::B8, |old| old);
    assert_eq!(amo, Err(Stop::Trap(Exception::Misaligned(Access::amo(va(4), 8)))));
    let reserved = cpu.load_reserved(va(2), Width::B4);
    assert_eq!(reserved, Err(Stop::Trap(Exception::Misaligned(Access::load(va(2), 4)))));
    let stored = cpu.store_conditional(va(1), Width::B2, 0);
    assert_eq!(stored, Err(Stop::Trap(Exception::Misaligned(Access::store(va(1), 2)))));
    assert_eq!(cpu.probe(), &[Event::TrapEnter; 3], "there was no access");
}

#[test]
fn compare_exchange_writes_only_over_what_it_expected() {
    let mut cpu = aliased_pages();
    cpu.store(va(0), Width::B4, 5).unwrap();
    assert_eq!(cpu.compare_exchange(va(0), Width::B4, 4, 9), Ok(5));
    assert_eq!(cpu.load(va(0), Width::B4), Ok(5));
    assert_eq!(cpu.compare_exchange(va(0), Width::B4, 5, 9), Ok(5));
    assert_eq!(cpu.load(va(0), Width::B4), Ok(9));
}

#[test]
fn a_store_conditional_succeeds_once_after_a_load_reserved() {
    let mut cpu = aliased_pages();
    cpu.store(va(16), Width::B8, 3).unwrap();
    assert_eq!(cpu.store_conditional(va(16), Width::B8, 4), Ok(false));
    assert_eq!(cpu.load_reserved(va(16), Width::B8), Ok(3));
    assert_eq!(cpu.store_conditional(va(16), Width::B8, 4), Ok(true));
    assert_eq!(cpu.store_conditional(va(16), Width::B8, 5), Ok(false));
    assert_eq!(cpu.load(va(16), Width::B8), Ok(4));
}

#[test]
fn a_reservation_is_physical() {
    let mut cpu = aliased_pages();
    cpu.load_reserved(va(16), Width::B4).unwrap();
    assert_eq!(cpu.store_conditional(va(PAGE + 16), Width::B4, 7), Ok(true));
    assert_eq!(cpu.load(va(16), Width::B4), Ok(7));
}

#[test]
fn a_reservation_holds_for_its_address_and_width_only() {
    for (addr, width) in [(20, Width::B4), (16, Width::B2), (2 * PAGE + 16, Width::B4)] {
        let mut cpu = aliased_pages();
        cpu.load_reserved(va(16), Width::B4).unwrap();
        assert_eq!(cpu.store_conditional(va(addr), width, 7), Ok(false));
        assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(false), "it is used up");
        assert_eq!(held(&cpu, RAM + 16, Width::B8), 0);
    }
}

#[test]
fn a_store_to_any_reserved_byte_by_any_name_breaks_the_reservation() {
    type Breaker = fn(&mut Machine) -> Result<(), Stop>;
    let breakers: [Breaker; 4] = [
        |cpu| cpu.store(va(PAGE + 19), Width::B1, 0),
        |cpu| cpu.store(va(13), Width::B4, 0),
        |cpu| cpu.store_bytes(va(0), &[0; 64]),
        |cpu| cpu.amo(va(16), Width::B4, |old| old).map(drop),
    ];
    for breaker in breakers {
        let mut cpu = aliased_pages();
        // The page is in the hot table before, so that the store could take the short path.
        breaker(&mut cpu).unwrap();
        cpu.load_reserved(va(16), Width::B4).unwrap();
        breaker(&mut cpu).unwrap();
        assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(false));
    }
}

#[test]
fn a_store_beside_the_reserved_bytes_leaves_the_reservation() {
    let mut cpu = aliased_pages();
    cpu.load_reserved(va(16), Width::B4).unwrap();
    cpu.store(va(12), Width::B4, 1).unwrap();
    cpu.store(va(20), Width::B4, 1).unwrap();
    cpu.store(va(2 * PAGE + 16), Width::B4, 1).unwrap();
    cpu.load(va(16), Width::B4).unwrap();
    assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(true));
}

#[test]
fn a_write_behind_the_cpus_back_breaks_the_reservation() {
    let mut cpu = aliased_pages();
    cpu.load_reserved(va(16), Width::B4).unwrap();
    cpu.bus_mut().write(PhysAddr::new(RAM + 16), Width::B4, 1).unwrap();
    assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(false));
}

#[test]
fn a_trap_and_the_return_from_it_break_the_reservation() {
    let mut cpu = aliased_pages();
    enter_user(&mut cpu);
    cpu.load_reserved(va(16), Width::B4).unwrap();
    assert!(matches!(cpu.system_call(), Stop::Trap(Exception::SystemCall(_))));
    assert_eq!(cpu.pc(), HANDLER);
    assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(false));
    cpu.load_reserved(va(16), Width::B4).unwrap();
    cpu.return_from_trap().unwrap();
    assert_eq!(cpu.store_conditional(va(16), Width::B4, 7), Ok(false));
}

#[test]
fn a_store_conditional_faults_even_without_a_reservation() {
    let mut cpu = machine(&[(0, Mapping { write: false, ..Mapping::all(RAM) })]);
    assert_eq!(cpu.load_reserved(va(0), Width::B4), Ok(0));
    assert_eq!(trapped(cpu.store_conditional(va(0), Width::B4, 7)).cause, Cause::Permission);
}
