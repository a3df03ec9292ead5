//! Hashed page tables, one stage: what each probe does, rights, flags, registers and walk caches.

use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Fault, FaultEntry, PhysAddr, Privilege, RegisterError,
    TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, WalkCacheTable,
    format::hashed::{DELETED, HTAB, HTAB2, HashTable, Hashed, Place, Pte},
};

/// 1024 entries.
const TABLE: u64 = 0x10_0000;
const ON: u64 = 1 << 63 | TABLE | 10;
/// A page whose first place is the last of the table, and where it is mapped to.
const PAGE: u64 = 0x3ff << 12;
const FRAME: u64 = 0x7000;

struct Machine {
    unit: Paging<Hashed>,
    memory: Memory,
}

impl Machine {
    fn new(config: &PagingConfig) -> Self {
        let mut memory = Memory::ram(1 << 30);
        let mut unit = Paging::new(Hashed::new(), config).unwrap();
        unit.write_register(HTAB, ON, &mut memory, &mut ()).unwrap();
        Self { unit, memory }
    }

    fn uncached() -> Self {
        Self::new(&PagingConfig::default())
    }

    fn set(&mut self, place: Place, raw: u64) {
        self.memory.write(place.addr(), Width::B8, raw).unwrap();
    }

    /// Maps the page by the entry of this probe.
    fn map(&mut self, page: u64, probe: usize, bits: Pte) {
        let place = places(page)[probe];
        self.set(place, place.entry(PhysAddr::new(FRAME), bits));
    }

    /// Entries of other pages, in their own first places, in the first `count` of this one.
    fn crowd(&mut self, page: u64, count: usize) {
        for place in &places(page)[..count] {
            let mut others = (0..1 << 20).map(|other| places(other << 12)[0]);
            let other = others.find(|other| other.addr() == place.addr() && other != place);
            let other = other.unwrap();
            self.set(other, other.entry(PhysAddr::new(0xbad_0000), READ));
        }
    }

    fn access(&mut self, access: Access) -> Result<u64, Fault> {
        let found = self.unit.translate(access, &mut self.memory, &mut ());
        found.map(|found| found.addr.raw())
    }

    fn load(&mut self, addr: u64) -> Result<u64, Fault> {
        self.access(load(addr))
    }

    /// Levels of the entries that a load reads.
    fn levels(&mut self, addr: u64) -> Vec<u8> {
        let mut events = Vec::new();
        let _ = self.unit.translate(load(addr), &mut self.memory, &mut events);
        let level = |event: &Event| match event {
            Event::EntryRead { level, .. } => Some(*level),
            _ => None,
        };
        events.iter().filter_map(level).collect()
    }

    fn entry(&self, page: u64, probe: usize) -> u64 {
        self.memory.peek(places(page)[probe].addr(), Width::B8).unwrap()
    }
}

const READ: Pte = Pte::R.union(Pte::A);

fn places(page: u64) -> Vec<Place> {
    HashTable::of(ON).unwrap().places(VirtAddr::new(page)).collect()
}

fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8)
}

#[test]
fn the_first_place_is_read_first_and_then_those_behind_it_around_the_end() {
    let mut machine = Machine::uncached();
    machine.crowd(PAGE, 3);
    machine.map(PAGE, 3, READ);
    assert_eq!(machine.load(PAGE + 0x123), Ok(FRAME + 0x123));
    assert_eq!(machine.levels(PAGE), [7, 6, 5, 4]);
    assert_eq!(places(PAGE)[0].addr(), PhysAddr::new(TABLE + 0x3ff * 8));
    assert_eq!(places(PAGE)[1].addr(), PhysAddr::new(TABLE));
}

#[test]
fn a_place_that_was_never_used_ends_the_search() {
    let mut machine = Machine::uncached();
    machine.crowd(PAGE, 2);
    machine.map(PAGE, 3, READ);
    let fault = machine.load(PAGE).unwrap_err();
    let entry = FaultEntry { level: 5, addr: places(PAGE)[2].addr(), raw: Some(0) };
    assert_eq!((fault.cause, fault.entry), (Cause::Absent, Some(entry)));
}

#[test]
fn a_place_that_was_emptied_does_not() {
    let mut machine = Machine::uncached();
    machine.map(PAGE, 1, READ);
    machine.set(places(PAGE)[0], DELETED);
    assert_eq!(machine.load(PAGE), Ok(FRAME));
    // Whatever else is left in it.
    machine.set(places(PAGE)[0], !Pte::V.bits());
    assert_eq!(machine.load(PAGE), Ok(FRAME));
    machine.set(places(PAGE)[0], !(Pte::V.bits() | DELETED));
    assert_eq!(machine.load(PAGE).unwrap_err().cause, Cause::Absent);
}

#[test]
fn eight_places_are_all_there_are() {
    let mut machine = Machine::uncached();
    machine.crowd(PAGE, 7);
    machine.map(PAGE, 7, READ);
    assert_eq!(machine.load(PAGE), Ok(FRAME));
    assert_eq!(machine.levels(PAGE), [7, 6, 5, 4, 3, 2, 1, 0]);
    machine.crowd(PAGE, 8);
    let fault = machine.load(PAGE).unwrap_err();
    assert_eq!(fault.cause, Cause::Absent);
    assert_eq!(fault.entry.map(|entry| entry.addr), Some(places(PAGE)[7].addr()));
    assert_eq!(machine.levels(PAGE).len(), 8);
}

#[test]
fn an_entry_with_another_tag_or_another_probe_is_another_page_s() {
    for field in [1 << 38, 1 << 63, 1 << 7, 1 << 9] {
        let mut machine = Machine::uncached();
        let place = places(PAGE)[0];
        machine.set(place, place.entry(PhysAddr::new(FRAME), READ) ^ field);
        assert_eq!(machine.load(PAGE).unwrap_err().cause, Cause::Absent, "{field:#x}");
        assert_eq!(machine.levels(PAGE), [7, 6], "{field:#x}");
    }
}

#[test]
fn neighbours_with_one_tag_are_told_apart_by_the_probe() {
    let mut machine = Machine::uncached();
    let (page, next) = (0x4000, 0x5000);
    // The neighbour's own place, taken by the page at its second probe.
    machine.map(next, 0, READ);
    machine.map(page, 1, READ);
    machine.set(places(page)[0], DELETED);
    assert_eq!(places(page)[1].addr(), places(next)[0].addr());
    assert_eq!(machine.load(page), Ok(FRAME));
    assert_eq!(machine.load(next).unwrap_err().cause, Cause::Absent);
}

#[test]
fn each_right_has_its_bit_and_a_write_to_a_readable_page_is_told_apart() {
    for (kind, needed) in [
        (AccessKind::Load, Pte::R),
        (AccessKind::Store, Pte::W),
        (AccessKind::Amo, Pte::R | Pte::W),
        (AccessKind::Fetch, Pte::X),
    ] {
        let access = Access { kind, ..load(PAGE) };
        let mut machine = Machine::uncached();
        machine.map(PAGE, 0, needed);
        assert_eq!(machine.access(access), Ok(FRAME), "{kind}");
        machine.map(PAGE, 0, (Pte::R | Pte::W | Pte::X) - needed);
        let refused = machine.access(access).unwrap_err().cause;
        let expected = if kind == AccessKind::Store { Cause::ReadOnly } else { Cause::Permission };
        assert_eq!(refused, expected, "{kind}");
    }
}

#[test]
fn user_mode_needs_the_user_bit() {
    let mut machine = Machine::uncached();
    machine.map(PAGE, 0, READ);
    let user = load(PAGE).with_privilege(Privilege::User);
    assert_eq!(machine.access(user).unwrap_err().cause, Cause::Permission);
    machine.map(PAGE, 0, READ | Pte::U);
    assert_eq!((machine.access(user), machine.load(PAGE)), (Ok(FRAME), Ok(FRAME)));
}

#[test]
fn hardware_sets_accessed_and_dirty_in_the_entry_of_the_page_alone() {
    let mut machine = Machine::uncached();
    machine.crowd(PAGE, 2);
    machine.map(PAGE, 2, Pte::R | Pte::W);
    let before: Vec<u64> = (0..3).map(|probe| machine.entry(PAGE, probe)).collect();
    machine.load(PAGE).unwrap();
    assert_eq!(machine.entry(PAGE, 2), before[2] | Pte::A.bits());
    machine.access(Access::store(VirtAddr::new(PAGE), 8)).unwrap();
    assert_eq!(machine.entry(PAGE, 2), before[2] | (Pte::A | Pte::D).bits());
    assert_eq!((machine.entry(PAGE, 0), machine.entry(PAGE, 1)), (before[0], before[1]));
}

#[test]
fn an_access_that_is_refused_leaves_the_entry_as_it_was() {
    let mut machine = Machine::uncached();
    machine.map(PAGE, 0, Pte::R);
    let before = machine.entry(PAGE, 0);
    machine.access(Access::store(VirtAddr::new(PAGE), 8)).unwrap_err();
    assert_eq!(machine.entry(PAGE, 0), before);
}

#[test]
fn addresses_have_48_bits() {
    let mut machine = Machine::uncached();
    let last = (1 << 48) - 0x1000;
    machine.map(last, 0, READ);
    assert_eq!(machine.load(last), Ok(FRAME));
    assert_eq!(machine.load(1 << 48).unwrap_err().cause, Cause::NonCanonical);
    assert_eq!(machine.load(u64::MAX << 12).unwrap_err().cause, Cause::NonCanonical);
}

#[test]
fn a_walk_cache_goes_on_at_the_probe_that_it_remembers() {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![4, 5, 6] }];
    let mut machine = Machine::new(&PagingConfig { walk_cache, ..PagingConfig::default() });
    machine.crowd(PAGE, 5);
    machine.map(PAGE, 5, READ);
    assert_eq!(machine.levels(PAGE), [7, 6, 5, 4, 3, 2], "cold");
    assert_eq!(machine.levels(PAGE), [4, 3, 2], "it has no level below 4");
    // It is of one page: the neighbour begins at its own first place.
    assert_eq!(machine.levels(PAGE - 0x1000)[0], 7);
    // Moved forward, the page is found once it has been invalidated.
    machine.set(places(PAGE)[5], DELETED);
    machine.map(PAGE, 1, READ);
    assert_eq!(machine.load(PAGE).unwrap_err().cause, Cause::Absent);
    let scope = emmu_core::Invalidate::Page(VirtAddr::new(PAGE));
    TranslationUnit::<Memory, ()>::invalidate(&mut machine.unit, scope);
    assert_eq!(machine.levels(PAGE), [7, 6]);
}

#[test]
fn a_walk_cache_of_all_probes_takes_none_for_a_later_one() {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let walk_cache = vec![WalkCacheTable { geometry, levels: (0..7).collect() }];
    let mut machine = Machine::new(&PagingConfig { walk_cache, ..PagingConfig::default() });
    machine.crowd(PAGE, 1);
    machine.map(PAGE, 1, READ);
    assert_eq!(machine.levels(PAGE), [7, 6], "cold");
    assert_eq!(machine.levels(PAGE), [6]);
}

#[test]
fn the_register_refuses_what_it_cannot_hold_and_stays() {
    let mut machine = Machine::uncached();
    let mut refusal = |value| {
        let written = machine.unit.write_register(HTAB, value, &mut machine.memory, &mut ());
        match written.unwrap_err() {
            RegisterError::Reserved { name: "htab", what, .. } => what,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refusal(ON | 1 << 56), "bits 62:56 and 12:6 are reserved");
    assert_eq!(refusal(1 << 62), "bits 62:56 and 12:6 are reserved");
    assert_eq!(refusal(ON | 1 << 12), "bits 62:56 and 12:6 are reserved");
    assert_eq!(refusal(ON | 1 << 6), "bits 62:56 and 12:6 are reserved");
    assert!(refusal(ON | 1 << 13 | 1).starts_with("expected a base"));
    assert!(refusal(ON - 1).starts_with("expected 10 to 36"));
    assert!(refusal(ON | 63).starts_with("expected 10 to 36"));
    assert_eq!(
        TranslationUnit::<Memory, ()>::write_register(
            &mut machine.unit,
            HTAB2,
            0,
            &mut machine.memory,
            &mut ()
        ),
        Err(RegisterError::Unknown { id: HTAB2 })
    );
    assert_eq!(emmu_core::Registers::read_register(&machine.unit, HTAB), Ok(ON));
}

#[test]
fn switched_off_an_address_is_physical_and_the_table_may_be_none() {
    let mut machine = Machine::uncached();
    machine.unit.write_register(HTAB, 0xffff << 40 | 1, &mut machine.memory, &mut ()).unwrap();
    assert_eq!(machine.load(PAGE + 8), Ok(PAGE + 8));
}

#[test]
fn an_address_space_is_known_by_its_asid() {
    let geometry = Geometry::fully_associative(4, Policy::Lru).unwrap();
    let table = emmu_paging::TlbTable { geometry, page_bits: vec![12] };
    let tlb = vec![emmu_paging::TlbLevel::unified(vec![table])];
    let mut machine = Machine::new(&PagingConfig { tlb, ..PagingConfig::default() });
    machine.map(PAGE, 0, READ);
    assert_eq!((machine.levels(PAGE).len(), machine.levels(PAGE).len()), (1, 0));
    for (asid, reads) in [(0xffff, 1), (0, 0), (0xffff, 0)] {
        machine.unit.write_register(HTAB, ON | asid << 40, &mut machine.memory, &mut ()).unwrap();
        assert_eq!(machine.levels(PAGE).len(), reads, "{asid}");
    }
}
