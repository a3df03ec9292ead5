//! Exact counts and cycles of accesses through two stages: Sv39 on Sv39x4, and x86 with EPT, both with small pages.

use emmu_core::{
    Access, AccessFlags, Bus, PhysAddr, Probe, RegisterId, Side, TlbId, TranslationUnit, VirtAddr,
    Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Paging, SecondStageFormat, X86,
    format::{
        Format,
        riscv::{HGATP, RiscVH, VSATP, VSSTATUS},
        x86::{CR0, CR3, CR4, EFER, EPTP},
    },
};
use emmu_timing::{Account, Counters, Cycles, Machine, SecondStageCycles};

/// Lookups cost 1 and 10 in the TLBs, 2 in the walk caches, 3 in the second stage's TLB, 5 in its walk caches; every
/// read costs 100, and an update 50.
const MACHINE: &str = r#"
name = "nested"
[memory]
size = "64M"
latency = 100
[tlb.l1]
latency = 1
[[tlb.l1.unified]]
pages = ["4K"]
entries = 4
[tlb.l2]
latency = 10
[[tlb.l2.unified]]
pages = ["4K"]
entries = 16
[walk_cache]
latency = 2
[[walk_cache.tables]]
levels = [0, 1]
entries = 4
[second_stage.tlb.l1]
latency = 3
[[second_stage.tlb.l1.unified]]
pages = ["4K"]
entries = 16
[second_stage.walk_cache]
latency = 5
[[second_stage.walk_cache.tables]]
levels = [0, 1]
entries = 4
[prices]
entry_update = 50
"#;

fn machine(format: &str) -> Machine {
    Machine::from_toml("nested", &format!("format = \"{format}\"\n{MACHINE}")).unwrap()
}

/// A two-stage unit, the probe that prices it, and the flags of its accesses.
struct Guest<F: Format, H: SecondStageFormat> {
    unit: Paging<F, Paging<H>>,
    memory: Memory,
    flags: AccessFlags,
    probe: (Counters, Cycles),
}

impl<F: Format, H: SecondStageFormat> Guest<F, H> {
    fn new(
        unit: Paging<F, Paging<H>>,
        memory: Memory,
        flags: AccessFlags,
        machine: &Machine,
        registers: &[(RegisterId, u64)],
    ) -> Self {
        let probe = (Counters::default(), Cycles::new(machine));
        let mut guest = Self { unit, memory, flags, probe };
        for &(id, value) in registers {
            guest.unit.write_register(id, value, &mut guest.memory, &mut ()).unwrap();
        }
        guest
    }

    /// Translates a load and returns the cycles that it took.
    fn load(&mut self, addr: u64) -> u64 {
        let before = self.probe.1.total();
        let access = Access::load(VirtAddr::new(addr), 8).with_flags(self.flags);
        self.unit.translate(access, &mut self.memory, &mut self.probe).unwrap();
        self.probe.1.total() - before
    }
}

const GUEST_ROOT: u64 = 0x1000;
const HOST_ROOT: u64 = 0x1_0000;

/// Writes tables of `levels` levels, one page apart from the root on. The top table may take four pages. The
/// last table has these entries, and each of the others has one.
fn tables(memory: &mut Memory, root: u64, levels: u64, table: fn(u64) -> u64, leaves: &[u64]) {
    let mut write = |addr, raw| memory.write(PhysAddr::new(addr), Width::B8, raw).unwrap();
    let at = |level: u64| if level == 0 { root } else { root + 0x3000 + level * 0x1000 };
    (1..levels).for_each(|level| write(at(level - 1), table(at(level))));
    (0..).zip(leaves).for_each(|(index, &leaf)| write(at(levels - 1) + 8 * index, leaf));
}

/// Makes the leaves of both stages: the guest's page n is guest-physical page 0x40 + n, and each guest-physical
/// page below 2 MiB maps to itself.
fn leaves(leaf: fn(u64) -> u64) -> [Vec<u64>; 2] {
    [0x40_u64, 0].map(|first| (first..0x100).map(|page| leaf(page << 12)).collect())
}

fn riscv() -> Guest<RiscVH, emmu_paging::format::riscv::GStage> {
    let mut memory = Memory::ram(1 << 30);
    let table = |addr: u64| addr >> 2 | 1;
    let [guest, host] = leaves(|addr| addr >> 2 | 0xdf);
    tables(&mut memory, GUEST_ROOT, 3, table, &guest);
    tables(&mut memory, HOST_ROOT, 3, table, &host);
    let machine = machine("riscv-sv39");
    let hart = RiscVH::rv64();
    let unit = hart.hart(&machine.paging_config(), &machine.second_stage_config()).unwrap();
    let registers = [
        (HGATP, 8 << 60 | HOST_ROOT >> 12),
        (VSATP, 8 << 60 | GUEST_ROOT >> 12),
        (VSSTATUS, 1 << 18),
    ];
    Guest::new(unit, memory, AccessFlags::GUEST, &machine, &registers)
}

fn x86(guest_leaf: fn(u64) -> u64) -> Guest<X86, emmu_paging::format::x86::Ept> {
    let mut memory = Memory::ram(1 << 30);
    tables(&mut memory, GUEST_ROOT, 4, |addr| addr | 0x27, &leaves(guest_leaf)[0]);
    tables(&mut memory, HOST_ROOT, 4, |addr| addr | 7, &leaves(|addr| addr | 0x37)[1]);
    let machine = machine("x86-64-4level");
    let configs = (machine.paging_config(), machine.second_stage_config());
    let unit = X86::new(46).guest(&configs.0, &configs.1).unwrap();
    let registers = [
        (EPTP, HOST_ROOT | 3 << 3 | 6),
        (EFER, 1 << 8),
        (CR4, 1 << 5),
        (CR3, GUEST_ROOT),
        (CR0, 1 << 31 | 1),
    ];
    Guest::new(unit, memory, AccessFlags::empty(), &machine, &registers)
}

/// Returns the cycles of a second-stage walk that starts at its root. [`WARM`] is the cycles of one that starts
/// at its last table.
const fn cold(levels: u64) -> u64 {
    3 + 5 + levels * 100
}
const WARM: u64 = 3 + 5 + 100;
/// Lookups in both TLBs and in the walk caches.
const MISSES: u64 = 1 + 10 + 2;

#[test]
fn a_cold_load_pays_for_the_second_stage_at_every_entry_and_for_the_data() {
    // After the first entry, the second stage's walk cache holds its last table.
    assert_eq!(riscv().load(0x1000), MISSES + cold(3) + 100 + 2 * (WARM + 100) + WARM);
    let page = |addr| addr | 0x67;
    assert_eq!(x86(page).load(0x1000), MISSES + cold(4) + 100 + 3 * (WARM + 100) + WARM);
}

#[test]
fn the_cycles_of_a_cold_load_are_told_by_stage() {
    let mut guest = riscv();
    let total = guest.load(0x1000);
    let cycles = guest.probe.1;
    let spent = cycles.by_cause()[Account::Supervisor];
    assert_eq!(
        (spent.tlb[..2].to_vec(), spent.walk_cache, spent.entry_reads),
        (vec![1, 10], 2, 300)
    );
    let mut tlb = [0; 8];
    tlb[0] = 4 * 3;
    let second = SecondStageCycles { tlb, walk_cache: 4 * 5, entry_reads: 600, entry_updates: 0 };
    assert_eq!(spent.second_stage, second);
    // Both stages are one walk. A perfect TLB would have saved all of it, and the lookup in the second level.
    assert_eq!(cycles.walk_latency().iter().collect::<Vec<_>>(), [(total - 11, 1)]);
    assert_eq!(cycles.perfect()[Account::Supervisor], 1);
}

#[test]
fn the_next_page_finds_the_guest_s_last_table_in_both_stages() {
    let mut guest = riscv();
    guest.load(0x1000);
    // The page of the entry is in the second stage's TLB; the page of the data is not.
    assert_eq!(guest.load(0x2000), MISSES + 3 + 100 + WARM);
    assert_eq!(guest.load(0x2000), 1);
}

#[test]
fn an_update_is_the_stage_s_whose_entry_it_is() {
    // The guest's page has its accessed flag clear, so the second stage translates its entry once more, to
    // write it.
    let mut guest = x86(|addr| addr | 0x7);
    let clean = x86(|addr| addr | 0x67).load(0x1000);
    let spent = guest.load(0x1000);
    let by_cause = guest.probe.1.by_cause()[Account::Supervisor];
    assert_eq!((by_cause.entry_updates, by_cause.second_stage.entry_updates), (50, 0));
    assert_eq!(spent, clean + 50 + 3);
}

#[test]
fn each_stage_s_walks_and_lookups_are_counted_apart() {
    let mut guest = riscv();
    guest.load(0x1000);
    guest.load(0x2000);
    let report = guest.probe.0.report();
    assert_eq!(report.walks.reads, [2, 1, 1]);
    assert_eq!(report.walk_cache.hits, [1]);
    let second = report.second_stage.unwrap();
    assert_eq!((second.walks.begun[Account::Supervisor], second.walks.reads), (5, vec![5, 1, 1]));
    assert_eq!((second.walk_cache.hits, second.walk_cache.misses), (vec![4], 1));
    let tlb = TlbId { level: 1, side: Side::SecondStage };
    let lookups = guest.probe.0.tlb(tlb);
    assert_eq!((lookups.hits.total(), lookups.misses.total(), lookups.fills), (1, 5, 5));
}

#[test]
fn entry_reads_by_cache_are_told_by_stage() {
    let mut guest = riscv();
    guest.load(0x1000);
    let report = guest.probe.1.report();
    assert_eq!(report.entry_reads_by_cache.memory, 9);
    let reads = |levels: &[emmu_timing::ByServed]| -> Vec<u64> {
        levels.iter().map(|served| served.memory).collect()
    };
    assert_eq!(reads(&report.entry_reads_by_level_and_cache), [1, 1, 1]);
    assert_eq!(reads(&report.second_stage_entry_reads_by_level_and_cache), [4, 1, 1]);
}

#[test]
fn reports_speak_of_a_second_stage_only_where_there_is_one() {
    let mut probe = (Counters::default(), Cycles::new(&machine("riscv-sv39")));
    let says = |probe: &(Counters, Cycles)| {
        let json = [serde_json::to_string(&probe.0), serde_json::to_string(&probe.1)];
        json.map(|text| text.unwrap().contains("second_stage"))
    };
    probe.on(emmu_core::Event::Access(Access::load(VirtAddr::new(0), 8)));
    assert_eq!(says(&probe), [false; 2]);
    let mut guest = riscv();
    guest.load(0x1000);
    assert_eq!(says(&guest.probe), [true; 2]);
}
