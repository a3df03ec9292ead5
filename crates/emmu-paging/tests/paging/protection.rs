//! Physical memory protection of the data: before flags are set, with the privilege that counts, and never past
//! by a ticket.

use emmu_core::{
    Access, Bus, Cause, Fault, PhysAddr, Privilege, RegisterId, Translation, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable,
    format::riscv::{EnvConfig, MSTATUS, PMPADDR0, PMPCFG0, PmpConfig, Pte, SATP, Status},
};

/// A gigapage from `GIGAPAGE` on, which maps itself, and its entry.
const GIGAPAGE: u64 = 0x4000_0000;
const ENTRY: PhysAddr = PhysAddr::new(0x1008);

/// A hart under these PMP entries, with Sv39 and hardware update of A and D, over the table at 0x1000.
fn hart(entries: &[(PmpConfig, u64)]) -> (Paging<RiscV>, Memory) {
    let format = RiscV::rv64().with_pmp().with_menvcfg(EnvConfig::ADUE).with_satp(8 << 60 | 1);
    let geometry = Geometry::new(1, 2, Policy::Lru).unwrap();
    let tlb = TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12] }]);
    let config = PagingConfig { tlb: vec![tlb], ..PagingConfig::default() };
    let mut unit = Paging::new(format, &config).unwrap();
    let mut memory = Memory::ram(1 << 32);
    let mut configs = 0;
    for (number, (config, addr)) in (0..).zip(entries) {
        configs |= u64::from(config.bits()) << (8 * number);
        unit.write_register(RegisterId(PMPADDR0.0 + number), *addr, &mut memory, &mut ()).unwrap();
    }
    unit.write_register(PMPCFG0, configs, &mut memory, &mut ()).unwrap();
    let leaf = Pte::to(PhysAddr::new(GIGAPAGE), Pte::V | Pte::R | Pte::W);
    memory.write(ENTRY, Width::B8, leaf).unwrap();
    (unit, memory)
}

/// The first 2 KiB of the gigapage, and everything.
const HALF_A_PAGE: u64 = GIGAPAGE >> 2 | 0xff;
const ALL: (PmpConfig, u64) = (PmpConfig::all(), (1 << 54) - 1);

fn translate(
    (unit, memory): &mut (Paging<RiscV>, Memory),
    access: Access,
) -> Result<Translation, Fault> {
    unit.translate(access, memory, &mut ())
}

#[test]
fn a_refused_access_sets_no_flag_and_is_no_fault_of_an_entry() {
    let mut hart = hart(&[(PmpConfig::NAPOT | PmpConfig::R, HALF_A_PAGE), ALL]);
    let before = hart.1.peek(ENTRY, Width::B8);
    let store = Access::store(VirtAddr::new(GIGAPAGE), 8);
    let peeked = TranslationUnit::<_, ()>::peek(&hart.0, store, &hart.1);
    assert_eq!(peeked, Err(Fault::new(store, Cause::Protection)));
    assert_eq!(translate(&mut hart, store), Err(Fault::new(store, Cause::Protection)));
    assert_eq!(hart.1.peek(ENTRY, Width::B8), before);
}

#[test]
fn an_access_that_was_refused_leaves_nothing_in_the_tlb_that_lacks_flags() {
    let mut hart = hart(&[(PmpConfig::NAPOT | PmpConfig::R, HALF_A_PAGE), ALL]);
    let at = |offset| Access::store(VirtAddr::new(GIGAPAGE + offset), 8);
    assert!(translate(&mut hart, at(0)).is_err());
    assert!(translate(&mut hart, at(0x800)).is_ok());
    let entry = Pte::from_bits_retain(hart.1.peek(ENTRY, Width::B8).unwrap());
    assert!(entry.contains(Pte::A | Pte::D));
}

#[test]
fn without_translation_a_load_is_protected_as_mprv_says() {
    // spec: riscv-mprv
    let mut hart = hart(&[]);
    let load = Access::load(VirtAddr::new(0x2000), 8).with_privilege(Privilege::Machine);
    assert!(translate(&mut hart, load).is_ok());
    let (unit, memory) = &mut hart;
    unit.write_register(MSTATUS, Status::MPRV.bits(), memory, &mut ()).unwrap();
    unit.write_register(SATP, 0, memory, &mut ()).unwrap();
    assert_eq!(translate(&mut hart, load), Err(Fault::new(load, Cause::Protection)));
}

#[test]
fn a_page_that_is_granted_in_part_gets_no_ticket() {
    for (half, ticket) in [(PmpConfig::NAPOT, false), (PmpConfig::empty(), true)] {
        let mut hart = hart(&[(half, HALF_A_PAGE), ALL]);
        let load = Access::load(VirtAddr::new(GIGAPAGE + 0x800), 8);
        assert_eq!(translate(&mut hart, load).unwrap().ticket.is_some(), ticket);
    }
}
