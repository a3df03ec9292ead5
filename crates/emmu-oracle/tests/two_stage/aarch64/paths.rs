//! Which descriptors are read.

use super::machine::*;

#[test]
fn references_are_as_many_as_both_stages_multiply_to() {
    // Three levels on three.
    let nested = Machine::new().nested(load(VA));
    assert_eq!(nested.answer.map(|outcome| outcome.pa.raw()), Ok(host(DATA) + VA));
    let places: Vec<_> = nested.reads.iter().map(|read| (read.stage, read.addr.raw())).collect();
    let one = |ipa| [s2_table(1), s2_table(2), s2_page(ipa)].map(|addr| (Stage::Second, addr));
    let mut expected = Vec::new();
    for level in 1..4 {
        expected.extend(one(s1_table(level)));
        expected.push((Stage::First, host(s1_table(level))));
    }
    expected.extend(one(DATA));
    assert_eq!((places.len(), places), (15, expected));
}

#[test]
fn four_levels_on_four_are_24_references() {
    let mut machine = Machine::new().with(|vm| {
        (vm.el1.tcr_el1, vm.el1.ttbr0_el1) = (16 | 25 << 16 | 0b10 << 30 | 0b101 << 32, 0x4000);
        (vm.vtcr_el2, vm.vttbr_el2) = (16 | 0b10 << 6 | 0b101 << 16, 0x20_0000);
    });
    machine.put(0x20_0000, s2_table(1) | TABLE);
    machine.put(host(0x4000), s1_table(1) | TABLE);
    assert_eq!(machine.nested(load(VA)).reads.len(), 24);
    assert_eq!(machine.pa(load(VA)), Ok(host(DATA) + VA));
}

#[test]
fn without_vm_intermediate_addresses_are_physical() {
    let mut machine = Machine::new().with(|vm| vm.hcr_el2 = PTW);
    for level in 1..3 {
        machine.put(s1_table(level), s1_table(level + 1) | TABLE);
    }
    machine.put(s1_table(3), DATA | AF | PAGE);
    assert_eq!((machine.pa(load(VA)), machine.nested(load(VA)).reads.len()), (Ok(DATA + VA), 3));
}

#[test]
fn without_stage_1_virtual_addresses_are_intermediate() {
    let machine = Machine::stage_2();
    assert_eq!(machine.pa(load(0x5124)), Ok(host(0x5124)));
    assert_eq!(machine.nested(load(0x5124)).reads.len(), 3);
}
