//! A format of a user's own gets all that the built-in formats get, once it says its anatomy; so do formats that are
//! described at run time, and hashed tables.

use crate::toy::{ACCESSED, GLOBAL, ROOT, TABLE, Toy, VALID, WRITE};
use emmu_core::{
    Access, Asid, Bus, Invalidate, PhysAddr, RegisterId, Registers, TranslationUnit, VirtAddr,
    Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable,
    format::{
        described::{self, Described, Description},
        hashed::{HTAB, HTAB2, HashTable, Hashed, Place, Pte},
    },
};
use emmu_sanitizer::{Kind, Report, Sanitized, Sanitizer, Watched};
use insta::assert_snapshot;

struct Machine<U> {
    unit: Sanitized<U>,
    bus: Watched<Memory>,
    sanitizer: Sanitizer,
}

fn config() -> PagingConfig {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let table = TlbTable { geometry, page_bits: vec![12, 16] };
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0] }];
    let tlb = vec![TlbLevel::unified(vec![table])];
    PagingConfig { tlb, walk_cache, ..PagingConfig::default() }
}

impl<U: TranslationUnit<Watched<Memory>, ()> + Registers> Machine<U> {
    fn new(unit: U) -> Self {
        let sanitizer = Sanitizer::new();
        let (unit, bus) = (sanitizer.unit(unit), sanitizer.bus(Memory::ram(1 << 30)));
        Self { unit, bus, sanitizer }
    }

    fn register(&mut self, id: RegisterId, value: u64) {
        self.unit.write_register(id, value, &mut self.bus, &mut ()).unwrap();
    }

    fn set(&mut self, addr: u64, width: Width, raw: u64) {
        self.bus.write(PhysAddr::new(addr), width, raw).unwrap();
    }

    fn load(&mut self, addr: u64) {
        let access = Access::load(VirtAddr::new(addr), 4);
        let _ = self.unit.translate(access, &mut self.bus, &mut ());
    }

    fn store(&mut self, addr: u64) {
        let access = Access::store(VirtAddr::new(addr), 4);
        let _ = self.unit.translate(access, &mut self.bus, &mut ());
    }

    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Watched<Memory>, ()>::invalidate(&mut self.unit, scope);
    }
}

/// The page, the leaf entry for it, and another table's.
const PAGE: u64 = 0x13_4000;
const LEAF: u64 = 0x2000 + 4 * 4;
const OTHER_LEAF: u64 = 0x3000 + 4 * 4;

/// The toy under way: index 0x13 of the root names a table, whose entry 4 maps the page with these bits besides.
fn toy(bits: u64) -> Machine<Paging<Toy>> {
    let mut machine = Machine::new(Paging::new(Toy::default(), &config()).unwrap());
    machine.set(0x1000 + 0x13 * 4, Width::B4, 0x2000 | VALID | TABLE);
    machine.set(LEAF, Width::B4, 0x8000 | VALID | WRITE | bits);
    machine.set(OTHER_LEAF, Width::B4, 0x9000 | VALID | WRITE | bits);
    machine.register(ROOT, 5 << 32 | 0x1000);
    machine
}

/// The one report of a change after a store. What it advises is enough.
fn report<U: TranslationUnit<Watched<Memory>, ()>>(
    boot: impl Fn() -> Machine<U>,
    change: impl Fn(&mut Machine<U>),
    addr: u64,
) -> Report {
    let play = |scopes: &[Invalidate]| {
        let mut machine = boot();
        machine.store(addr);
        change(&mut machine);
        scopes.iter().for_each(|&scope| machine.invalidate(scope));
        machine.store(addr);
        machine.sanitizer.reports()
    };
    let [report] = <[Report; 1]>::try_from(play(&[])).unwrap();
    let advised = report.invalidation.unwrap();
    let advised: Vec<_> = [advised.scope].into_iter().chain(advised.then).collect();
    assert_eq!(play(&advised), [], "{advised:?}");
    report
}

fn advice(report: &Report) -> String {
    report.invalidation.unwrap().to_string()
}

#[test]
fn a_stale_entry_of_the_toy_is_found_and_its_instruction_named() {
    let unmap = |machine: &mut Machine<_>| machine.set(LEAF, Width::B4, 0);
    assert_snapshot!(report(|| toy(0), unmap, PAGE), @r"
    error: a stale translation was used: the tables refuse the access by now
      --> supervisor store of 4 bytes at 0x134000, access 2
       | the TLB leads to 0x8000
       | the tables say: nothing is mapped there (level 0 entry at 0x2010 holds 0x0)
    note: this write made it stale
      --> a write from outside of the CPU, access 1
       | the level 0 entry at 0x2010 was 0x801d and became 0x0
    help: after that, `flushp 0x134000, space 5` is enough
    ");
}

#[test]
fn a_global_page_of_the_toy_is_of_no_address_space() {
    let unmap = |machine: &mut Machine<_>| machine.set(LEAF, Width::B4, 0);
    assert_eq!(advice(&report(|| toy(GLOBAL), unmap, PAGE)), "flushp 0x134000");
}

#[test]
fn a_table_of_the_toy_needs_the_address_space() {
    let change = |machine: &mut Machine<_>| {
        machine.set(0x1000 + 0x13 * 4, Width::B4, 0x3000 | VALID | TABLE);
    };
    assert_eq!(advice(&report(|| toy(0), change, PAGE)), "flushs 5");
    assert_eq!(advice(&report(|| toy(GLOBAL), change, PAGE)), "flusha");
}

#[test]
fn a_root_of_the_toy_needs_the_address_space() {
    let boot = || {
        let mut machine = toy(0);
        machine.set(0x4000 + 0x13 * 4, Width::B4, 0x3000 | VALID | TABLE);
        machine
    };
    let change = |machine: &mut Machine<_>| machine.register(ROOT, 5 << 32 | 0x4000);
    let report = report(boot, change, PAGE);
    assert_eq!((report.kind, advice(&report).as_str()), (Kind::Moved, "flushs 5"));
    assert_eq!(report.register().map(|write| write.name), Some("root"));
}

#[test]
fn a_flag_of_the_toy_that_was_cleared_is_missed() {
    let clean = |machine: &mut Machine<_>| {
        machine.set(LEAF, Width::B4, 0x8000 | VALID | WRITE | ACCESSED);
    };
    let found = report(|| toy(0), clean, PAGE);
    assert_eq!((found.kind, advice(&found).as_str()), (Kind::NotDirty, "flushp 0x134000, space 5"));

    let mut machine = toy(0);
    machine.load(PAGE);
    machine.set(LEAF, Width::B4, 0x8000 | VALID | WRITE);
    machine.load(PAGE);
    let [report] = &machine.sanitizer.reports()[..] else { panic!("one report") };
    assert_eq!(report.kind, Kind::NotAccessed);
}

#[test]
fn the_toy_is_not_reported_without_a_cause() {
    let mut machine = toy(0);
    machine.load(PAGE);
    machine.store(PAGE);
    machine.load(PAGE + 8);
    assert_eq!(machine.sanitizer.reports(), []);
}

/// A larger page, which ends the walk a level earlier.
#[test]
fn a_page_above_the_last_level_is_a_leaf() {
    let at = 0x1000 + 0x13 * 4;
    let boot = || {
        let mut machine = toy(0);
        machine.set(at, Width::B4, 0x4_0000 | VALID | WRITE);
        machine
    };
    let unmap = |machine: &mut Machine<_>| machine.set(at, Width::B4, 0);
    assert_eq!(advice(&report(boot, unmap, PAGE)), "flushp 0x134000, space 5");
}

/// One level of 4-byte entries: bit 31 valid, 30 accessed, 29 dirty.
fn described() -> Machine<Paging<Described>> {
    let description =
        Description::new(Width::B4, 12, &[8]).frame(0, 20).valid(31).recorded(Some(30), Some(29));
    let unit = Paging::new(Described::new(description).unwrap(), &config()).unwrap();
    let mut machine = Machine::new(unit);
    machine.set(0x1000 + 4 * 4, Width::B4, 1 << 31 | 8);
    machine.register(described::PTBR, 0x1000);
    machine.register(described::ASID, 3);
    machine.register(described::MODE, 1);
    machine
}

#[test]
fn a_described_format_is_checked_for_lost_flags_too() {
    let clean = |machine: &mut Machine<_>| {
        machine.set(0x1000 + 4 * 4, Width::B4, 1 << 31 | 1 << 30 | 8);
    };
    let found = report(described, clean, 0x4000);
    assert_eq!(found.kind, Kind::NotDirty);
    assert_eq!(advice(&found), format!("{:?}", Invalidate::Page(VirtAddr::new(0x4000))));
    let root = |machine: &mut Machine<_>| {
        machine.set(0x2000 + 4 * 4, Width::B4, 1 << 31 | 9);
        machine.register(described::PTBR, 0x2000);
    };
    assert_eq!(
        advice(&report(described, root, 0x4000)),
        format!("{:?}", Invalidate::Asid(Asid(3)))
    );
}

/// The first place of a page in a table.
fn place(htab: u64, addr: u64) -> Place {
    HashTable::of(htab).unwrap().places(VirtAddr::new(addr)).next().unwrap()
}

const GUEST: u64 = 1 << 63 | 6 << 40 | 0x10_0000 | 10;
const HOST: u64 = 1 << 63 | 7 << 40 | 0x20_0000 | 10;
const RIGHTS: Pte = Pte::R.union(Pte::W);

/// The page in the guest's table, and the table and the page of the guest in the host's. Memory of the guest is 1 MiB,
/// mapped 16 MiB higher.
fn hashed() -> Machine<impl TranslationUnit<Watched<Memory>, ()>> {
    let mut machine = Machine::new(Hashed::new().guest(&config(), &config()).unwrap());
    let entry = place(GUEST, PAGE);
    let above = |addr: PhysAddr| PhysAddr::new(addr.raw() + 0x100_0000);
    machine.set(above(entry.addr()).raw(), Width::B8, entry.entry(PhysAddr::new(0x7000), RIGHTS));
    for page in [entry.addr().align_down(12), PhysAddr::new(0x7000)] {
        let entry = place(HOST, page.raw());
        machine.set(entry.addr().raw(), Width::B8, entry.entry(above(page), RIGHTS));
    }
    machine.register(HTAB2, HOST);
    machine.register(HTAB, GUEST);
    machine
}

#[test]
fn hashed_tables_of_two_stages_are_told_apart() {
    let moved = |machine: &mut Machine<_>| {
        let entry = place(HOST, 0x7000);
        let raw = entry.entry(PhysAddr::new(0x30_0000), RIGHTS | Pte::A | Pte::D);
        machine.set(entry.addr().raw(), Width::B8, raw);
    };
    let found = report(hashed, moved, PAGE);
    assert_eq!(found.kind, Kind::Moved);
    let addr = Some(PhysAddr::new(0x7000));
    let advised = Invalidate::SecondStage { tables: Some(7), addr, combined: true };
    assert_eq!(advice(&found), format!("{advised:?}"));
    assert!(found.to_string().contains("the second stage's level 7 entry"), "{found}");
}
