//! Levels of TLB that include or exclude what is above them: what enters which level, and in which order.

use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Invalidate, PhysAddr, Side, Ticket, TlbId,
    TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Bank, ConfigError, Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable,
    format::riscv::{MENVCFG, SATP},
};

/// V, R, W, X, A and D; and all but D.
const LEAF: u64 = 0xcf;
const CLEAN: u64 = 0x4f;
const SMALL: &[u8] = &[12];
const BOTH: &[u8] = &[12, 21];

/// A fully associative table for these page sizes.
fn bank(entries: u32, page_bits: &[u8]) -> Bank {
    let geometry = Geometry::fully_associative(entries, Policy::Lru).unwrap();
    vec![TlbTable { geometry, page_bits: page_bits.to_vec() }]
}

fn level(entries: u32, page_bits: &[u8]) -> TlbLevel {
    TlbLevel::unified(bank(entries, page_bits))
}

/// Sv39 with 4 KiB pages from 0 to 2 MiB, and 2 MiB pages above to 1 GiB; all of them are where they seem to be.
struct Machine {
    unit: Paging<RiscV>,
    memory: Memory,
}

impl Machine {
    fn new(tlb: Vec<TlbLevel>) -> Self {
        let config = PagingConfig { tlb, ..PagingConfig::default() };
        let unit = Paging::new(RiscV::rv64(), &config).unwrap();
        let mut machine = Self { unit, memory: Memory::ram(1 << 40) };
        machine.set(0x1000, 0x2000 >> 2 | 1);
        machine.set(0x2000, 0x3000 >> 2 | 1);
        (0..512).for_each(|page| machine.set(0x3000 + 8 * page, page << 10 | LEAF));
        (1..512).for_each(|page| machine.set(0x2000 + 8 * page, page << 19 | LEAF));
        machine.write(SATP, 8 << 60 | 1);
        machine.write(MENVCFG, 1 << 61);
        machine
    }

    fn write(&mut self, id: emmu_core::RegisterId, value: u64) {
        self.unit.write_register(id, value, &mut self.memory, &mut ()).unwrap();
    }

    fn set(&mut self, addr: u64, entry: u64) {
        self.memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
    }

    /// Makes an access, and returns the events of the TLBs, in order.
    fn events_of(&mut self, access: Access) -> String {
        let mut events = Vec::new();
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        let texts: Vec<_> = events.iter().filter_map(|&event| tell(event)).collect();
        texts.join(", ")
    }

    fn load(&mut self, addr: u64) -> String {
        self.events_of(load(addr))
    }

    /// The level that has the page, or 0.
    fn level_of(&mut self, access: Access) -> u8 {
        let mut events = Vec::new();
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        let hit = events.iter().find_map(|event| match event {
            Event::TlbHit { tlb, .. } => Some(tlb.level),
            _ => None,
        });
        hit.unwrap_or(0)
    }

    fn ticket(&mut self, addr: u64) -> Ticket {
        self.unit.translate(load(addr), &mut self.memory, &mut ()).unwrap().ticket.unwrap()
    }

    fn repeats(&mut self, ticket: Ticket, addr: u64) -> bool {
        TranslationUnit::<Memory, ()>::repeat(&mut self.unit, ticket, load(addr), &mut ())
    }

    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
    }

    fn is_absent(&mut self, addr: u64) -> bool {
        let found = self.unit.translate(load(addr), &mut self.memory, &mut ());
        found.is_err_and(|fault| fault.cause == Cause::Absent)
    }
}

fn tell(event: Event) -> Option<String> {
    let name = |tlb: TlbId| match tlb.side {
        Side::Instruction => format!("L{}I", tlb.level),
        _ => format!("L{}", tlb.level),
    };
    match event {
        Event::TlbHit { tlb, .. } => Some(format!("{} hit", name(tlb))),
        Event::TlbMiss { tlb, .. } => Some(format!("{} miss", name(tlb))),
        Event::TlbFill { tlb, page, bits: 12 } => {
            Some(format!("{:#x} to {}", page.raw(), name(tlb)))
        }
        Event::TlbFill { tlb, page, bits } => {
            Some(format!("{:#x} of 2^{bits} to {}", page.raw(), name(tlb)))
        }
        Event::WalkBegin(_) => Some("walk".to_owned()),
        _ => None,
    }
}

fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8)
}

fn fetch(addr: u64) -> Access {
    Access::new(AccessKind::Fetch, VirtAddr::new(addr), 4)
}

mod exclusive {
    use super::*;

    #[test]
    fn a_walk_fills_the_first_level_and_its_victim_the_second() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(2, SMALL).exclusive()]);
        assert_eq!(machine.load(0x1000), "L1 miss, L2 miss, walk, 0x1000 to L1");
        assert_eq!(machine.load(0x2000), "L1 miss, L2 miss, walk, 0x2000 to L1, 0x1000 to L2");
    }

    #[test]
    fn a_hit_in_the_second_level_changes_places_with_the_first_level_s_victim() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(1, SMALL).exclusive()]);
        machine.load(0x1000);
        machine.load(0x2000);
        assert_eq!(machine.load(0x1000), "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2");
        assert_eq!(machine.load(0x2000), "L1 miss, L2 hit, 0x2000 to L1, 0x1000 to L2");
    }

    #[test]
    fn both_levels_together_hold_as_many_pages_as_they_have_entries() {
        let walks = |second: TlbLevel| {
            let mut machine = Machine::new(vec![level(2, SMALL), second]);
            let loads = (0..15).map(|number| machine.load((number % 5) << 12));
            loads.filter(|events| events.contains("walk")).count()
        };
        assert_eq!(walks(level(3, SMALL).exclusive()), 5);
        assert_eq!(walks(level(3, SMALL)), 15);
    }

    #[test]
    fn a_victim_of_the_second_level_goes_on_to_a_third_that_excludes_it() {
        let third = level(1, SMALL).exclusive();
        let mut machine = Machine::new(vec![level(1, SMALL), level(1, SMALL).exclusive(), third]);
        machine.load(0x1000);
        machine.load(0x2000);
        let events = "L1 miss, L2 miss, L3 miss, walk, 0x3000 to L1, 0x2000 to L2, 0x1000 to L3";
        assert_eq!(machine.load(0x3000), events);
        let events = "L1 miss, L2 miss, L3 hit, 0x1000 to L1, 0x3000 to L2, 0x2000 to L3";
        assert_eq!(machine.load(0x1000), events);
    }

    #[test]
    fn a_third_level_that_excludes_a_second_that_does_not_takes_the_second_s_victims() {
        let mut machine =
            Machine::new(vec![level(1, SMALL), level(2, SMALL), level(1, SMALL).exclusive()]);
        let events = "L1 miss, L2 miss, L3 miss, walk, 0x1000 to L2, 0x1000 to L1";
        assert_eq!(machine.load(0x1000), events);
        machine.load(0x2000);
        let events = "L1 miss, L2 miss, L3 miss, walk, 0x3000 to L2, 0x1000 to L3, 0x3000 to L1";
        assert_eq!(machine.load(0x3000), events);
        let events = "L1 miss, L2 miss, L3 hit, 0x1000 to L2, 0x2000 to L3, 0x1000 to L1";
        assert_eq!(machine.load(0x1000), events);
    }

    #[test]
    fn a_page_that_the_first_level_holds_by_parts_is_in_the_second_and_stays_there() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(4, BOTH).exclusive()]);
        let events = "L1 miss, L2 miss, walk, 0x200000 of 2^21 to L2, 0x200000 to L1";
        assert_eq!(machine.load(0x20_0000), events);
        // The first part is lost, since the page that it is of is there.
        assert_eq!(machine.load(0x20_1000), "L1 miss, L2 hit, 0x201000 to L1");
        assert_eq!(machine.load(0x20_0000), "L1 miss, L2 hit, 0x200000 to L1");
        assert_eq!(machine.load(0x1000), "L1 miss, L2 miss, walk, 0x1000 to L1");
        assert_eq!(machine.load(0x2000), "L1 miss, L2 miss, walk, 0x2000 to L1, 0x1000 to L2");
    }

    #[test]
    fn a_victim_of_a_size_that_the_second_level_does_not_hold_is_lost() {
        let mut machine = Machine::new(vec![level(1, BOTH), level(4, SMALL).exclusive()]);
        assert_eq!(machine.load(0x20_0000), "L1 miss, L2 miss, walk, 0x200000 of 2^21 to L1");
        assert_eq!(machine.load(0x1000), "L1 miss, L2 miss, walk, 0x1000 to L1");
        assert_eq!(
            machine.load(0x20_0000),
            "L1 miss, L2 miss, walk, 0x200000 of 2^21 to L1, 0x1000 to L2"
        );
    }

    #[test]
    fn a_size_that_the_first_level_does_not_hold_enters_the_second_and_stays_there() {
        let mut machine = Machine::new(vec![level(1, &[21]), level(4, BOTH).exclusive()]);
        assert_eq!(machine.load(0x1000), "L1 miss, L2 miss, walk, 0x1000 to L2");
        assert_eq!(machine.load(0x1000), "L1 miss, L2 hit");
        assert_eq!(machine.load(0x1000), "L1 miss, L2 hit");
    }

    #[test]
    fn each_side_of_a_split_first_level_has_its_own_claim() {
        let first = TlbLevel::split(bank(1, SMALL), bank(1, SMALL));
        let mut machine = Machine::new(vec![first, level(4, SMALL).exclusive()]);
        machine.load(0x1000);
        assert_eq!(machine.events_of(fetch(0x1000)), "L1I miss, L2 miss, walk, 0x1000 to L1I");
        assert_eq!(machine.load(0x2000), "L1 miss, L2 miss, walk, 0x2000 to L1, 0x1000 to L2");
        // It is there already when the other side lets go of it.
        assert_eq!(machine.events_of(fetch(0x3000)), "L1I miss, L2 miss, walk, 0x3000 to L1I");
        assert_eq!(machine.load(0x1000), "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2");
    }

    #[test]
    fn a_page_that_went_down_is_invalidated_with_the_others() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(4, SMALL).exclusive()]);
        machine.load(0x1000);
        machine.load(0x2000);
        machine.set(0x3008, 0);
        assert!(!machine.is_absent(0x1000));
        machine.load(0x2000);
        machine.invalidate(Invalidate::Page(VirtAddr::new(0x1000)));
        assert!(machine.is_absent(0x1000));
    }

    #[test]
    fn parts_that_went_down_are_invalidated_with_the_page_that_they_are_of() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(4, SMALL).exclusive()]);
        (0..3).for_each(|part| assert!(machine.load(0x20_0000 + (part << 12)).contains("walk")));
        machine.set(0x2008, 0);
        machine.invalidate(Invalidate::Page(VirtAddr::new(0x3f_f000)));
        assert!((0..3).all(|part| machine.is_absent(0x20_0000 + (part << 12))));
    }

    #[test]
    fn a_page_made_dirty_is_dirty_wherever_it_moves() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(4, SMALL).exclusive()]);
        machine.set(0x3008, 1 << 10 | CLEAN);
        machine.load(0x1000);
        machine.load(0x2000);
        let store = Access::store(VirtAddr::new(0x1000), 8);
        // It moves up clean, and is replaced where it stands then.
        let events = "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2, walk";
        assert_eq!(machine.events_of(store), events);
        machine.load(0x2000);
        assert_eq!(machine.events_of(store), "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2");
    }

    #[test]
    fn a_page_made_dirty_on_one_side_is_dirty_below_although_the_other_side_let_go_of_it_before() {
        let first = TlbLevel::split(bank(1, SMALL), bank(1, SMALL));
        let mut machine = Machine::new(vec![first, level(4, SMALL).exclusive()]);
        machine.set(0x3008, 1 << 10 | CLEAN);
        let store = Access::store(VirtAddr::new(0x1000), 8);
        machine.events_of(fetch(0x1000));
        assert!(machine.events_of(store).contains("walk"));
        assert_eq!(
            machine.events_of(fetch(0x2000)),
            "L1I miss, L2 miss, walk, 0x2000 to L1I, 0x1000 to L2"
        );
        // The clean page is in the second level now, and this evicts the dirty one from the first.
        assert_eq!(machine.load(0x2000), "L1 miss, L2 miss, walk, 0x2000 to L1");
        assert_eq!(machine.events_of(store), "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2");
    }

    #[test]
    fn a_clean_page_that_comes_down_leaves_a_dirty_one_as_it_is() {
        let first = TlbLevel::split(bank(1, SMALL), bank(1, SMALL));
        let mut machine = Machine::new(vec![first, level(4, SMALL).exclusive()]);
        machine.set(0x3008, 1 << 10 | CLEAN);
        let store = Access::store(VirtAddr::new(0x1000), 8);
        machine.events_of(fetch(0x1000));
        machine.events_of(store);
        assert_eq!(machine.load(0x2000), "L1 miss, L2 miss, walk, 0x2000 to L1, 0x1000 to L2");
        assert_eq!(machine.events_of(fetch(0x2000)), "L1I miss, L2 miss, walk, 0x2000 to L1I");
        assert_eq!(machine.events_of(store), "L1 miss, L2 hit, 0x1000 to L1, 0x2000 to L2");
    }

    #[test]
    fn a_ticket_ends_when_its_entry_moves_down() {
        let mut machine = Machine::new(vec![level(1, SMALL), level(4, SMALL).exclusive()]);
        let ticket = machine.ticket(0x1000);
        assert!(machine.repeats(ticket, 0x1000));
        machine.load(0x2000);
        assert!(!machine.repeats(ticket, 0x1000));
    }
}

mod inclusive {
    use super::*;

    fn two_levels() -> Machine {
        Machine::new(vec![level(4, SMALL), level(2, SMALL).inclusive()])
    }

    #[test]
    fn what_the_second_level_evicts_leaves_the_first() {
        let mut machine = two_levels();
        let events = "L1 miss, L2 miss, walk, 0x1000 to L2, 0x1000 to L1";
        assert_eq!(machine.load(0x1000), events);
        machine.load(0x2000);
        assert_eq!(machine.load(0x1000), "L1 hit");
        // Hits in the first level make nothing younger in the second.
        machine.load(0x3000);
        assert_eq!([0x2000, 0x3000].map(|addr| machine.load(addr)), ["L1 hit", "L1 hit"]);
        assert!(machine.load(0x1000).contains("walk"));
    }

    #[test]
    fn a_ticket_ends_when_the_second_level_evicts_its_entry() {
        let mut machine = two_levels();
        let ticket = machine.ticket(0x1000);
        machine.load(0x2000);
        assert!(machine.repeats(ticket, 0x1000));
        machine.load(0x3000);
        assert!(!machine.repeats(ticket, 0x1000));
    }

    #[test]
    fn both_sides_of_a_split_first_level_are_included() {
        let first = TlbLevel::split(bank(4, SMALL), bank(4, SMALL));
        let mut machine = Machine::new(vec![first, level(1, SMALL).inclusive()]);
        machine.load(0x1000);
        machine.events_of(fetch(0x1000));
        machine.load(0x2000);
        assert_eq!(machine.level_of(fetch(0x1000)), 0);
    }

    #[test]
    fn a_side_of_the_second_level_takes_from_its_own_side_only() {
        let first = TlbLevel::split(bank(4, SMALL), bank(4, SMALL));
        let second = TlbLevel::split(bank(1, SMALL), bank(1, SMALL)).inclusive();
        let mut machine = Machine::new(vec![first, second]);
        machine.events_of(fetch(0x1000));
        machine.load(0x1000);
        machine.load(0x2000);
        assert_eq!(machine.level_of(fetch(0x1000)), 1);
        assert_eq!(machine.level_of(load(0x1000)), 0);
    }

    #[test]
    fn a_third_level_takes_from_both_above() {
        let third = level(1, SMALL).inclusive();
        let mut machine = Machine::new(vec![level(4, SMALL), level(4, SMALL), third]);
        machine.load(0x1000);
        machine.load(0x2000);
        assert!(machine.load(0x1000).contains("walk"));
    }

    #[test]
    fn the_parts_of_an_evicted_page_go_with_it() {
        let mut machine = Machine::new(vec![level(8, SMALL), level(1, BOTH).inclusive()]);
        for part in [0x20_0000, 0x20_5000] {
            machine.load(part);
        }
        assert_eq!(machine.level_of(load(0x20_0000)), 1);
        machine.load(0x1000);
        assert_eq!(machine.level_of(load(0x20_0000)), 0);
        assert_eq!(machine.level_of(load(0x1000)), 0);
    }

    #[test]
    fn another_address_space_keeps_its_page() {
        let mut machine = two_levels();
        let asid = |asid: u64| 8 << 60 | asid << 44 | 1;
        machine.write(SATP, asid(1));
        machine.load(0x1000);
        machine.write(SATP, asid(2));
        // The same page of two address spaces, of which the older one goes.
        machine.load(0x1000);
        machine.load(0x2000);
        assert_eq!(machine.level_of(load(0x1000)), 1);
        machine.write(SATP, asid(1));
        assert_eq!(machine.level_of(load(0x1000)), 0);
    }

    #[test]
    fn a_page_made_dirty_stays_where_it_is_at_both_levels() {
        let mut machine = two_levels();
        machine.set(0x3008, 1 << 10 | CLEAN);
        machine.load(0x1000);
        let store = Access::store(VirtAddr::new(0x1000), 8);
        assert_eq!(machine.events_of(store), "L1 hit, walk");
        assert_eq!(machine.events_of(store), "L1 hit");
    }

    #[test]
    fn what_is_replaced_by_something_smaller_leaves_all_above() {
        let first = TlbLevel::split(bank(4, BOTH), bank(4, BOTH));
        let mut machine = Machine::new(vec![first, level(4, BOTH).inclusive()]);
        machine.set(0x2008, 1 << 19 | CLEAN);
        machine.events_of(fetch(0x20_5000));
        // The superpage becomes a table, and no fence says so: a store walks, as the superpage was clean.
        machine.set(0x2008, 0x4000 >> 2 | 1);
        (0..512).for_each(|page| machine.set(0x4000 + 8 * page, (0x200 + page) << 10 | LEAF));
        let events =
            "L1 miss, L2 hit, 0x200000 of 2^21 to L1, walk, 0x201000 to L2, 0x201000 to L1";
        assert_eq!(machine.events_of(Access::store(VirtAddr::new(0x20_1000), 8)), events);
        assert_eq!(machine.level_of(fetch(0x20_5000)), 0);
    }
}

/// The error for a machine with these levels.
fn refused(tlb: Vec<TlbLevel>) -> ConfigError {
    PagingConfig { tlb, ..PagingConfig::default() }.validate().unwrap_err()
}

#[test]
fn the_first_level_can_neither_include_nor_exclude() {
    for first in [level(4, SMALL).inclusive(), level(4, SMALL).exclusive()] {
        assert_eq!(refused(vec![first]), ConfigError::NothingAbove);
    }
}

#[test]
fn an_inclusive_level_holds_all_sizes_of_those_above() {
    let not_included = ConfigError::NotIncluded { level: 2, bits: 21 };
    let second = level(4, SMALL).inclusive();
    assert_eq!(refused(vec![level(4, BOTH), second.clone()]), not_included);
    let split = TlbLevel::split(bank(4, SMALL), bank(4, BOTH));
    assert_eq!(refused(vec![split, second]), not_included);
    assert_eq!(
        not_included.to_string(),
        "TLB level 2: inclusive, but holds no pages of 2^21 bytes, and a level above it does"
    );
}
