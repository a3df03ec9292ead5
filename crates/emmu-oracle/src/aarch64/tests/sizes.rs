//! Address sizes of physical memory, and translation off.

use super::*;

/// `TCR_EL1.IPS` and the bits of an output address that it stands for.
const SIZES: [(u64, u32); 5] = [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44)];

#[test]
fn a_table_base_beyond_ips_is_an_address_size_fault_at_level_0() {
    for (ips, size) in SIZES {
        for granule in [0, 1, 2] {
            let mut machine = Machine::new(GRANULES[granule].0, 35, 0).ips(ips);
            machine.registers.ttbr0_el1 = 1 << size;
            assert_eq!(machine.fault(0), (FaultKind::AddressSize, 0));
            machine.registers.ttbr0_el1 = 1 << (size - 1);
            assert_eq!(machine.fault(0).0, FaultKind::Translation);
        }
    }
}

#[test]
fn a_table_address_beyond_ips_is_an_address_size_fault_at_the_level_that_holds_it() {
    for (ips, size) in SIZES {
        for (level, reported) in [(0, 0), (1, 1), (2, 2)] {
            let machine = Machine::k4().ips(ips).put(level, 1 << size | TABLE);
            assert_eq!(machine.fault(0), (FaultKind::AddressSize, reported));
            let machine = Machine::k4().ips(ips).put(level, 1 << (size - 1) | TABLE);
            assert_eq!(machine.fault(0), (FaultKind::Translation, reported + 1));
        }
    }
}

#[test]
fn an_output_address_beyond_ips_is_an_address_size_fault_at_the_level_of_the_leaf() {
    for (ips, size) in SIZES {
        for (level, reported, kind) in [(1, 1, BLOCK), (2, 2, BLOCK), (3, 3, PAGE)] {
            let leaf = |bit: u32| 1 << bit | AF | kind;
            let machine = Machine::k4().ips(ips).put(level, leaf(size));
            assert_eq!(machine.fault(0), (FaultKind::AddressSize, reported));
            let machine = Machine::k4().ips(ips).put(level, leaf(size - 1));
            assert_eq!(machine.pa(0x123), 1 << (size - 1) | 0x123);
        }
    }
}

#[test]
fn an_address_size_fault_comes_before_access_flag_and_permission() {
    let machine = Machine::k4().ips(0).put(3, 1 << 32 | READ_ONLY | PAGE);
    let fault = machine.access(at(AccessKind::Store, Privilege::User)).expect_err("too wide");
    assert_eq!((fault.kind, fault.level, fault.esr), (FaultKind::AddressSize, 3, 0x9200_0043));
}

#[test]
fn an_access_flag_fault_comes_before_permission() {
    let machine = Machine::with_page(READ_ONLY);
    let fault = machine.access(at(AccessKind::Store, Privilege::User)).expect_err("AF is 0");
    assert_eq!((fault.kind, fault.level, fault.esr), (FaultKind::AccessFlag, 3, 0x9200_004b));
}

#[test]
fn a_reserved_ips_counts_as_48_bits() {
    for ips in [0b101, 0b110, 0b111] {
        let machine = Machine::with_page(AF | 1 << 47).ips(ips);
        assert_eq!(machine.pa(0), 0x8000_5000_0000);
    }
}

#[test]
fn no_ips_reaches_beyond_the_physical_address_size() {
    let mut machine = Machine::with_page(AF | 1 << 40);
    machine.registers.pa_bits = 40;
    assert_eq!(machine.fault(0), (FaultKind::AddressSize, 3));
    machine.registers.pa_bits = 41;
    assert_eq!(machine.pa(0), 0x0100_5000_0000);
}

#[test]
fn with_translation_off_the_address_is_the_physical_address() {
    let off = Machine { registers: Registers::default(), memory: SparseMemory::default() };
    for access in [load(0x1234), Access::store(VirtAddr::new(0x1234), 1)] {
        let found = off.access(access).expect("nothing can fault");
        let want = Mapping { pa: PhysAddr::new(0x1234), page_bits: 64, leaf: None, write: None };
        assert_eq!(found, want);
    }
    assert_eq!(off.pa(0xffff_ffff_ffff), 0xffff_ffff_ffff);
}

#[test]
fn with_translation_off_too_wide_an_address_is_an_address_size_fault_at_level_0() {
    let mut off = Machine { registers: Registers::default(), memory: SparseMemory::default() };
    for va in [1 << 48, 1 << 55, 1 << 56, u64::MAX] {
        assert_eq!(off.fault(va), (FaultKind::AddressSize, 0));
    }
    off.registers.pa_bits = 36;
    assert_eq!(off.fault(1 << 36), (FaultKind::AddressSize, 0));
    let fault = off.access(Access::fetch(VirtAddr::new(1 << 36), 4)).expect_err("too wide");
    assert_eq!(fault.esr, 0x8600_0000);
}

#[test]
fn with_translation_off_an_ignored_tag_is_not_part_of_the_address() {
    let mut off = Machine { registers: Registers::default(), memory: SparseMemory::default() };
    off.registers.tcr_el1 = 1 << 37 | 1 << 38; // TBI0, TBI1
    assert_eq!(off.pa(0xab00_0000_0000_1234), 0x1234);
    assert_eq!(off.fault(0xab80_0000_0000_1234), (FaultKind::AddressSize, 0));
}
