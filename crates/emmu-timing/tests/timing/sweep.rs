//! A machine, its paging unit and both probes together: a cold sweep over 2 MiB, one load a page.

use emmu_core::{Access, Bus, PhysAddr, TranslationUnit, VirtAddr, Width};
use emmu_memory::Memory;
use emmu_paging::{Paging, RiscV};
use emmu_timing::{Counters, Cycles, Machine};

const ROOT: u64 = 0x10_0000;
const SV39: u64 = 8 << 60;
/// The flags V, R, W, A and D.
const LEAF: u64 = 0xc7;
const POINTER: u64 = 1;

/// Makes tables that map 512 pages from `0x4000_0000` on.
fn tables() -> Memory {
    let mut memory = Memory::new().with_ram(PhysAddr::ZERO, 64 << 20).unwrap();
    let mut write = |addr, entry| memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
    let entry = |table: u64| table >> 12 << 10 | POINTER;
    write(ROOT + 8, entry(ROOT + 0x1000));
    write(ROOT + 0x1000, entry(ROOT + 0x2000));
    for page in 0..512 {
        write(ROOT + 0x2000 + page * 8, (0x1000 + page) << 10 | LEAF);
    }
    memory
}

#[test]
fn a_cold_sweep_costs_what_its_references_and_lines_cost() {
    let machine = Machine::preset("textbook-sv39").unwrap();
    let format = RiscV::rv64().with_satp(SV39 | ROOT >> 12);
    let mut unit = Paging::new(format, &machine.paging_config()).unwrap();
    let mut probe = (Counters::default(), Cycles::new(&machine));
    let mut memory = tables();
    for page in 0..512 {
        let access = Access::load(VirtAddr::new(0x4000_0000 + page * 4096), 8);
        let found = unit.translate(access, &mut memory, &mut probe).unwrap();
        assert_eq!(found.addr, PhysAddr::new((0x1000 + page) << 12));
    }
    let (counters, cycles) = probe;
    // The first walk reads entries of three levels, and each of the others reads one. Eight entries share a
    // line.
    let (references, lines) = (3 + 511, 2 + 64);
    assert_eq!(counters.entry_reads().iter().sum::<u64>(), references);
    assert_eq!(cycles.report().entry_reads_by_cache.memory, lines);
    let walks = 512 * 2 + lines * 100 + (references - lines) * 5;
    assert_eq!(cycles.walk_latency().sum(), walks);
    assert_eq!(cycles.total(), 512 * (1 + 10) + walks);
}
