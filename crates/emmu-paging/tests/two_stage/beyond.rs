//! Tests of the checks behind both stages: physical memory protection, and the end of the address space.

use emmu_core::{
    Access, AccessFlags, Attributes, Bus, Cause, PhysAddr, TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    PagingConfig,
    format::riscv::{HGATP, MENVCFG, PMPADDR0, PMPCFG0, RiscVH, RiscVHart},
};

const READ: u64 = 1;
const EXECUTE: u64 = 4;

/// A hart with both stages Bare, and these rights to all of memory.
fn protected(rights: u64) -> (RiscVHart, Memory) {
    let mut memory = Memory::ram(1 << 20);
    let none = PagingConfig::default();
    let mut hart = RiscVH::rv64().with_pmp().hart(&none, &none).unwrap();
    let napot = 0b11 << 3;
    for (id, value) in [(PMPADDR0, u64::MAX >> 10), (PMPCFG0, napot | rights)] {
        hart.write_register(id, value, &mut memory, &mut ()).unwrap();
    }
    (hart, memory)
}

#[test]
fn hlvx_needs_memory_that_may_be_read_and_executed() {
    let flags = AccessFlags::GUEST | AccessFlags::EXECUTABLE;
    let hlvx = Access::load(VirtAddr::new(0x1000), 4).with_flags(flags);
    let refused = |rights| {
        let (mut hart, mut memory) = protected(rights);
        hart.translate(hlvx, &mut memory, &mut ()).err().map(|fault| fault.cause)
    };
    assert_eq!(refused(READ), Some(Cause::Protection));
    assert_eq!(refused(EXECUTE), Some(Cause::Protection));
    assert_eq!(refused(READ | EXECUTE), None);
}

// "Svpbmt": what the second stage says counts where the first says nothing, and so where it is Bare.
#[test]
fn an_untranslated_guest_has_the_second_stage_s_memory_type() {
    let mut memory = Memory::ram(1 << 20);
    let none = PagingConfig::default();
    let mut hart = RiscVH::rv64().hart(&none, &none).unwrap();
    let (root, types) = (0x1_0000, 1 << 62);
    for (id, value) in [(MENVCFG, types), (HGATP, 8 << 60 | root >> 12)] {
        hart.write_register(id, value, &mut memory, &mut ()).unwrap();
    }
    memory.write(PhysAddr::new(root), Width::B8, 1 << 61 | 0xdf).unwrap();
    let load = Access::load(VirtAddr::new(0x1000), 4).with_flags(AccessFlags::GUEST);
    let peeked = TranslationUnit::<_, ()>::peek(&hart, load, &memory).unwrap();
    assert_eq!(peeked.attributes, Attributes(1));
    let found = hart.translate(load, &mut memory, &mut ()).unwrap();
    assert_eq!(found.attributes, Attributes(1));
}

#[test]
fn untranslated_guests_have_the_addresses_of_their_width() {
    let span = |hart: RiscVH| {
        let none = PagingConfig::default();
        let mut hart = hart.hart(&none, &none).unwrap();
        let load = Access::load(VirtAddr::new(0x1000), 4).with_flags(AccessFlags::GUEST);
        hart.translate(load, &mut Memory::ram(1 << 20), &mut ()).unwrap().span
    };
    assert_eq!(span(RiscVH::rv32()), (1 << 32) - 0x1000);
    assert_eq!(span(RiscVH::rv64()), (1 << 56) - 0x1000);
}

#[test]
fn an_exception_says_whether_its_address_is_a_guest_s() {
    let (mut hart, mut memory) = protected(READ);
    let store = Access::store(VirtAddr::new(0x1000), 4);
    let mut gva = |access| {
        let fault = hart.translate(access, &mut memory, &mut ()).unwrap_err();
        hart.format().exception(&fault).gva
    };
    assert!(gva(store.with_flags(AccessFlags::GUEST)));
    assert!(!gva(store));
}
