//! Invalidations that forget more than they must, where a machine is described so.

use emmu_core::{
    Access, Asid, Bus, Event, Invalidate, PhysAddr, TranslationUnit, VirtAddr, Vmid, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    ConfigError, Geometry, InvalidationReach, Paging, PagingConfig, Policy, Reach, RiscV, TlbLevel,
    TlbTable, format::riscv::SATP,
};

/// Sv39 in which both address spaces have a page of their own at 0x1000, at 0x2000 and at 0x3000, and a global one
/// at 0x4000; all of them are in the TLB.
struct Machine {
    unit: Paging<RiscV>,
    memory: Memory,
}

const ADDRS: [u64; 4] = [0x1000, 0x2000, 0x3000, 0x4000];

impl Machine {
    fn new(reach: InvalidationReach) -> Self {
        let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
        let tlb = vec![TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12] }])];
        let config = PagingConfig { tlb, reach, ..PagingConfig::default() };
        let unit = Paging::new(RiscV::rv64(), &config).unwrap();
        let mut machine = Self { unit, memory: Memory::ram(1 << 30) };
        machine.set(0x1000, 0x2000 >> 2 | 1);
        machine.set(0x2000, 0x3000 >> 2 | 1);
        (1..4).for_each(|page| machine.set(0x3000 + 8 * page, page << 10 | 0xcf));
        machine.set(0x3020, 4 << 10 | 0xef);
        for asid in [2, 1] {
            machine.switch(asid);
            ADDRS
                .into_iter()
                .for_each(|addr| assert!(machine.is_held(addr) == (asid == 1 && addr == 0x4000)));
        }
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

    /// Loads from the page, and returns true if the TLB held it. The TLB holds it afterwards.
    fn is_held(&mut self, addr: u64) -> bool {
        let mut events = Vec::new();
        let access = Access::load(VirtAddr::new(addr), 8);
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        events.iter().any(|event| matches!(event, Event::TlbHit { .. }))
    }

    /// Which of the pages of address space 1 are held, and which of address space 2, after an invalidation.
    fn left(mut self, scope: Invalidate) -> [Vec<u64>; 2] {
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
        [1, 2].map(|asid| {
            self.switch(asid);
            ADDRS.into_iter().filter(|&addr| self.is_held(addr)).collect()
        })
    }
}

const PAGE: VirtAddr = VirtAddr::new(0x1000);
const PAGE_IN_ONE: Invalidate = Invalidate::PageInAsid { addr: PAGE, asid: Asid(1), global: false };

fn page_in_asid(reach: Reach) -> InvalidationReach {
    InvalidationReach { page_in_asid: reach, ..InvalidationReach::default() }
}

#[test]
fn exact_is_the_page_in_its_address_space() {
    let left = Machine::new(InvalidationReach::default()).left(PAGE_IN_ONE);
    assert_eq!(left, [vec![0x2000, 0x3000, 0x4000], ADDRS.to_vec()]);
}

#[test]
fn a_page_in_one_address_space_can_mean_the_page_in_all() {
    let left = Machine::new(page_in_asid(Reach::Page)).left(PAGE_IN_ONE);
    assert_eq!(left, [[0x2000, 0x3000, 0x4000]; 2]);
}

#[test]
fn a_page_in_one_address_space_can_mean_all_of_it() {
    let left = Machine::new(page_in_asid(Reach::Asid)).left(PAGE_IN_ONE);
    assert_eq!(left, [vec![0x4000], ADDRS.to_vec()]);
}

#[test]
fn an_address_space_can_mean_all_that_is_not_global() {
    let reach = InvalidationReach { asid: Reach::NonGlobal, ..InvalidationReach::default() };
    let left = Machine::new(reach).left(Invalidate::Asid(Asid(1)));
    assert_eq!(left, [[0x4000]; 2]);
}

#[test]
fn every_scope_can_mean_everything() {
    let all = Reach::All;
    let reach = InvalidationReach {
        non_global: all,
        asid: all,
        page: all,
        page_in_asid: all,
        range: all,
        ..InvalidationReach::default()
    };
    let range = Invalidate::Range { addr: PAGE, len: 1, asid: None };
    let scopes = [Invalidate::NonGlobal, Invalidate::Asid(Asid(2)), Invalidate::Page(PAGE), range];
    for scope in scopes.into_iter().chain([PAGE_IN_ONE, Invalidate::All]) {
        let [one, two] = Machine::new(reach).left(scope);
        // The first access to the global page brings it in for both.
        assert_eq!((one, two), (vec![], vec![0x4000]), "{scope:?}");
    }
}

#[test]
fn only_the_scope_that_is_asked_for_is_widened() {
    let reach = InvalidationReach { range: Reach::All, ..InvalidationReach::default() };
    let left = Machine::new(reach).left(Invalidate::Page(PAGE));
    assert_eq!(left, [[0x2000, 0x3000, 0x4000]; 2]);
}

#[test]
fn virtual_machines_are_widened_to_all_their_pages_or_to_all_of_them() {
    let (vmid, tables) = (Vmid(3), Some(7));
    let reaching =
        |reach| InvalidationReach { guest: reach, second_stage: reach, ..Default::default() };
    let guest = |addr, asid| Invalidate::Guest { vmid, asid, addr, keeps_global: addr.is_some() };
    let one_page = guest(Some(PAGE), Some(Asid(1)));
    let stage = |tables, addr, combined| Invalidate::SecondStage { tables, addr, combined };
    let one_frame = stage(tables, Some(PhysAddr::new(0x1000)), false);
    let everything = stage(None, None, true);
    assert_eq!(reaching(Reach::Guest).widened(one_page), guest(None, None));
    assert_eq!(reaching(Reach::Guest).widened(one_frame), stage(tables, None, true));
    assert_eq!(reaching(Reach::All).widened(one_page), everything);
    assert_eq!(reaching(Reach::All).widened(one_frame), everything);
    assert_eq!(reaching(Reach::Exact).widened(one_page), one_page);
}

#[test]
fn what_does_not_hold_all_that_is_asked_for_is_refused() {
    for (reach, scope) in [
        (InvalidationReach { page: Reach::Asid, ..Default::default() }, "page"),
        (InvalidationReach { asid: Reach::Page, ..Default::default() }, "asid"),
        (InvalidationReach { range: Reach::Guest, ..Default::default() }, "range"),
        (InvalidationReach { second_stage: Reach::Asid, ..Default::default() }, "second_stage"),
    ] {
        let config = PagingConfig { reach, ..PagingConfig::default() };
        let refused = Paging::new(RiscV::rv64(), &config).unwrap_err();
        assert!(matches!(refused, ConfigError::Reach { scope: found, .. } if found == scope));
    }
}
