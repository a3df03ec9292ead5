//! Invalid entries that are remembered, on machines that do so.

use emmu_core::{
    Access, Asid, Bus, Cause, Event, Fault, Invalidate, PhysAddr, Translation, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, ConfigError, Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, X86,
    format::{
        Format,
        riscv::{HGATP, RiscVH, SATP},
    },
};

const LEAF: u64 = 0xcf;
/// In the first gigabyte, of which all but the first 2 MiB are absent as a whole.
const PAGE: u64 = 0x1000;
const NEXT: u64 = 0x2000;
const BLOCK: u64 = 0x20_0000;

fn remembering(entries: u32) -> PagingConfig {
    let geometry = Geometry::fully_associative(entries, Policy::Lru).unwrap();
    let tlb = vec![TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12] }])];
    PagingConfig { tlb, invalid_entries: Some(geometry), ..PagingConfig::default() }
}

/// Sv39 with a table for the first 2 MiB at 0x3000, in which nothing is mapped.
struct Machine {
    unit: Paging<RiscV>,
    memory: Memory,
}

impl Machine {
    fn new(config: &PagingConfig) -> Self {
        let unit = Paging::new(RiscV::rv64(), config).unwrap();
        let mut machine = Self { unit, memory: Memory::ram(1 << 30) };
        machine.set(0x1000, 0x2000 >> 2 | 1);
        machine.set(0x2000, 0x3000 >> 2 | 1);
        machine.switch(1);
        machine
    }

    fn set(&mut self, addr: u64, entry: u64) {
        self.memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
    }

    fn switch(&mut self, asid: u64) {
        self.unit
            .write_register(SATP, 8 << 60 | asid << 44 | 1, &mut self.memory, &mut ())
            .unwrap();
    }

    fn translate(&mut self, access: Access) -> Result<Translation, Fault> {
        self.unit.translate(access, &mut self.memory, &mut ())
    }

    fn is_absent(&mut self, addr: u64) -> bool {
        self.translate(load(addr)).is_err_and(|fault| fault.cause == Cause::Absent)
    }

    /// Faults on both pages of the table, and then maps them.
    fn map_after_faults(&mut self) {
        assert!([PAGE, NEXT].into_iter().all(|addr| self.is_absent(addr)));
        self.set(0x3008, 1 << 10 | LEAF);
        self.set(0x3010, 2 << 10 | LEAF);
    }

    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
    }
}

fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8)
}

fn page(addr: u64) -> Invalidate {
    Invalidate::Page(VirtAddr::new(addr))
}

#[test]
fn an_entry_made_valid_without_a_fence_faults_still_only_where_that_is_remembered() {
    for (config, faults) in [(remembering(4), true), (PagingConfig::default(), false)] {
        let mut machine = Machine::new(&config);
        machine.map_after_faults();
        assert_eq!(machine.is_absent(PAGE), faults);
    }
}

#[test]
fn a_fence_for_the_page_mends_it_and_no_other() {
    let mut machine = Machine::new(&remembering(4));
    machine.map_after_faults();
    machine.invalidate(page(PAGE));
    assert!(!machine.is_absent(PAGE) && machine.is_absent(NEXT));
}

#[test]
fn every_wider_fence_mends_it() {
    let (addr, asid) = (VirtAddr::new(PAGE), Asid(1));
    let in_asid = Invalidate::PageInAsid { addr, asid, global: false };
    let range = Invalidate::Range { addr, len: 1, asid: None };
    for scope in [in_asid, Invalidate::Asid(asid), range, Invalidate::NonGlobal, Invalidate::All] {
        let mut machine = Machine::new(&remembering(4));
        machine.map_after_faults();
        machine.invalidate(scope);
        assert!(!machine.is_absent(PAGE), "{scope:?}");
    }
}

#[test]
fn a_fence_for_another_address_space_does_not() {
    let mut machine = Machine::new(&remembering(4));
    machine.map_after_faults();
    machine.invalidate(Invalidate::Asid(Asid(2)));
    assert!(machine.is_absent(PAGE));
    machine.switch(2);
    assert!(!machine.is_absent(PAGE));
}

#[test]
fn what_is_evicted_is_forgotten() {
    let mut machine = Machine::new(&remembering(1));
    machine.map_after_faults();
    assert!(!machine.is_absent(PAGE) && machine.is_absent(NEXT));
}

#[test]
fn an_entry_for_a_large_block_is_remembered_for_all_of_it() {
    let mut machine = Machine::new(&remembering(4));
    assert!(machine.is_absent(BLOCK));
    machine.set(0x2008, 1 << 19 | LEAF);
    assert!(machine.is_absent(BLOCK + 0x5000));
    machine.invalidate(page(BLOCK + 0x1f_f000));
    assert!(!machine.is_absent(BLOCK + 0x5000));
}

#[test]
fn the_fault_is_that_of_the_walk_and_no_walk_is_made() {
    let mut machine = Machine::new(&remembering(4));
    let first = machine.translate(load(PAGE)).unwrap_err();
    let mut events = Vec::new();
    let again = machine.unit.translate(load(PAGE), &mut machine.memory, &mut events).unwrap_err();
    assert_eq!(first, again);
    assert!(matches!(events[..], [Event::TlbMiss { .. }]), "{events:?}");
}

#[test]
fn a_malformed_entry_is_remembered_and_a_denied_one_is_not() {
    let mut machine = Machine::new(&remembering(4));
    // Writable and not readable is reserved.
    machine.set(0x3008, 1 << 10 | 0x5);
    machine.set(0x3010, 2 << 10 | 0x43);
    assert!(machine.translate(load(PAGE)).is_err());
    assert!(machine.translate(Access::store(VirtAddr::new(NEXT), 8)).is_err());
    machine.set(0x3008, 1 << 10 | LEAF);
    machine.set(0x3010, 2 << 10 | LEAF);
    assert!(machine.translate(load(PAGE)).is_err());
    assert!(machine.translate(Access::store(VirtAddr::new(NEXT), 8)).is_ok());
}

#[test]
fn the_second_stage_remembers_its_own() {
    let second = PagingConfig { tlb: vec![], ..remembering(4) };
    let mut unit = RiscVH::rv64().hart(&PagingConfig::default(), &second).unwrap();
    let mut memory = Memory::ram(1 << 30);
    unit.write_register(HGATP, 8 << 60 | 0x10, &mut memory, &mut ()).unwrap();
    let guest = load(PAGE).with_flags(emmu_core::AccessFlags::GUEST);
    assert!(unit.translate(guest, &mut memory, &mut ()).is_err());
    // A gigabyte page, for user mode.
    memory.write(PhysAddr::new(0x1_0000), Width::B8, 0xdf).unwrap();
    assert!(unit.translate(guest, &mut memory, &mut ()).is_err());
    let fence = Invalidate::SecondStage { tables: None, addr: None, combined: true };
    TranslationUnit::<Memory, ()>::invalidate(&mut unit, fence);
    assert!(unit.translate(guest, &mut memory, &mut ()).is_ok());
}

fn refused<F: Format>(format: F) -> bool {
    Paging::new(format, &remembering(4)).is_err_and(|error| error == ConfigError::InvalidEntries)
}

#[test]
fn x86_and_arm_remember_no_invalid_entries() {
    assert!(refused(X86::new(52)) && refused(AArch64::new()));
    assert_eq!(
        ConfigError::InvalidEntries.to_string(),
        "a table of invalid entries: this page-table format does not let them be remembered"
    );
}
