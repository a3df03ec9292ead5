//! Invalidations by address forget what the manual names, and nothing else.

use emmu_core::{
    Access, AccessFlags, Asid, Bus, Event, Invalidate, PhysAddr, RegisterId, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Geometry, InvalidationReach, Paging, PagingConfig, Policy, Reach, RiscV, TlbLevel,
    TlbTable, WalkCacheTable, X86,
    format::{
        Format,
        aarch64::{SCTLR_EL1, TCR_EL1, TTBR0_EL1},
        riscv::{HGATP, RiscVH, SATP},
        x86::{CR0, CR3, CR3_NO_FLUSH, CR4, EFER},
    },
};

/// Two address spaces have the same tables of three levels: pages at `NEAR` and `GLOBAL` by one last table, and at `FAR` by
/// another; the page at `GLOBAL` is every address space's.
const NEAR: u64 = 0x4000_0000;
const GLOBAL: u64 = 0x4000_1000;
const FAR: u64 = 0x4020_0000;

/// A machine whose TLB holds four entries: the page `NEAR` and the page `FAR`, in each of two address spaces.
/// It tells which of them an invalidation drops.
struct Machine<F: Format> {
    unit: Paging<F>,
    memory: Memory,
    enter: fn(u16) -> (RegisterId, u64),
}

fn tlb() -> PagingConfig {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let tlb = vec![TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12] }])];
    PagingConfig { tlb, ..PagingConfig::default() }
}

/// Remembers last tables only.
fn walk_cache() -> PagingConfig {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0] }];
    PagingConfig { walk_cache, ..PagingConfig::default() }
}

impl<F: Format> Machine<F> {
    fn new(
        format: F,
        config: &PagingConfig,
        entries: &[(u64, u64)],
        registers: &[(RegisterId, u64)],
        enter: fn(u16) -> (RegisterId, u64),
    ) -> Self {
        let unit = Paging::new(format, config).unwrap();
        let mut machine = Self { unit, memory: Memory::ram(1 << 30), enter };
        for &(addr, entry) in entries {
            machine.memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
        }
        registers.iter().for_each(|&register| machine.write(register));
        for (asid, addr) in EVERYTHING {
            machine.reads(asid, addr);
        }
        machine
    }

    fn write(&mut self, (id, value): (RegisterId, u64)) {
        self.unit.write_register(id, value, &mut self.memory, &mut ()).unwrap();
    }

    /// How many entries a load in this address space reads.
    fn reads(&mut self, asid: u16, addr: u64) -> usize {
        let mut events = Vec::new();
        self.write((self.enter)(asid));
        let load = Access::load(VirtAddr::new(addr), 8);
        self.unit.translate(load, &mut self.memory, &mut events).unwrap();
        events.iter().filter(|event| matches!(event, Event::EntryRead { .. })).count()
    }

    /// Returns the entries that an invalidation has dropped, in this order.
    fn forgotten(mut self, scope: Invalidate) -> Vec<(u16, u64)> {
        let known = EVERYTHING.map(|(asid, addr)| self.reads(asid, addr));
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
        let mut all: Vec<_> = EVERYTHING.into_iter().zip(known).collect();
        all.retain(|&((asid, addr), known)| self.reads(asid, addr) != known);
        all.into_iter().map(|(of, _)| of).collect()
    }
}

const EVERYTHING: [(u16, u64); 5] = [(1, NEAR), (1, FAR), (2, NEAR), (2, FAR), (1, GLOBAL)];

fn x86(config: &PagingConfig) -> Machine<X86> {
    let entries = [
        (0x1000, 0x2007),
        (0x2008, 0x3007),
        (0x3000, 0x4007),
        (0x3008, 0x5007),
        (0x4000, 0x8067),
        (0x4008, 0x9167),
        (0x5000, 0xa067),
    ];
    let registers = [
        (CR4, 1 << 5 | 1 << 7),
        (CR3, 0x1000),
        (EFER, 1 << 8),
        (CR0, 1 << 31 | 1),
        (CR4, 1 << 5 | 1 << 7 | 1 << 17),
    ];
    let enter = |pcid: u16| (CR3, 0x1000 | u64::from(pcid) | CR3_NO_FLUSH);
    Machine::new(X86::new(52), config, &entries, &registers, enter)
}

/// 4 KiB granule, 39 bits.
fn aarch64(config: &PagingConfig) -> Machine<AArch64> {
    let entries = [
        (0x1008, 0x3003),
        (0x3000, 0x4003),
        (0x3008, 0x5003),
        (0x4000, 0x8c03),
        (0x4008, 0x9403),
        (0x5000, 0xac03),
    ];
    let tcr = 5 << 32 | 2 << 30 | 25 << 16 | 25;
    let registers = [(TCR_EL1, tcr), (TTBR0_EL1, 0x1000), (SCTLR_EL1, 1)];
    let enter = |asid: u16| (TTBR0_EL1, u64::from(asid) << 48 | 0x1000);
    Machine::new(AArch64::new(), config, &entries, &registers, enter)
}

/// Sv39.
fn riscv(config: &PagingConfig) -> Machine<RiscV> {
    let leaf = |frame: u64, bits| frame >> 2 | bits;
    let entries = [
        (0x1008, 0x3000 >> 2 | 1),
        (0x3000, 0x4000 >> 2 | 1),
        (0x3008, 0x5000 >> 2 | 1),
        (0x4000, leaf(0x8000, 0xcf)),
        (0x4008, leaf(0x9000, 0xef)),
        (0x5000, leaf(0xa000, 0xcf)),
    ];
    let enter = |asid: u16| (SATP, 8 << 60 | u64::from(asid) << 44 | 1);
    Machine::new(RiscV::rv64(), config, &entries, &[], enter)
}

fn page(asid: u16, addr: u64, global: bool) -> Invalidate {
    Invalidate::PageInAsid { addr: VirtAddr::new(addr), asid: Asid(asid), global }
}

fn range(asid: Option<u16>) -> Invalidate {
    Invalidate::Range { addr: VirtAddr::new(NEAR), len: 0x2000, asid: asid.map(Asid) }
}

// spec: x86-invalidate
#[test]
fn invlpg_is_for_the_present_pcid_and_for_global_pages() {
    let mut machine = x86(&tlb());
    machine.write((machine.enter)(2));
    let invlpg = machine.unit.format().invlpg(VirtAddr::new(NEAR));
    assert_eq!(invlpg, page(2, NEAR, true));
    assert_eq!(machine.forgotten(invlpg), [(2, NEAR)]);
    assert_eq!(x86(&tlb()).forgotten(page(2, GLOBAL, true)), [(1, GLOBAL)]);
}

#[test]
fn invpcid_of_one_address_leaves_global_pages() {
    assert_eq!(x86(&tlb()).forgotten(page(2, NEAR, false)), [(2, NEAR)]);
    assert_eq!(x86(&tlb()).forgotten(page(1, GLOBAL, false)), []);
}

#[test]
fn invlpg_empties_the_walk_caches_of_its_pcid() {
    // What the first walk by a table remembers again, the second one finds.
    let forgotten = x86(&walk_cache()).forgotten(page(2, GLOBAL, true));
    assert_eq!(forgotten, [(2, NEAR), (2, FAR)]);
}

#[test]
fn invpcid_forgets_only_the_tables_on_the_way() {
    assert_eq!(x86(&walk_cache()).forgotten(page(2, NEAR, false)), [(2, NEAR)]);
    assert_eq!(x86(&walk_cache()).forgotten(page(1, FAR, false)), [(1, FAR)]);
}

#[test]
fn tlbi_vae1_is_for_one_asid_and_for_global_pages() {
    assert_eq!(aarch64(&tlb()).forgotten(page(2, NEAR, true)), [(2, NEAR)]);
    assert_eq!(aarch64(&tlb()).forgotten(page(2, GLOBAL, true)), [(1, GLOBAL)]);
    assert_eq!(aarch64(&walk_cache()).forgotten(page(2, FAR, true)), [(2, FAR)]);
}

#[test]
fn tlbi_rvae1_is_for_one_asid_and_for_global_pages() {
    assert_eq!(aarch64(&tlb()).forgotten(range(Some(2))), [(2, NEAR), (1, GLOBAL)]);
    assert_eq!(aarch64(&walk_cache()).forgotten(range(Some(2))), [(2, NEAR)]);
}

#[test]
fn tlbi_vaae1_and_rvaae1_are_for_all_asids() {
    let vaae1 = Invalidate::Page(VirtAddr::new(NEAR));
    assert_eq!(aarch64(&tlb()).forgotten(vaae1), [(1, NEAR), (2, NEAR)]);
    let rvaae1 = range(None);
    assert_eq!(aarch64(&tlb()).forgotten(rvaae1), [(1, NEAR), (2, NEAR), (1, GLOBAL)]);
}

#[test]
fn sfence_vma_with_an_address_is_for_leaf_entries_only() {
    for scope in [page(1, NEAR, false), Invalidate::Page(VirtAddr::new(NEAR))] {
        assert_eq!(riscv(&walk_cache()).forgotten(scope), [], "{scope:?}");
    }
    assert_eq!(riscv(&tlb()).forgotten(page(1, NEAR, false)), [(1, NEAR)]);
    let of_space = riscv(&walk_cache()).forgotten(Invalidate::Asid(Asid(1)));
    assert_eq!(of_space, [(1, NEAR), (1, FAR)]);
}

#[test]
fn a_machine_may_empty_walk_caches_with_every_page() {
    let reach = InvalidationReach { page_in_asid: Reach::WalkCaches, ..Default::default() };
    let config = PagingConfig { reach, ..walk_cache() };
    assert_eq!(riscv(&config).forgotten(page(2, NEAR, false)), [(2, NEAR), (2, FAR)]);
    assert_eq!(x86(&config).forgotten(page(2, NEAR, false)), [(2, NEAR), (2, FAR)]);
}

#[test]
fn a_machine_may_forget_a_page_or_a_range_of_every_address_space() {
    let reach = InvalidationReach {
        page_in_asid: Reach::Page,
        range: Reach::Page,
        ..InvalidationReach::default()
    };
    let config = PagingConfig { reach, ..tlb() };
    assert_eq!(x86(&config).forgotten(page(2, NEAR, true)), [(1, NEAR), (2, NEAR)]);
    let forgotten = aarch64(&config).forgotten(range(Some(2)));
    assert_eq!(forgotten, [(1, NEAR), (2, NEAR), (1, GLOBAL)]);
}

#[test]
fn an_address_space_forgotten_for_a_page_takes_the_global_page_along() {
    let reach = InvalidationReach { page_in_asid: Reach::Asid, ..Default::default() };
    let config = PagingConfig { reach, ..tlb() };
    let forgotten = x86(&config).forgotten(page(2, GLOBAL, true));
    assert_eq!(forgotten, [(2, NEAR), (2, FAR), (1, GLOBAL)]);
}

/// Where a guest without tables of its own finds an address, after an entry above the last level of Sv39x4 has changed and
/// HFENCE.GVMA has named the first page below it.
fn after_hfence_gvma(addr: u64) -> u64 {
    let mut unit = RiscVH::rv64().hart(&PagingConfig::default(), &walk_cache()).unwrap();
    let mut memory = Memory::ram(1 << 20);
    let table = |at: u64| at >> 2 | 1;
    let leaf = |at: u64| at >> 2 | 0xdf;
    for (at, entry) in [
        (0x1_0000, table(0x2_0000)),
        (0x2_0000, table(0x3_0000)),
        (0x3_0000, leaf(0x4_0000)),
        (0x3_0008, leaf(0x4_1000)),
        (0x5_0000, leaf(0x6_0000)),
        (0x5_0008, leaf(0x6_1000)),
    ] {
        memory.write(PhysAddr::new(at), Width::B8, entry).unwrap();
    }
    unit.write_register(HGATP, 8 << 60 | 5 << 44 | 0x10, &mut memory, &mut ()).unwrap();
    let load = Access::load(VirtAddr::new(addr), 8).with_flags(AccessFlags::GUEST);
    unit.translate(load, &mut memory, &mut ()).unwrap();
    memory.write(PhysAddr::new(0x2_0000), Width::B8, table(0x5_0000)).unwrap();
    let (tables, addr) = (Some(5), Some(PhysAddr::new(0)));
    let fence = Invalidate::SecondStage { tables, addr, combined: true };
    TranslationUnit::<Memory, ()>::invalidate(&mut unit, fence);
    unit.translate(load, &mut memory, &mut ()).unwrap().addr.raw()
}

#[test]
fn hfence_gvma_with_an_address_is_for_all_entries_on_its_way() {
    assert_eq!(after_hfence_gvma(0x10), 0x6_0010);
    assert_eq!(after_hfence_gvma(0x1010), 0x6_1010);
}
