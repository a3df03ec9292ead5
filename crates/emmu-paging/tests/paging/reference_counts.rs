//! How many entries a walk reads, exactly: with and without walk caches, for every page size.

use emmu_core::{
    Access, Bus, Event, PhysAddr, Registers, TranslationUnit, VirtAddr, Width, find_register,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, RiscV, WalkCacheTable, X86,
    format::{Format, hashed, riscv, x86},
};

const ROOT: u64 = 0x1000;

/// A unit over its own memory, with tables that map every virtual page to physical page 0 on.
struct Machine<F: Format> {
    unit: Paging<F>,
    memory: Memory,
    next_table: u64,
    table_entry: u64,
}

impl<F: Format> Machine<F> {
    fn new(format: F, config: &PagingConfig, registers: &[(&str, u64)], table_entry: u64) -> Self {
        let mut memory = Memory::ram(1 << 40);
        let mut unit = Paging::new(format, config).unwrap();
        for (name, value) in registers {
            let id = find_register(unit.registers(), name).unwrap().id;
            unit.write_register(id, *value, &mut memory, &mut ()).unwrap();
        }
        Self { unit, memory, next_table: ROOT + 0x1000, table_entry }
    }

    /// Maps the page at `va` by `leaf` at `level` of `levels`, with 512-entry tables on the way.
    fn map(&mut self, va: u64, levels: u32, level: u32, leaf: u64) {
        let mut table = ROOT;
        for at in (level..levels).rev() {
            let entry = PhysAddr::new(table + (va >> (12 + 9 * at) & 511) * 8);
            let raw = self.memory.peek(entry, Width::B8).unwrap();
            table = match (at == level, raw) {
                (true, _) => return self.memory.write(entry, Width::B8, leaf).unwrap(),
                (false, 0) => self.new_table(entry),
                (false, raw) => self.table_of(raw),
            };
        }
    }

    fn new_table(&mut self, entry: PhysAddr) -> u64 {
        let table = self.next_table;
        self.next_table += 0x1000;
        let raw =
            if self.is_riscv() { table >> 2 | self.table_entry } else { table | self.table_entry };
        self.memory.write(entry, Width::B8, raw).unwrap();
        table
    }

    fn table_of(&self, raw: u64) -> u64 {
        if self.is_riscv() { raw >> 10 << 12 } else { raw & 0x000f_ffff_ffff_f000 }
    }

    fn is_riscv(&self) -> bool {
        self.table_entry == riscv::Pte::V.bits()
    }

    /// Addresses of the entries read by the walk for `va`.
    fn reads(&mut self, va: u64) -> Vec<u64> {
        let mut events = Vec::<Event>::new();
        self.unit
            .translate(Access::load(VirtAddr::new(va), 8), &mut self.memory, &mut events)
            .unwrap();
        let read = |event: &Event| match event {
            Event::EntryRead { addr, .. } => Some(addr.raw()),
            _ => None,
        };
        events.iter().filter_map(read).collect()
    }
}

fn riscv_machine(mode: u64, config: &PagingConfig) -> Machine<RiscV> {
    let satp = mode << 60 | ROOT >> 12;
    Machine::new(RiscV::rv64(), config, &[("satp", satp)], riscv::Pte::V.bits())
}

fn x86_machine(five_levels: bool, config: &PagingConfig) -> Machine<X86> {
    let cr4 = if five_levels { 1 << 5 | 1 << 12 } else { 1 << 5 };
    let registers = [("cr3", ROOT), ("cr4", cr4), ("efer", 1 << 8), ("cr0", 1 << 31 | 1 << 16 | 1)];
    Machine::new(X86::new(52), config, &registers, 0x23)
}

/// V R W A D.
const RISCV_LEAF: u64 = 0xc7;
/// P R/W A D, and the same with PS.
const X86_LEAF: u64 = 0x63;
const X86_LARGE: u64 = 0xe3;

#[test]
fn a_riscv_walk_reads_one_entry_a_level() {
    for (mode, levels) in [(8, 3), (9, 4), (10, 5)] {
        for level in 0..levels {
            let mut machine = riscv_machine(mode, &PagingConfig::default());
            machine.map(0x7654_3000, levels, level, RISCV_LEAF);
            assert_eq!(machine.reads(0x7654_3000).len(), (levels - level) as usize);
        }
    }
}

#[test]
fn an_sv32_walk_reads_two_entries() {
    let mut memory = Memory::ram(1 << 32);
    memory.write(PhysAddr::new(ROOT), Width::B4, 0x2000 >> 2 | 1).unwrap();
    memory.write(PhysAddr::new(0x2000), Width::B4, RISCV_LEAF).unwrap();
    let mut unit = Paging::uncached(RiscV::rv32().with_satp(1 << 31 | ROOT >> 12));
    let mut events = Vec::<Event>::new();
    unit.translate(Access::load(VirtAddr::new(8), 4), &mut memory, &mut events).unwrap();
    let reads = events.iter().filter(|event| matches!(event, Event::EntryRead { .. })).count();
    assert_eq!(reads, 2);
}

#[test]
fn an_x86_walk_reads_4_or_5_entries_3_for_2_mib_and_2_for_1_gib() {
    let cases = [(false, 0, 4), (true, 0, 5), (false, 1, 3), (false, 2, 2)];
    for (five_levels, level, expected) in cases {
        let mut machine = x86_machine(five_levels, &PagingConfig::default());
        let leaf = if level == 0 { X86_LEAF } else { X86_LARGE };
        machine.map(0x7654_3000, if five_levels { 5 } else { 4 }, level, leaf);
        assert_eq!(machine.reads(0x7654_3000).len(), expected);
    }
}

/// One entry for the tables of each level below the root.
fn one_entry_a_level(levels: u8) -> PagingConfig {
    let geometry = Geometry::fully_associative(1, Policy::Lru).unwrap();
    let cache = |level| WalkCacheTable { geometry, levels: vec![level] };
    PagingConfig { walk_cache: (0..levels - 1).map(cache).collect(), ..PagingConfig::default() }
}

/// References, and distinct 64-byte lines, of a cold sweep over `pages` pages.
fn sweep(machine: &mut Machine<X86>, levels: u32, pages: u64) -> (usize, usize) {
    let mut lines = std::collections::BTreeSet::new();
    let mut references = 0;
    for page in 0..pages {
        machine.map(page << 12, levels, 0, X86_LEAF);
        let reads = machine.reads(page << 12);
        references += reads.len();
        lines.extend(reads.iter().map(|addr| addr / 64));
    }
    (references, lines.len())
}

#[test]
fn a_cold_sequential_sweep_with_one_walk_cache_entry_a_level() {
    let sweeps = [
        (512, 515, 67),
        (4096, 4106, 515),
        (262_144, 262_658, 32_834),
        (1_048_576, 1_050_629, 131_330),
    ];
    for (pages, references, lines) in sweeps {
        let mut machine = x86_machine(false, &one_entry_a_level(4));
        assert_eq!(sweep(&mut machine, 4, pages), (references, lines));
        let mut machine = x86_machine(true, &one_entry_a_level(5));
        assert_eq!(sweep(&mut machine, 5, pages).0, references + 1, "five levels add exactly one");
        let mut machine = x86_machine(false, &PagingConfig::default());
        assert_eq!(sweep(&mut machine, 4, pages).0 as u64, 4 * pages, "without walk caches");
    }
}

#[test]
fn a_walk_cache_hit_leaves_the_references_below_the_table_it_names() {
    for (level, left) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        let geometry = Geometry::fully_associative(4, Policy::Lru).unwrap();
        let walk_cache = vec![WalkCacheTable { geometry, levels: vec![level] }];
        let mut machine =
            x86_machine(true, &PagingConfig { walk_cache, ..PagingConfig::default() });
        machine.map(0x7654_3000, 5, 0, X86_LEAF);
        assert_eq!(machine.reads(0x7654_3000).len(), 5, "cold");
        assert_eq!(machine.reads(0x7654_3000).len(), left, "tables of level {level} known");
    }
}

#[test]
fn table_pages_for_an_aligned_region() {
    for (gib, expected) in [(1, [515, 3, 2]), (64, [32_834, 66, 2])] {
        for (level, expected) in (0..).zip(expected) {
            let mut machine = x86_machine(false, &PagingConfig::default());
            let size = 12 + 9 * level;
            let pages = gib << 30 >> size;
            (0..pages).for_each(|page: u64| machine.map(page << size, 4, level, X86_LARGE));
            assert_eq!((machine.next_table - ROOT) / 0x1000, expected, "{gib} GiB, level {level}");
        }
    }
}

#[test]
fn a_walk_of_a_hashed_table_reads_1_entry_and_1_more_for_each_collision() {
    let htab = 1 << 63 | 0x10_0000 | 10;
    let (page, table) = (VirtAddr::new(0x7654_3000), hashed::HashTable::of(htab).unwrap());
    for collisions in 0..8 {
        let mut memory = Memory::ram(1 << 30);
        let mut unit = Paging::uncached(hashed::Hashed::new());
        unit.write_register(hashed::HTAB, htab, &mut memory, &mut ()).unwrap();
        let places: Vec<_> = table.places(page).collect();
        // Other pages with this one's first place came before it, and took one place after another.
        let is_rival = |number: &u64| {
            let first = table.places(VirtAddr::new(number << 12)).next();
            *number != page.raw() >> 12 && first.unwrap().addr() == places[0].addr()
        };
        for (number, place) in (0..).filter(is_rival).zip(&places[..collisions]) {
            let mut rival = table.places(VirtAddr::new(number << 12));
            let raw = rival.find(|own| own.addr() == place.addr()).unwrap();
            let raw = raw.entry(PhysAddr::new(0xbad_0000), hashed::Pte::R);
            memory.write(place.addr(), Width::B8, raw).unwrap();
        }
        let own = places[collisions];
        let raw = own.entry(PhysAddr::ZERO, hashed::Pte::R | hashed::Pte::A);
        memory.write(own.addr(), Width::B8, raw).unwrap();
        let mut machine = Machine { unit, memory, next_table: 0, table_entry: 0 };
        assert_eq!(machine.reads(page.raw()).len(), 1 + collisions);
    }
}

#[test]
fn the_register_numbers_are_the_architectures() {
    assert_eq!((riscv::SATP.0, x86::CR3.0, x86::EFER.0), (0x180, 3, 0xc000_0080));
}
