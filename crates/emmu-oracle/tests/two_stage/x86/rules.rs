//! Tests of the rights of entries, of the flags that are set, and of exits.

use super::machine::*;

#[test]
fn the_exit_qualification_tells_the_access_and_what_all_entries_allow() {
    let machine = |pde: u64, pte: u64| {
        let mut machine = Machine::four().ept(DATA, |entry| entry & !RWX | pte);
        // The page's own region of 2 MiB, reached by a guest page directory entry: entry 1 of EPT's page directory.
        machine.put(ept_table(2) + 8, ept_table(3) | pde);
        machine.guest_pte(0x20_f000 | P | RW | US | A | D)
    };
    let gpa = 0x20_f000 + VA;
    let exit = |pde, pte, access| machine(pde, pte).pa(access);
    assert_eq!(exit(RWX, 0, load(VA)), Err(violation(PAGE | R, gpa, VA)));
    assert_eq!(exit(RWX, R, store(VA)), Err(violation(PAGE | R << 3 | W, gpa, VA)));
    assert_eq!(exit(R | W, R | X, fetch(VA)), Err(violation(PAGE | R << 3 | X, gpa, VA)));
    assert_eq!(exit(R | W, R | X, store(VA)), Err(violation(PAGE | R << 3 | W, gpa, VA)));
    assert_eq!(exit(X, RWX, load(VA)), Err(violation(PAGE | X << 3 | R, gpa, VA)));
    assert_eq!(exit(0, RWX, load(VA)), Err(violation(PAGE | R, gpa, VA)));
}

#[test]
fn a_read_modify_write_violates_as_a_read_and_a_write() {
    let machine = Machine::four().ept(DATA, |entry| entry & !W);
    let access = Access { kind: AccessKind::Amo, ..load(VA) };
    let qualification = PAGE | (R | X) << 3 | R | W;
    assert_eq!(machine.pa(access), Err(violation(qualification, DATA + VA, VA)));
}

#[test]
fn reading_a_guest_entry_is_a_data_read_whatever_the_access() {
    let absent = Machine::four().ept(guest_table(2), |_| 0);
    for access in [load(VA), store(VA), fetch(VA)] {
        assert_eq!(absent.pa(access), Err(violation(LINEAR | R, guest_table(2), VA)));
    }
    let executable = Machine::four().ept(guest_table(2), |entry| entry & !(R | W));
    let qualification = LINEAR | X << 3 | R;
    assert_eq!(executable.pa(fetch(VA)), Err(violation(qualification, guest_table(2), VA)));
}

#[test]
fn the_guest_physical_address_of_a_guest_entry_is_exact() {
    // Entry 5 of the guest's root.
    let va = 5 << 39;
    let machine = Machine::four().ept(guest_table(0), |_| 0);
    assert_eq!(machine.pa(load(va)), Err(violation(LINEAR | R, guest_table(0) + 40, va)));
}

#[test]
fn with_flags_for_ept_reading_a_guest_entry_is_a_write_too() {
    let sealed = Machine::four().ept(guest_table(2), |entry| entry & !W);
    assert_eq!(sealed.pa(load(VA)), Ok(host(DATA + VA)));
    let qualification = LINEAR | (R | X) << 3 | R | W;
    let exit = violation(qualification, guest_table(2), VA);
    assert_eq!(sealed.with_flags().pa(load(VA)), Err(exit));
}

#[test]
fn setting_a_guests_flag_needs_the_right_to_write() {
    let clean = Machine::four().guest_pte(DATA | P | RW | US);
    let sealed = clean.clone().ept(guest_table(3), |entry| entry & !W);
    assert_eq!(clean.pa(load(VA)), Ok(host(DATA + VA)));
    let exit = violation(LINEAR | (R | X) << 3 | R | W, guest_table(3), VA);
    assert_eq!(sealed.pa(load(VA)), Err(exit));
}

#[test]
fn flags_of_guest_entries_are_set_in_the_order_of_the_walk() {
    let mut machine = Machine::four().guest_pte(DATA | P | RW | US);
    machine.put(host(guest_table(2)), guest_table(3) | P | RW | US);
    for number in [2, 3] {
        machine = machine.ept(guest_table(number), |entry| entry & !W);
    }
    let refused = |machine: &Machine| match machine.pa(load(VA)) {
        Err(Fault::EptViolation { gpa, .. }) => gpa,
        other => panic!("{other:x?}"),
    };
    assert_eq!(refused(&machine), guest_table(2));
    assert_eq!(refused(&machine.ept(guest_table(2), |entry| entry)), guest_table(3));
}

#[test]
fn the_update_of_a_guests_flag_comes_before_the_page_that_ept_refuses_too() {
    let clean = Machine::four().guest_pte(DATA | P | RW | US).ept(DATA, |_| 0);
    let sealed = clean.ept(guest_table(3), |entry| entry & !W).nested(load(VA));
    let update = violation(LINEAR | (R | X) << 3 | R | W, guest_table(3), VA);
    let page = violation(PAGE | R, DATA + VA, VA);
    assert_eq!((sealed.answer, sealed.other), (Err(update), Some(page)));
}

#[test]
fn flags_for_ept_are_accessed_on_the_path_and_dirty_where_something_was_written() {
    let machine = Machine::four().with_flags();
    let table = |number| (ept_table(number), ept_table(number + 1) | RWX | EPT_A);
    let page = |gpa, flags| (machine.ept_pte(gpa), host(gpa) | WB | RWX | flags);
    let tables = |data| {
        let mut expected = vec![table(0), table(1), table(2)];
        // The guest's tables count as written, though their flags are set already.
        expected.extend((0..4).map(|number| page(guest_table(number), EPT_A | EPT_D)));
        expected.push(page(DATA, data));
        expected
    };
    assert_eq!(machine.writes(load(VA)), tables(EPT_A));
    assert_eq!(machine.writes(fetch(VA)), tables(EPT_A));
    assert_eq!(machine.writes(store(VA)), tables(EPT_A | EPT_D));
}

#[test]
fn without_flags_for_ept_none_are_set() {
    assert_eq!(Machine::four().writes(store(VA)), []);
}

#[test]
fn the_guests_own_flags_are_set_in_host_memory() {
    let mut machine = Machine::four().guest_pte(DATA | P | RW | US);
    machine.put(host(guest_table(0)), guest_table(1) | P | RW | US);
    let root = (host(guest_table(0)), guest_table(1) | P | RW | US | A);
    let leaf = |flags| (host(guest_table(3)), DATA | P | RW | US | flags);
    assert_eq!(machine.writes(load(VA)), [root, leaf(A)]);
    assert_eq!(machine.writes(store(VA)), [root, leaf(A | D)]);
}

#[test]
fn what_is_not_supported_is_a_misconfiguration() {
    let misconfigured = |change: fn(u64) -> u64| {
        let machine = Machine::four().ept(DATA, change);
        machine.pa(fetch(VA)) == Err(Fault::EptMisconfiguration { gpa: DATA + VA })
    };
    // Write-only, and write and execute.
    assert!(misconfigured(|entry| entry & !RWX | W) && misconfigured(|entry| entry & !RWX | W | X));
    for kind in 0..8 {
        let machine = Machine::four().ept(DATA, |entry| entry & !(7 << 3) | kind << 3);
        assert_eq!(machine.pa(load(VA)).is_err(), [2, 3, 7].contains(&kind), "type {kind}");
    }
    assert!(!misconfigured(|entry| entry | PS));
}

#[test]
fn execute_only_is_a_misconfiguration_where_it_is_not_supported() {
    let machine = Machine::four().ept(DATA, |entry| entry & !RWX | X);
    assert_eq!(machine.pa(fetch(VA)), Ok(host(DATA + VA)));
    let machine = machine.with(|vm| vm.execute_only = false);
    assert_eq!(machine.pa(fetch(VA)), Err(Fault::EptMisconfiguration { gpa: DATA + VA }));
}

#[test]
fn reserved_bits_of_each_kind_of_entry_misconfigure_it() {
    let misconfigured = |machine: &Machine, table: u64, entry: u64| {
        let mut machine = machine.clone().with(|vm| vm.guest.maxphyaddr = 40);
        machine.put(table, entry);
        matches!(machine.pa(load(VA)), Err(Fault::EptMisconfiguration { .. }))
    };
    let reserved = |machine: &Machine, table: u64, entry: u64| -> Vec<u64> {
        let changed = |bit: &u64| misconfigured(machine, table, entry | 1 << bit);
        // Not the address of a table, where anything could be.
        let own = |bit: &u64| entry & WB != 0 || !(12..40).contains(bit);
        (3..64).filter(|bit| entry >> bit & 1 == 0).filter(own).filter(changed).collect()
    };
    let (four, beyond) = (Machine::four(), 40..52);
    let with = |low: Vec<u64>| low.into_iter().chain(beyond.clone()).collect::<Vec<_>>();
    // A PML4E; a PDPTE and a PDE that point to tables, in which bit 7 makes a page whose other bits do not fit.
    assert_eq!(reserved(&four, ept_table(0), ept_table(1) | RWX), with((3..8).collect()));
    assert_eq!(reserved(&four, ept_table(1), ept_table(2) | RWX), with((3..8).collect()));
    assert_eq!(reserved(&four, ept_table(2), ept_table(3) | RWX), with((3..8).collect()));
    // Pages of 4 KiB, 2 MiB and 1 GiB: no address bits below the page. (Type 6 with bit 3 is 7.)
    assert_eq!(reserved(&four, four.ept_pte(DATA), host(DATA) | WB | RWX), with(vec![3]));
    for (level, bits) in [(1, 21), (2, 30)] {
        let large = Machine::new((4, 0), (4, level));
        let low = [3].into_iter().chain(12..bits).collect();
        assert_eq!(reserved(&large, ept_table(3 - level), host(0) | WB | RWX | PS), with(low));
    }
}

#[test]
fn a_misconfiguration_comes_before_rights_that_entries_above_deny() {
    let mut machine = Machine::four().ept(DATA, |entry| entry & !RWX | W);
    machine.put(ept_table(2) + 8, ept_table(3) | X);
    let machine = machine.guest_pte(0x20_f000 | P | RW | US | A | D);
    let exit = Fault::EptMisconfiguration { gpa: 0x20_f000 + VA };
    assert_eq!(machine.pa(store(VA)), Err(exit));
}

#[test]
fn an_absent_entry_may_have_any_other_bit() {
    let machine = Machine::four().ept(DATA, |_| !RWX);
    assert_eq!(machine.pa(load(VA)), Err(violation(PAGE | R, DATA + VA, VA)));
}

#[test]
fn a_page_fault_of_the_guest_comes_before_the_page_that_ept_does_not_map() {
    let machine = Machine::four().guest_pte(DATA | P | US | A).ept(DATA, |_| 0);
    let user = store(VA).with_privilege(Privilege::User);
    let fault = x86::Fault::PageFault { code: 0b111, cr2: VA };
    assert_eq!(machine.pa(user), Err(Fault::Exception(fault)));
}

#[test]
fn a_table_of_ept_comes_before_a_page_fault_that_it_hides() {
    let machine = Machine::four().guest_pte(0).ept(guest_table(3), |_| 0);
    assert_eq!(machine.pa(load(VA)), Err(violation(LINEAR | R, guest_table(3), VA)));
}

#[test]
fn an_address_that_is_not_canonical_does_not_reach_ept() {
    let machine = Machine::four();
    let fault = Fault::Exception(x86::Fault::GeneralProtection);
    assert_eq!(machine.pa(load(1 << 47)), Err(fault));
    assert!(machine.nested(load(1 << 47)).reads.is_empty());
}

#[test]
fn four_levels_reach_48_bits_and_five_all() {
    let far = 1 << 48 | DATA;
    let four = Machine::four().guest_pte(far | P | RW | US | A | D);
    assert_eq!(four.pa(load(VA)), Err(violation(PAGE | R, far + VA, VA)));
    let mut five = Machine::new((4, 0), (5, 0)).guest_pte(far | P | RW | US | A | D);
    five.put(ept_table(0) + 8, ept_table(1) | RWX);
    assert_eq!(five.pa(load(VA)), Ok(host(DATA + VA)));
}

#[test]
fn a_table_of_either_stage_in_a_hole_is_a_bus_error_in_host_memory() {
    for hole in [ept_table(2), host(guest_table(1))] {
        let mut machine = Machine::four();
        machine.memory.punch(PhysAddr::new(hole));
        let fault = Fault::BusError { entry: PhysAddr::new(hole) };
        assert_eq!(machine.pa(load(VA)), Err(fault));
    }
}

/// PAE paging whose PDPTEs are in the guest-physical page 0x1000.
fn pae() -> Machine {
    let mut machine = Machine::four().with(|vm| {
        (vm.guest.cr4, vm.guest.efer, vm.guest.cr3) = (PAE, 0, 0x1020);
    });
    machine.put(host(0x1020), 0x2001);
    machine.put(host(0x1028), 0);
    machine
}

#[test]
fn pdptes_are_loaded_through_ept() {
    let machine = pae();
    assert_eq!(machine.vm.load_pdptes(&machine.memory), Ok(([0x2001, 0, 0, 0], vec![])));
    let absent = machine.ept(0x1000, |_| 0);
    let exit = Fault::EptViolation { qualification: R, gpa: 0x1020, linear: None };
    assert_eq!(absent.vm.load_pdptes(&absent.memory), Err(exit));
}

#[test]
fn loads_of_pdptes_are_reads_with_flags_for_ept_too() {
    let machine = pae().with_flags().ept(0x1000, |entry| entry & !W);
    let (_, writes) = machine.vm.load_pdptes(&machine.memory).expect("it may be read");
    let page = writes.iter().find(|write| write.addr.raw() == machine.ept_pte(0x1000));
    assert_eq!(page.map(|write| write.value & (EPT_A | EPT_D)), Some(EPT_A));
}

#[test]
fn a_walk_of_pae_starts_in_its_registers() {
    let mut machine = pae();
    machine.put(host(0x2000), 0x3000 | P | RW | A);
    machine.put(host(0x3000), DATA | P | RW | A | D);
    let machine = machine.with(|vm| vm.guest.pdptes = [0x2001, 0, 0, 0]);
    let nested = machine.nested(load(VA));
    assert_eq!(
        (nested.answer.map(|outcome| outcome.pa.raw()), nested.reads.len()),
        (Ok(host(DATA + VA)), 14)
    );
}

#[test]
fn vm_entry_checks_the_eptp() {
    let check = |eptp| Registers { eptp, ..Registers::default() }.check_eptp();
    let valid = 0x1000 | 3 << 3 | 6;
    for eptp in [valid, valid & !7, valid | 1 << 6, 0x1000 | 4 << 3 | 6, (1 << 51) | 3 << 3] {
        assert_eq!(check(eptp), Ok(()), "{eptp:#x}");
    }
    for kind in [1, 2, 3, 4, 5, 7] {
        assert_eq!(check(3 << 3 | kind), Err(InvalidEptp::MemoryType(kind)));
    }
    for length in [0, 1, 2, 5, 6, 7] {
        assert_eq!(check(length << 3 | 6), Err(InvalidEptp::WalkLength(length)));
    }
    for bit in [7, 8, 9, 10, 11, 52, 63] {
        assert_eq!(check(valid | 1 << bit), Err(InvalidEptp::Reserved(1 << bit)));
    }
    let machine = Machine::four().with(|vm| vm.eptp |= 1 << 7);
    assert_eq!(machine.pa(load(VA)), Err(Fault::InvalidEptp(InvalidEptp::Reserved(1 << 7))));
}

#[test]
fn an_entry_that_is_of_both_stages_is_told_of_if_one_of_them_changes_it() {
    // The guest's last table is EPT's: its entry 4 maps that table, and virtual 0x4000.
    let shared = Machine::four().ept(guest_table(3), |_| ept_table(3) | RWX);
    assert!(shared.nested(load(0x4000)).entangled);
    assert!(!shared.nested(load(0x5000)).entangled);
}
