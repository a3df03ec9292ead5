//! Accesses, whole and in pieces.

use crate::machine::{
    DEVICE, Doorbell, HOLE, Mapping, PAGE, RAM, ROM, held, machine, trapped, user_machine, va,
};
use emmu_core::{
    Access, AccessFlags, AccessKind, BusError, Cause, Event, Fault, PhysAddr, Privilege, Width,
};

#[test]
fn every_width_comes_back_as_stored_at_every_alignment() {
    let mut cpu = user_machine();
    for width in Width::ALL {
        for addr in PAGE - 16..PAGE + 16 {
            let value = 0xfedc_ba98_7654_3210 ^ addr;
            assert_eq!(cpu.store(va(addr), width, value), Ok(()));
            assert_eq!(
                cpu.load(va(addr), width),
                Ok(value & width.mask()),
                "{width:?} at {addr:#x}"
            );
            assert_eq!(cpu.fetch(va(addr), width), Ok(value & width.mask()));
        }
    }
}

#[test]
fn an_access_across_pages_goes_to_both_frames() {
    let mut cpu = user_machine();
    cpu.store(va(PAGE - 1), Width::B2, 0xbbaa).unwrap();
    assert_eq!(held(&cpu, RAM + 2 * PAGE - 1, Width::B1), 0xaa);
    assert_eq!(held(&cpu, RAM, Width::B1), 0xbb);
}

#[test]
fn a_fault_in_the_second_piece_leaves_the_first_untouched_and_names_its_byte() {
    let mut cpu = user_machine();
    let fault = trapped(cpu.store(va(2 * PAGE - 3), Width::B8, u64::MAX));
    assert_eq!((fault.access.addr, fault.access.size), (va(2 * PAGE - 3), 8));
    assert_eq!((fault.addr, fault.cause), (va(2 * PAGE), Cause::Absent));
    assert_eq!(fault.entry.map(|entry| entry.addr), Some(PhysAddr::new(16)));
    assert_eq!(held(&cpu, RAM + PAGE - 8, Width::B8), 0);
}

#[test]
fn a_bus_error_in_the_second_piece_leaves_the_first_untouched_and_names_its_byte() {
    let mut cpu = machine(&[(0, Mapping::all(RAM)), (1, Mapping::all(ROM))]);
    let fault = trapped(cpu.store(va(PAGE - 6), Width::B8, u64::MAX));
    let refused = BusError::ReadOnly { addr: PhysAddr::new(ROM) };
    assert_eq!((fault.addr, fault.cause), (va(PAGE), Cause::Bus(refused)));
    assert_eq!(fault.entry, None);
    assert_eq!(held(&cpu, RAM + PAGE - 8, Width::B8), 0);
}

#[test]
fn a_bus_error_names_the_virtual_byte_inside_a_piece() {
    let mut cpu = machine(&[(0, Mapping::all(RAM + 15 * PAGE)), (1, Mapping::all(HOLE))]);
    let fault = trapped(cpu.load_bytes(va(PAGE - 8), &mut [0; 24]));
    assert_eq!(fault.access, Access::load(va(PAGE - 8), 24));
    assert_eq!(fault.addr, va(PAGE));
    assert_eq!(fault.cause, Cause::Bus(BusError::Unmapped { addr: PhysAddr::new(HOLE) }));
}

#[test]
fn the_lower_of_two_faulting_pages_is_the_one_told() {
    let mut cpu = machine(&[]);
    assert_eq!(trapped(cpu.load(va(3 * PAGE - 1), Width::B2)).addr, va(3 * PAGE - 1));
}

#[test]
fn sixteen_bytes_across_pages_are_one_access() {
    let mut cpu = user_machine();
    let value = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
    cpu.store_u128(va(PAGE - 5), value).unwrap();
    assert_eq!(cpu.load_u128(va(PAGE - 5)), Ok(value));
    let sizes: Vec<_> = started(cpu.probe()).iter().map(|access| access.size).collect();
    assert_eq!(sizes, [16, 16]);
}

#[test]
fn a_page_of_bytes_across_pages_is_one_access() {
    let mut cpu = user_machine();
    let written: Vec<u8> = (0..PAGE).map(|at| (at % 251) as u8).collect();
    let mut read = vec![0; written.len()];
    cpu.store_bytes(va(123), &written).unwrap();
    cpu.load_bytes(va(123), &mut read).unwrap();
    assert_eq!(read, written);
    cpu.fetch_bytes(va(123), &mut read).unwrap();
    assert_eq!(read, written);
    assert_eq!(started(cpu.probe()).len(), 3);
}

#[test]
fn no_bytes_are_no_access() {
    let mut cpu = machine(&[]);
    cpu.load_bytes(va(0), &mut []).unwrap();
    cpu.store_bytes(va(u64::MAX), &[]).unwrap();
    assert_eq!(cpu.peek(va(0), &mut []), Ok(()));
    assert!(cpu.probe().is_empty());
}

#[test]
#[cfg(target_pointer_width = "64")]
fn more_bytes_than_an_access_can_have_are_out_of_bounds() {
    let mut cpu = user_machine();
    // The host allocates no memory for zeros that nobody touches.
    let mut bytes = vec![0; 1 << 32];
    assert_eq!(trapped(cpu.store_bytes(va(0), &bytes)).cause, Cause::Bounds);
    assert_eq!(trapped(cpu.load_bytes(va(0), &mut bytes)).cause, Cause::Bounds);
    assert_eq!(cpu.peek(va(0), &mut bytes).unwrap_err().cause, Cause::Bounds);
}

#[test]
fn addresses_do_not_wrap_at_the_end_of_the_space() {
    let last_page = u64::MAX / PAGE;
    let mut cpu = machine(&[(0, Mapping::all(RAM)), (last_page, Mapping::all(RAM + PAGE))]);
    assert_eq!(cpu.load(va(u64::MAX - 7), Width::B8), Ok(0));
    for result in [
        cpu.load(va(u64::MAX - 6), Width::B8).map(drop),
        cpu.store(va(u64::MAX - 6), Width::B8, 1),
        cpu.load_u128(va(u64::MAX - 6)).map(drop),
    ] {
        let fault = trapped(result);
        assert_eq!((fault.addr, fault.cause), (va(u64::MAX - 6), Cause::NonCanonical));
    }
    let peeked = cpu.peek(va(u64::MAX), &mut [0; 2]).unwrap_err();
    assert_eq!((peeked.addr, peeked.cause), (va(u64::MAX), Cause::NonCanonical));
    assert_eq!(held(&cpu, RAM, Width::B1), 0);
}

#[test]
fn a_device_is_read_once_and_in_the_width_of_the_access() {
    let mut cpu = machine(&[(5, Mapping::all(DEVICE))]);
    for (width, reads) in Width::ALL.into_iter().zip(1..) {
        assert_eq!(cpu.load(va(5 * PAGE), width), Ok(reads));
    }
    let doorbell: &Doorbell = cpu.bus().device(PhysAddr::new(DEVICE)).unwrap();
    assert_eq!(doorbell.reads, Width::ALL);
}

#[test]
fn a_device_is_not_read_by_an_access_that_faults_elsewhere() {
    let mut cpu = machine(&[(5, Mapping::all(DEVICE)), (6, Mapping::all(HOLE))]);
    trapped(cpu.load(va(6 * PAGE - 4), Width::B8));
    trapped(cpu.load(va(7 * PAGE - 4), Width::B8));
    let doorbell: &Doorbell = cpu.bus().device(PhysAddr::new(DEVICE)).unwrap();
    assert_eq!(doorbell, &Doorbell::default());
}

#[test]
fn a_debugger_reads_across_pages_without_a_trace() {
    let mut cpu = user_machine();
    cpu.store(va(PAGE - 4), Width::B8, 0x0102_0304_0506_0708).unwrap();
    let before = (cpu.unit().clone(), cpu.probe().clone());
    let mut bytes = [0; 7];
    assert_eq!(cpu.peek(va(PAGE - 4), &mut bytes), Ok(()));
    assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2]);
    assert_eq!((cpu.unit().clone(), cpu.probe().clone()), before);
}

#[test]
fn a_debugger_is_told_the_byte_that_it_cannot_read() {
    let cpu = user_machine();
    let refused = cpu.peek(va(2 * PAGE - 2), &mut [0; 5]).unwrap_err();
    let access = Access::load(va(2 * PAGE - 2), 5).with_privilege(Privilege::User);
    assert_eq!((refused.access, refused.addr), (access, va(2 * PAGE)));
    assert_eq!(cpu.trap(), None);
}

#[test]
fn an_access_of_ones_own_making_keeps_privilege_and_flags() {
    let secret = Mapping { user: false, ..Mapping::all(RAM) };
    let mut cpu = machine(&[(0, secret)]);
    let access = Access::load(va(8), 0).with_flags(AccessFlags::STACK);
    // The access is made twice, so that the second may take the short path.
    for _ in 0..2 {
        assert_eq!(cpu.read(access, &mut [0; 8]), Ok(()));
    }
    let fault = trapped(cpu.read(access.with_privilege(Privilege::User), &mut [0; 8]));
    assert_eq!(fault.access.privilege, Privilege::User);
    assert_eq!(fault.access.flags, AccessFlags::STACK);
}

#[test]
fn a_read_can_ask_for_the_permission_to_write() {
    let mut cpu = machine(&[(0, Mapping { write: false, ..Mapping::all(RAM) })]);
    let access = Access::new(AccessKind::Amo, va(0), 0);
    assert_eq!(trapped(cpu.read(access, &mut [0; 4])).cause, Cause::Permission);
}

#[test]
fn the_probe_hears_the_access_its_pieces_and_its_fault() {
    let mut cpu = user_machine();
    cpu.probe_mut().clear();
    cpu.load(va(PAGE - 2), Width::B4).unwrap();
    let whole = Access::load(va(PAGE - 2), 4).with_privilege(Privilege::User);
    let pieces = [
        Event::Transfer {
            access: whole.at(va(PAGE - 2), 2),
            addr: PhysAddr::new(RAM + 2 * PAGE - 2),
        },
        Event::Transfer { access: whole.at(va(PAGE), 2), addr: PhysAddr::new(RAM) },
    ];
    assert_eq!(without_tlb(cpu.probe()), [&[Event::Access(whole)][..], &pieces].concat());

    cpu.probe_mut().clear();
    let Fault { access, cause, .. } = trapped(cpu.fetch(va(9 * PAGE), Width::B4));
    let told = [Event::Access(access), Event::Fault { access, cause }, Event::TrapEnter];
    assert_eq!(without_tlb(cpu.probe()), told);
}

fn started(events: &[Event]) -> Vec<Access> {
    let access = |event: &Event| match *event {
        Event::Access(access) => Some(access),
        _ => None,
    };
    events.iter().filter_map(access).collect()
}

fn without_tlb(events: &[Event]) -> Vec<Event> {
    let of_tlb = |event: &Event| matches!(event, Event::TlbHit { .. } | Event::TlbMiss { .. });
    events.iter().filter(|event| !of_tlb(event)).copied().collect()
}
