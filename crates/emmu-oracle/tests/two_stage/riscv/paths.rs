//! Which entries are read, and how addresses are cut up.

use super::machine::*;

#[test]
fn references_are_as_many_as_both_stages_multiply_to() {
    let references = |xlen, mode, levels| {
        let nested = Machine::new(xlen, mode, levels).nested(load(0x123));
        assert_eq!(nested.answer.map(|outcome| outcome.pa.raw()), Ok(host(DATA) + 0x123));
        nested.reads.len()
    };
    assert_eq!(references(Xlen::Rv32, 1, 2), 8);
    assert_eq!(references(Xlen::Rv64, 8, 3), 15);
    assert_eq!(references(Xlen::Rv64, 9, 4), 24);
    assert_eq!(references(Xlen::Rv64, 10, 5), 35);
}

#[test]
fn each_guest_entry_is_read_after_the_g_stage_entries_that_lead_to_it() {
    let machine = Machine::sv39();
    let reads = machine.nested(load(0)).reads;
    let places: Vec<_> = reads.iter().map(|read| (read.stage, read.addr.raw())).collect();
    let (g, vs) = (Stage::Second, Stage::First);
    let one = |gpa: u64| [(g, 0x4000), (g, 0x8000), (g, 0x9000 + (gpa >> 12) * 8)];
    let mut expected = Vec::new();
    for gpa in [0x1000, 0x2000, 0x3000] {
        expected.extend(one(gpa));
        expected.push((vs, host(gpa)));
    }
    expected.extend(one(DATA));
    assert_eq!(places, expected);
}

#[test]
fn with_v_0_only_the_usual_registers_count() {
    let machine = Machine::sv39();
    let access = load(0x123).with_flags(AccessFlags::empty());
    assert_eq!(machine.pa(access), Ok(0x123));
    assert!(machine.nested(access).reads.is_empty());
}

#[test]
fn a_fault_with_v_0_has_no_guest_virtual_address() {
    let machine = Machine::sv39().with(|hart| hart.hs.satp = 8 << 60 | 0x30);
    let access = load(0x123).with_flags(AccessFlags::empty());
    let exception = Exception::LoadPageFault;
    let fault = Fault { exception, tval: 0x123, gva: false, tval2: 0, tinst: 0 };
    assert_eq!(machine.ask(access), Err(fault));
}

#[test]
fn either_stage_can_be_bare() {
    let vs_bare = Machine::sv39().with(|hart| hart.vsatp = 0);
    assert_eq!(vs_bare.pa(load(0x5123)), Ok(host(0x5123)));
    assert_eq!(vs_bare.nested(load(0x5123)).reads.len(), 3);
    let both_bare = vs_bare.with(|hart| hart.hgatp = 0);
    assert_eq!(both_bare.pa(load(0x5123)), Ok(0x5123));
    // G-stage Bare: a gigapage in a root that is in host memory at 0x10_1000.
    let mut g_bare = Machine::sv39().with(|hart| (hart.hgatp, hart.vsatp) = (0, 8 << 60 | 0x101));
    g_bare.put(host(0x1000), pte(0x4000_0000, RWX | A | D));
    assert_eq!(g_bare.pa(load(0x123)), Ok(0x4000_0123));
    assert_eq!(g_bare.nested(load(0x123)).reads.len(), 1);
}

#[test]
fn beyond_physical_addresses_both_bare_is_an_access_fault() {
    let machine = Machine::sv39().with(|hart| (hart.vsatp, hart.hgatp) = (0, 0));
    assert_eq!(machine.pa(store((1 << 56) - 4)), Ok((1 << 56) - 4));
    assert_eq!(machine.pa(store(1 << 56)), Err(Exception::StoreAccessFault));
}

#[test]
fn guest_physical_addresses_have_two_bits_more_than_virtual_ones() {
    for (mode, bits) in [(8, 41), (9, 50), (10, 59)] {
        let hgatp = mode << 60 | 4;
        let mut machine = Machine::sv39().with(|hart| (hart.vsatp, hart.hgatp) = (0, hgatp));
        // The last entry of a root of 16 KiB, and a leaf of the largest size.
        machine.put(0x4000 + 0x3ff8, pte(0, OPEN));
        let last = (1_u64 << bits) - 4;
        assert_eq!(machine.pa(load(last)), Ok(last & ((1 << (bits - 11)) - 1)), "{bits} bits");
        let beyond = guest_page_fault(Exception::LoadGuestPageFault, 1 << bits, 1 << bits);
        assert_eq!(machine.ask(load(1 << bits)), Err(beyond), "{bits} bits");
        assert!(machine.nested(load(1 << bits)).reads.is_empty());
    }
}

#[test]
fn a_guest_page_beyond_g_stage_is_a_guest_page_fault() {
    let machine = Machine::sv39().guest_pte(pte(1 << 41, RWX | A | D));
    let fault = guest_page_fault(Exception::StoreGuestPageFault, 0x8, 1 << 41 | 8);
    assert_eq!(machine.ask(store(8)), Err(fault));
}

#[test]
fn rv32_has_guest_physical_addresses_of_34_bits() {
    let mut machine = Machine::new(Xlen::Rv32, 1, 2).guest_pte(pte(0x3_ffff_f000, RWX | A | D));
    // Entry 0xfff of the root of 16 KiB: a superpage of 4 MiB.
    machine.put(0x4000 + 4 * 0xfff, pte(0x40_0000, OPEN));
    assert_eq!(machine.pa(load(0x123)), Ok(0x40_0000 + 0x3f_f123));
}

#[test]
fn the_root_of_g_stage_is_aligned_to_16_kib() {
    let machine = Machine::sv39().with(|hart| hart.hgatp |= 3);
    assert_eq!(machine.pa(load(0x123)), Ok(host(DATA) + 0x123));
}
