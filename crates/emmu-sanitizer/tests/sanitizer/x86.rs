//! Bugs of kernels for x86, with process-context identifiers.

use crate::remembering::Remembering;
use emmu_core::{Asid, Invalidate, PhysAddr, VirtAddr, Width};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable, X86,
    format::x86::{CR0, CR3, CR3_NO_FLUSH, CR4, Cr0, Cr4, EFER, Efer},
};
use emmu_sanitizer::{Kind, Report, Sanitized, Sanitizer, Watched};
use insta::assert_snapshot;

type Machine = Cpu<Sanitized<Remembering<Paging<X86>>>, Watched<Memory>>;

/// Page-map level-4 tables of two processes.
const ROOTS: [u64; 2] = [0x1_0000, 0x2_0000];
/// A page that both have, each its own.
const PAGE: u64 = 0x40_0000;
/// Present, writable, accessed and dirty.
const BITS: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 6;

fn put(cpu: &mut Machine, addr: u64, value: u64) {
    cpu.store(VirtAddr::new(addr), Width::B8, value).unwrap();
}

/// 4-level paging with PCIDs; each space has the first 2 MiB, where the tables are, and one page. The unit remembers rights,
/// or not.
fn boot(sanitizer: &Sanitizer, remembers: bool) -> Machine {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let tlb = TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12, 21] }]);
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0, 1, 2] }];
    let unit = Paging::new(
        X86::new(52),
        &PagingConfig { tlb: vec![tlb], walk_cache, ..PagingConfig::default() },
    )
    .unwrap();
    let unit = Remembering::new(unit, remembers);
    let mut cpu = Cpu::new(sanitizer.unit(unit), sanitizer.bus(Memory::ram(1 << 32)));
    cpu.install_handler(VirtAddr::new(0)).unwrap();
    for (number, root) in (0..).zip(ROOTS) {
        let [pointers, directory, table] = [1, 2, 3].map(|number| root + number * 0x1000);
        put(&mut cpu, root, pointers | BITS);
        put(&mut cpu, pointers, directory | BITS);
        put(&mut cpu, directory, BITS | 1 << 7);
        put(&mut cpu, directory + 16, table | BITS);
        put(&mut cpu, table, (0x80_0000 + number * 0x1000) | BITS);
    }
    sanitizer.mark("boot");
    cpu.write_register(CR4, (Cr4::PAE | Cr4::PGE).bits()).unwrap();
    cpu.write_register(CR3, ROOTS[0]).unwrap();
    cpu.write_register(EFER, Efer::LME.bits()).unwrap();
    cpu.write_register(CR0, (Cr0::PE | Cr0::WP | Cr0::PG).bits()).unwrap();
    cpu.write_register(CR4, (Cr4::PAE | Cr4::PGE | Cr4::PCIDE).bits()).unwrap();
    cpu
}

/// The reports of a scenario on a machine just booted.
fn reports(scenario: impl Fn(&mut Machine, &Sanitizer)) -> Vec<Report> {
    reports_of(false, scenario)
}

/// Returns the reports of the scenario on a machine that keeps old rights if `is_wrong` is true.
fn reports_of(is_wrong: bool, scenario: impl Fn(&mut Machine, &Sanitizer)) -> Vec<Report> {
    let sanitizer = Sanitizer::new();
    let mut cpu = boot(&sanitizer, is_wrong);
    scenario(&mut cpu, &sanitizer);
    sanitizer.reports()
}

fn load(cpu: &mut Machine, addr: u64) {
    cpu.load(VirtAddr::new(addr), Width::B8).unwrap();
}

#[test]
fn a_root_switched_without_an_invalidation_when_its_owner_was_swapped_out() {
    // PCID 1 was the first process's, which is swapped out; the second gets it.
    let switch = |keep: u64| {
        reports(move |cpu, sanitizer| {
            cpu.write_register(CR3, ROOTS[0] | 1).unwrap();
            load(cpu, PAGE);
            sanitizer.mark("switch");
            cpu.write_register(CR3, ROOTS[1] | 1 | keep).unwrap();
            load(cpu, PAGE);
        })
    };
    assert_eq!(switch(0), []);
    let [report] = &switch(CR3_NO_FLUSH)[..] else { panic!("one report") };
    assert_eq!(report.kind, Kind::Moved);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the page is elsewhere by now
      --> supervisor load of 8 bytes at 0x400000, access 12, in switch
       | the TLB leads to 0x800000
       | the tables lead to 0x801000
    note: this register write changed the outcome
      --> after access 11, in switch
       | cr3 was 0x10001 and became 0x20001
    help: after that, `invpcid 1 (pcid 1), or mov cr3 with bit 63 clear` is enough
    ");
}

#[test]
fn write_protection_without_invlpg() {
    let protect = |scope: Option<Invalidate>| {
        reports(move |cpu, sanitizer| {
            cpu.store(VirtAddr::new(PAGE), Width::B8, 1).unwrap();
            sanitizer.mark("mprotect");
            put(cpu, ROOTS[0] + 0x3000, 0x80_0000 | BITS & !2);
            if let Some(scope) = scope {
                cpu.invalidate(scope).unwrap();
            }
            let _ = cpu.store(VirtAddr::new(PAGE), Width::B8, 2);
        })
    };
    let page = |addr| {
        let (addr, asid) = (VirtAddr::new(addr), Asid(0));
        Some(Invalidate::PageInAsid { addr, asid, global: true })
    };
    assert_eq!(protect(page(PAGE)), []);
    // The page after it does not help, and is told of.
    let [report] = &protect(page(PAGE + 0x1000))[..] else { panic!("one report") };
    assert_eq!(report.write().unwrap().addr, PhysAddr::new(ROOTS[0] + 0x3000));
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> supervisor store of 8 bytes at 0x400000, access 13, in mprotect
       | the TLB leads to 0x800000
       | the tables say: the mapping is read-only (level 0 entry at 0x13000 holds 0x800061)
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x13000, access 12, in mprotect
       | the level 0 entry at 0x13000 was 0x800063 and became 0x800061
    note: `invlpg [0x401000]` came after it, and was not enough
    help: after that, `invlpg [0x400000]` is enough
    ");
}

#[test]
fn rights_remembered_across_a_change_of_cr0_wp() {
    let protect = |is_wrong| {
        reports_of(is_wrong, |cpu, sanitizer| {
            put(cpu, ROOTS[0] + 0x3000, 0x80_0000 | BITS & !2);
            cpu.write_register(CR0, (Cr0::PE | Cr0::PG).bits()).unwrap();
            cpu.store(VirtAddr::new(PAGE), Width::B8, 1).unwrap();
            sanitizer.mark("protect");
            cpu.write_register(CR0, (Cr0::PE | Cr0::WP | Cr0::PG).bits()).unwrap();
            let _ = cpu.store(VirtAddr::new(PAGE), Width::B8, 2);
        })
    };
    assert_eq!(protect(false), []);
    let [report] = &protect(true)[..] else { panic!("one report") };
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> supervisor store of 8 bytes at 0x400000, access 13, in protect
       | the TLB leads to 0x800000
       | the tables say: the mapping is read-only (level 0 entry at 0x13000 holds 0x800061)
    note: this register write changed the outcome
      --> after access 12, in protect
       | cr0 was 0x80000001 and became 0x80010001
    help: cr0 counts at once: the unit must not remember it
    ");
}

#[test]
fn an_entry_that_gained_rights_is_not_reported() {
    let found = reports(|cpu, _| {
        put(cpu, ROOTS[0] + 0x3000, 0x80_0000 | BITS & !2);
        load(cpu, PAGE);
        put(cpu, ROOTS[0] + 0x3000, 0x80_0000 | BITS);
        load(cpu, PAGE);
        cpu.store(VirtAddr::new(PAGE), Width::B8, 2).unwrap();
    });
    assert_eq!(found, []);
}
