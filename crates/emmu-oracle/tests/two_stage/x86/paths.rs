//! Which entries are read, and what the page is.

use super::machine::*;

#[test]
fn references_are_as_many_as_both_stages_multiply_to() {
    assert_eq!(references((4, 0), (4, 0)), 24);
    assert_eq!(references((5, 0), (5, 0)), 35);
    assert_eq!(references((5, 0), (4, 0)), 29);
}

#[test]
fn large_pages_save_references_at_either_stage() {
    assert_eq!(references((4, 0), (4, 1)), 19);
    assert_eq!(references((4, 0), (4, 2)), 14);
    assert_eq!(references((4, 1), (4, 1)), 15);
    assert_eq!(references((4, 2), (4, 2)), 8);
}

#[test]
fn the_page_is_the_smaller_one_of_both_stages() {
    let bits = |guest, ept| {
        let outcome = Machine::new((4, guest), (4, ept)).ask(load(0x123));
        outcome.map(|outcome| outcome.page_bits)
    };
    assert_eq!((bits(0, 0), bits(0, 2), bits(2, 0)), (Ok(12), Ok(12), Ok(12)));
    assert_eq!((bits(1, 1), bits(1, 2), bits(2, 1)), (Ok(21), Ok(21), Ok(21)));
    assert_eq!(bits(2, 2), Ok(30));
}

#[test]
fn each_guest_entry_is_read_after_the_ept_entries_that_lead_to_it() {
    let reads = Machine::four().nested(load(VA)).reads;
    let places: Vec<_> = reads.iter().map(|read| (read.stage, read.addr.raw())).collect();
    let one = |gpa: u64| {
        let last = ept_table(3) + 8 * (gpa >> 12);
        [ept_table(0), ept_table(1), ept_table(2), last].map(|addr| (Stage::Second, addr))
    };
    let mut expected = Vec::new();
    for number in 0..4 {
        expected.extend(one(guest_table(number)));
        expected.push((Stage::First, host(guest_table(number))));
    }
    expected.extend(one(DATA));
    assert_eq!(places, expected);
}

#[test]
fn without_ept_guest_physical_addresses_are_physical() {
    let machine = Machine::four().with(|vm| (vm.enable_ept, vm.eptp) = (false, u64::MAX));
    let machine = machine.with(|vm| vm.guest.cr0 = 1);
    assert_eq!(machine.pa(load(0x5123)), Ok(0x5123));
}

#[test]
fn without_paging_linear_addresses_are_guest_physical() {
    let machine = Machine::four().with(|vm| vm.guest.cr0 = 1);
    assert_eq!(machine.pa(load(0x5123)), Ok(host(0x5123)));
    let machine = machine.ept(0x5000, |_| 0);
    assert_eq!(machine.pa(load(0x5123)), Err(violation(PAGE | R, 0x5123, 0x5123)));
}

#[test]
fn a_guest_with_32_bit_paging_has_entries_of_four_bytes() {
    let mut machine = Machine::four().with(|vm| (vm.guest.cr4, vm.guest.efer) = (0, 0));
    machine.memory.write32(PhysAddr::new(host(0x1004)), 0x2023);
    machine.memory.write32(PhysAddr::new(host(0x2004)), 0xf023);
    let load = machine.nested(load(0x40_1123));
    assert_eq!(load.answer.map(|outcome| outcome.pa.raw()), Ok(host(0xf123)));
    assert_eq!(load.reads.len(), 14);
    // The update of the leaf asks EPT once more.
    let store = machine.nested(store(0x40_1123));
    assert_eq!(store.reads.len(), 18);
    let leaf = Write { addr: PhysAddr::new(host(0x2004)), size: 4, value: 0xf063 };
    assert_eq!(store.changes, [leaf]);
}
