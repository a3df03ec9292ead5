//! Tests of the entries that an invalidation must drop, and of those that one TLB may hold at the same time for
//! one page.

use emmu_core::{
    Access, Asid, Bus, Cause, Event, Fault, Invalidate, PhysAddr, RegisterId, Translation,
    TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, WalkCacheTable,
    X86,
    format::{
        Format,
        aarch64::{SCTLR_EL1, TCR_EL1, TTBR0_EL1},
        riscv::{MENVCFG, SATP},
        x86::{CR0, CR3, CR4, EFER},
    },
};

/// A fully associative table for these page sizes, alone in its level.
fn level(page_bits: &[u8], entries: u32, policy: Policy) -> TlbLevel {
    let geometry = Geometry::fully_associative(entries, policy).unwrap();
    TlbLevel::unified(vec![TlbTable { geometry, page_bits: page_bits.to_vec() }])
}

struct Machine<F: Format> {
    unit: Paging<F>,
    memory: Memory,
}

impl<F: Format> Machine<F> {
    fn new(format: F, tlb: Vec<TlbLevel>, registers: &[(RegisterId, u64)]) -> Self {
        let unit = Paging::new(format, &PagingConfig { tlb, ..PagingConfig::default() }).unwrap();
        let mut machine = Self { unit, memory: Memory::ram(1 << 40) };
        for &(id, value) in registers {
            machine.unit.write_register(id, value, &mut machine.memory, &mut ()).unwrap();
        }
        machine
    }

    fn set(&mut self, addr: u64, entry: u64) {
        self.memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
    }

    fn translate(&mut self, access: Access) -> Result<Translation, Fault> {
        self.unit.translate(access, &mut self.memory, &mut ())
    }

    fn events(&mut self, access: Access) -> Vec<Event> {
        let mut events = Vec::new();
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        events
    }

    fn walks(&mut self, access: Access) -> bool {
        self.events(access).iter().any(|event| matches!(event, Event::WalkBegin(_)))
    }

    fn is_absent(&mut self, addr: u64) -> bool {
        self.translate(load(addr)).is_err_and(|fault| fault.cause == Cause::Absent)
    }

    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
    }
}

fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8)
}

fn store(addr: u64) -> Access {
    Access::store(VirtAddr::new(addr), 8)
}

fn page(addr: u64) -> Invalidate {
    Invalidate::Page(VirtAddr::new(addr))
}

/// V, R, W, X and A; and D.
const CLEAN: u64 = 0x4f;
const DIRTY: u64 = 0xcf;
/// Svadu.
const ADUE: (RegisterId, u64) = (MENVCFG, 1 << 61);

/// Sv39 with the tables for 0x4000_0000 on at 0x1000, 0x2000 and 0x3000.
fn sv39(tlb: Vec<TlbLevel>, registers: &[(RegisterId, u64)]) -> Machine<RiscV> {
    let mut machine = Machine::new(RiscV::rv64().with_satp(8 << 60 | 1), tlb, registers);
    machine.set(0x1008, 0x2000 >> 2 | 1);
    machine.set(0x2000, 0x3000 >> 2 | 1);
    machine
}

/// A superpage at 0x4020_0000 in a TLB that holds small pages only, and has two parts of it.
fn superpage_in_parts() -> Machine<RiscV> {
    let mut machine = sv39(vec![level(&[12], 16, Policy::Lru)], &[]);
    machine.set(0x2008, 0x20_0000 >> 2 | DIRTY);
    for addr in [0x4020_0000, 0x4020_5000] {
        machine.translate(load(addr)).unwrap();
    }
    machine.set(0x2008, 0);
    machine
}

#[test]
fn the_page_of_an_address_is_the_whole_superpage_with_all_its_parts() {
    let mut machine = superpage_in_parts();
    machine.invalidate(page(0x403f_f000));
    assert!(machine.is_absent(0x4020_0000) && machine.is_absent(0x4020_5000));
}

#[test]
fn a_range_that_reaches_into_a_superpage_forgets_all_its_parts() {
    let mut machine = superpage_in_parts();
    machine.invalidate(Invalidate::Range { addr: VirtAddr::new(0x403f_ffff), len: 1, asid: None });
    assert!(machine.is_absent(0x4020_0000) && machine.is_absent(0x4020_5000));
}

#[test]
fn the_next_page_is_another_one() {
    let mut machine = superpage_in_parts();
    machine.invalidate(page(0x4040_0000));
    machine.invalidate(Invalidate::Range {
        addr: VirtAddr::new(0x401f_f000),
        len: 0x1000,
        asid: None,
    });
    assert!(!machine.is_absent(0x4020_0000) && !machine.is_absent(0x4020_5000));
}

#[test]
fn all_of_a_svnapot_range_goes_where_its_size_is_not_held() {
    let mut machine = sv39(vec![level(&[12], 16, Policy::Lru)], &[]);
    let napot = 1 << 63 | (0x10_0000 | 0x8000) >> 2 | DIRTY;
    (0..16).for_each(|index| machine.set(0x3000 + 8 * index, napot));
    for addr in [0x4000_0000, 0x4000_f000] {
        machine.translate(load(addr)).unwrap();
    }
    (0..16).for_each(|index| machine.set(0x3000 + 8 * index, 0));
    machine.invalidate(page(0x4000_7000));
    assert!(machine.is_absent(0x4000_0000) && machine.is_absent(0x4000_f000));
}

#[test]
fn invlpg_forgets_every_part_of_a_fractured_gigapage() {
    // SDM Vol. 3A, 5.10.4.1: "if the paging structures specify a translation using a page larger than 4 KBytes …".
    let registers = [(CR4, 1 << 5), (CR3, 0x1000), (EFER, 1 << 8), (CR0, 1 << 31 | 1)];
    let mut machine =
        Machine::new(X86::new(52), vec![level(&[12, 21], 16, Policy::Lru)], &registers);
    machine.set(0x1000, 0x2007);
    machine.set(0x2008, 0x4000_00e7);
    machine.translate(load(0x4000_0000)).unwrap();
    machine.translate(load(0x4020_0000)).unwrap();
    machine.set(0x2008, 0);
    machine.invalidate(page(0x4000_0000));
    assert!(machine.is_absent(0x4000_0000) && machine.is_absent(0x4020_0000));
}

#[test]
fn a_tag_in_the_top_byte_does_not_hide_the_page() {
    // 4 KiB granule, 39 bits in each half, TBI0.
    let tcr = 5 << 32 | 2 << 30 | 1 << 37 | 25 << 16 | 25;
    let registers = [(TCR_EL1, tcr), (TTBR0_EL1, 0x1000), (SCTLR_EL1, 1)];
    let mut machine = Machine::new(AArch64::new(), vec![level(&[12], 16, Policy::Lru)], &registers);
    machine.set(0x1000, 0x2003);
    machine.set(0x2000, 0x3003);
    machine.set(0x3000, 0x5403);
    let tagged = 0xab00_0000_0000_0000;
    machine.translate(load(tagged)).unwrap();
    machine.set(0x3000, 0);
    machine.invalidate(page(tagged));
    assert!(machine.is_absent(tagged));
}

#[test]
fn a_page_made_dirty_is_not_hidden_by_a_smaller_clean_part() {
    // The first level holds all sizes, the second small pages only.
    let tlb = vec![level(&[12, 21, 30], 2, Policy::Lru), level(&[12], 64, Policy::Lru)];
    let mut machine = sv39(tlb, &[ADUE]);
    machine.set(0x2008, 0x20_0000 >> 2 | CLEAN);
    (0..4).for_each(|index| machine.set(0x3000 + 8 * index, (0x100 + index) << 10 | DIRTY));
    machine.translate(load(0x4020_0000)).unwrap();
    // Others push it out of the first level, and a part of it comes back from the second.
    (0..4).for_each(|index| assert!(machine.walks(load(0x4000_0000 + (index << 12)))));
    assert!(!machine.walks(load(0x4020_0000)));
    assert!(machine.walks(store(0x4020_0000)));
    assert!(!machine.walks(store(0x4020_0000)));
}

#[test]
fn what_a_walk_finds_replaces_an_entry_even_where_its_size_has_no_place() {
    let mut machine = sv39(vec![level(&[21], 4, Policy::Lru)], &[]);
    let read_only = 0x43;
    machine.set(0x2000, 0x20_0000 >> 2 | read_only);
    assert_eq!(machine.translate(load(0x4000_0000)).unwrap().addr, PhysAddr::new(0x20_0000));
    machine.set(0x2000, 0x3000 >> 2 | 1);
    machine.set(0x3000, 0x40_0000 >> 2 | DIRTY);
    for access in [store(0x4000_0000), load(0x4000_0000)] {
        assert_eq!(machine.translate(access).unwrap().addr, PhysAddr::new(0x40_0000), "{access}");
    }
}

#[test]
fn a_page_under_a_global_pointer_is_every_address_space_s() {
    let mut machine = sv39(vec![level(&[12], 4, Policy::Lru)], &[]);
    let global = 1 << 5;
    machine.set(0x2000, 0x3000 >> 2 | global | 1);
    machine.set(0x3000, 0x40_0000 >> 2 | DIRTY);
    machine.translate(load(0x4000_0000)).unwrap();
    let other = 8 << 60 | 7 << 44 | 1;
    machine.unit.write_register(SATP, other, &mut machine.memory, &mut ()).unwrap();
    assert!(!machine.walks(load(0x4000_0000)));
    machine.invalidate(Invalidate::Asid(Asid(7)));
    assert!(!machine.walks(load(0x4000_0000)));
    machine.invalidate(page(0x4000_0000));
    assert!(machine.walks(load(0x4000_0000)));
}

// spec: riscv-asid
#[test]
fn asid_bits_that_sv32_does_not_have_are_ignored() {
    let satp = 1 << 31 | 5 << 22 | 1;
    let mut machine =
        Machine::new(RiscV::rv32(), vec![level(&[12], 4, Policy::Lru)], &[(SATP, satp)]);
    machine.memory.write(PhysAddr::new(0x1000), Width::B4, DIRTY).unwrap();
    let asid = Asid(1 << 9 | 5);
    let page = Invalidate::PageInAsid { addr: VirtAddr::ZERO, asid, global: false };
    for scope in [Invalidate::Asid(asid), page] {
        machine.translate(load(0)).unwrap();
        assert!(!machine.walks(load(0)));
        machine.invalidate(scope);
        assert!(machine.walks(load(0)), "{scope:?}");
    }
}

#[test]
fn an_update_in_place_is_no_fill() {
    let mut machine = sv39(vec![level(&[12], 2, Policy::Fifo)], &[ADUE]);
    (0..3).for_each(|index| machine.set(0x3000 + 8 * index, (0x100 + index) << 10 | CLEAN));
    machine.translate(load(0x4000_0000)).unwrap();
    machine.translate(load(0x4000_1000)).unwrap();
    let events = machine.events(store(0x4000_0000));
    assert!(!events.iter().any(|event| matches!(event, Event::TlbFill { .. })));
    // First in, first out: page 0 goes, whenever it became dirty.
    machine.translate(load(0x4000_2000)).unwrap();
    assert!(!machine.walks(load(0x4000_1000)));
    assert!(machine.walks(load(0x4000_0000)));
}

/// x86 with four levels, and the tables for 0 on at 0x1000, 0x2000, 0x3000 and 0x4000.
fn long_mode(config: &PagingConfig) -> Machine<X86> {
    let unit = Paging::new(X86::new(52), config).unwrap();
    let mut machine = Machine { unit, memory: Memory::ram(1 << 40) };
    for (id, value) in [(CR4, 1 << 5), (CR3, 0x1000), (EFER, 1 << 8), (CR0, 1 << 31 | 1 << 16 | 1)]
    {
        machine.unit.write_register(id, value, &mut machine.memory, &mut ()).unwrap();
    }
    for table in [0x1000, 0x2000, 0x3000] {
        machine.set(table, (table + 0x1000) | 7);
    }
    machine
}

// SDM Vol. 3A, 5.10.4.1: "These invalidations ensure that the page-fault exception will not recur …".
#[test]
fn a_page_fault_that_a_walk_cache_caused_does_not_recur() {
    let geometry = Geometry::fully_associative(4, Policy::Lru).unwrap();
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0] }];
    let mut machine = long_mode(&PagingConfig { walk_cache, ..PagingConfig::default() });
    machine.set(0x4000, 0x8067);
    machine.translate(load(0)).unwrap();
    machine.set(0x3000, 0x5007);
    machine.set(0x5008, 0x9067);
    assert!(machine.is_absent(0x1000), "the old table");
    assert!(!machine.is_absent(0x1000));
}

// SDM Vol. 3A, 5.10.4.1: "a page-fault exception … will invalidate any TLB entries that are for a page number
// corresponding to that linear address".
#[test]
fn a_page_fault_forgets_what_a_tlb_holds_for_the_address() {
    let tlb = vec![level(&[12], 16, Policy::Lru)];
    let mut machine = long_mode(&PagingConfig { tlb, ..PagingConfig::default() });
    machine.set(0x4000, 0x8025);
    machine.translate(load(0)).unwrap();
    machine.set(0x4000, 0);
    assert!(!machine.is_absent(0), "still held");
    machine.translate(store(0)).unwrap_err();
    assert!(machine.is_absent(0));
}

// Likewise. With PAE paging the first entry is one of four registers, which MOV CR3 loads and a global page outlives.
#[test]
fn a_page_fault_for_want_of_a_pdpte_forgets_what_a_tlb_holds_for_the_address() {
    let config =
        PagingConfig { tlb: vec![level(&[12], 16, Policy::Lru)], ..PagingConfig::default() };
    let unit = Paging::new(X86::new(52), &config).unwrap();
    let mut machine = Machine { unit, memory: Memory::ram(1 << 40) };
    // A global page, supervisor's and read-only.
    [(0x1000, 0x2001), (0x2000, 0x3023), (0x3000, 0x8121)]
        .into_iter()
        .for_each(|(entry, raw)| machine.set(entry, raw));
    let write = |machine: &mut Machine<X86>, id, value| {
        machine.unit.write_register(id, value, &mut machine.memory, &mut ()).unwrap();
    };
    for (id, value) in [(CR4, 1 << 5 | 1 << 7), (CR3, 0x1000), (CR0, 1 << 31 | 1 << 16 | 1)] {
        write(&mut machine, id, value);
    }
    machine.translate(load(0)).unwrap();
    machine.set(0x1000, 0);
    write(&mut machine, CR3, 0x1000);
    assert!(!machine.is_absent(0), "still held");
    machine.translate(store(0)).unwrap_err();
    assert!(machine.is_absent(0));
}
