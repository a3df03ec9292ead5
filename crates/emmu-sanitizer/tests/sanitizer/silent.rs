//! Kernels that invalidate what they must are not reported, whatever they do, and the sanitizer changes nothing.

use crate::kernel::{Bug, Kernel};
use emmu_core::{Event, PhysAddr, TranslationUnit, VirtAddr};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_os::{
    AArch64Tables, Exit, Layout, Op, Os, Paged, PhysicalMemory, Region, Rights, RiscVTables,
    Script, TableFormat, X86Tables,
};
use emmu_paging::{
    AArch64, Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, WalkCacheTable,
    X86, format::riscv::Status,
};
use emmu_property::quickcheck;
use emmu_sanitizer::{Report, Sanitizer, ShadowError};

/// Plays one operation per number, on the kernel and its processes 1, 2 and, when they are forked, more.
fn play(kernel: &mut Kernel, ops: &[u32]) -> Result<(), ShadowError> {
    let mut processes = 2;
    for &op in ops {
        let (what, which, page, more) = (op % 17, op >> 5, op >> 9, op >> 12);
        let process = 1 + which % processes;
        let addr = u64::from(page % 6) << 12;
        // At the start of the page, or over its end.
        let within = u64::from(more % 32) + if more & 32 == 0 { 0 } else { 4064 };
        match what {
            0 => kernel.switch(process),
            1 => kernel.unmap(process, addr),
            2 => {
                kernel.unmap(process, addr);
                kernel.map(process, addr, if more % 2 == 0 { &[] } else { b"a file" });
            }
            3 => kernel.clean(process, addr),
            4 => kernel.age(process, addr),
            5 if processes < 6 => {
                processes += 1;
                kernel.fork(process, processes);
            }
            6 | 7 => kernel.swap_out(process, addr),
            8 => kernel.free_table(process, addr),
            9 => {
                if more & 4 != 0 {
                    kernel.execute_only(process, addr);
                }
                kernel.set_status(Status::from_bits_truncate(u64::from(more % 4) << 18));
                let _ = kernel.cpu.load(VirtAddr::new(addr), emmu_core::Width::B8);
            }
            10..=13 => {
                kernel.store(addr + within, &op.to_le_bytes());
            }
            _ => {
                kernel.load(addr + within, &mut [0; 6])?;
            }
        }
    }
    Ok(())
}

/// Boots with two processes of three pages each, and plays.
fn kernel(bug: Option<Bug>, ops: &[u32]) -> (Kernel, Result<(), ShadowError>) {
    let mut kernel = Kernel::boot(bug);
    for process in 1..=2 {
        kernel.spawn(process);
        (0..3).for_each(|page| kernel.map(process, page << 12, &[]));
    }
    kernel.switch(1);
    let result = play(&mut kernel, ops);
    (kernel, result)
}

quickcheck! {
    fn a_correct_kernel_is_not_reported(ops: Vec<u32>) -> bool {
        let (kernel, result) = kernel(None, &ops);
        kernel.sanitizer.reports().is_empty() && result == Ok(())
    }
}

/// Random operations find the missing invalidations, so that silence above means something.
#[test]
fn random_operations_find_missing_invalidations() {
    let bugs = [
        Bug::StoreAsLoad,
        Bug::CleanedWithoutFence,
        Bug::TableFreedWithoutFence,
        Bug::AsidMask,
        Bug::UnmappedWithoutFence,
        Bug::ForkedWithoutFence,
        Bug::AgedWithoutFence,
        Bug::RightsRemembered,
    ];
    for bug in bugs {
        let is_found = (0..100).any(|seed| {
            let mut state = seed * 2 + 1_u32;
            let ops: Vec<u32> = (0..150)
                .map(|_| {
                    state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                    state ^ state >> 15
                })
                .collect();
            let (kernel, result) = kernel(Some(bug), &ops);
            result.is_err() || !kernel.sanitizer.reports().is_empty()
        });
        assert!(is_found, "{bug:?}");
    }
}

const START: PhysAddr = PhysAddr::new(0x8000_0000);
const HEAP: u64 = 0x10_0000;

fn config() -> PagingConfig {
    let geometry = Geometry::fully_associative(8, Policy::Lru).unwrap();
    let tlb = TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12, 21, 30] }]);
    PagingConfig {
        tlb: vec![tlb],
        walk_cache: vec![WalkCacheTable { geometry, levels: vec![0, 1] }],
        ..PagingConfig::default()
    }
}

fn ram() -> Memory {
    Memory::new().with_ram(START, 2 << 20).unwrap()
}

/// Two lives of one program on the operating system: what is told.
fn live<U, B>(
    cpu: Cpu<U, B, Vec<Event>>,
    tables: impl TableFormat,
    ops: &[(u16, bool)],
) -> Vec<Event>
where
    U: TranslationUnit<B, Vec<Event>>,
    B: emmu_core::Bus,
{
    let memory = PhysicalMemory::new(START, 2 << 20, 1 << 20).unwrap();
    let mut os = Os::boot(cpu, Paged::new(tables), &memory).unwrap();
    let heap = Region::new(VirtAddr::new(HEAP), 0x1_0000, Rights::RW).unwrap();
    let layout = Layout::new([heap]).unwrap();
    let op = |&(at, writes): &(u16, bool)| {
        let addr = VirtAddr::new(HEAP + u64::from(at & 0xfff0));
        if writes {
            Op::Store { addr, size: 8, value: at.into() }
        } else {
            Op::Load { addr, size: 8 }
        }
    };
    for _ in 0..2 {
        let mut program = Script(ops.iter().map(op).chain([Op::exit(0)]));
        assert_eq!(os.run(&layout, &mut program), Ok(Exit::Code(0)));
    }
    std::mem::take(os.cpu_mut().probe_mut())
}

/// Returns the reports of the sanitizer, and true if it changes no event.
fn sanitized<U>(
    unit: U,
    tables: impl TableFormat + Clone,
    ops: &[(u16, bool)],
) -> (Vec<Report>, bool)
where
    U: TranslationUnit<Memory, Vec<Event>>
        + TranslationUnit<emmu_sanitizer::Watched<Memory>, Vec<Event>>
        + Clone,
{
    let plain = live(Cpu::with_probe(unit.clone(), ram(), Vec::new()), tables.clone(), ops);
    let sanitizer = Sanitizer::new();
    let cpu = Cpu::with_probe(sanitizer.unit(unit), sanitizer.bus(ram()), Vec::new());
    let told = live(cpu, tables, ops);
    (sanitizer.reports(), told == plain)
}

quickcheck! {
    fn the_operating_system_is_not_reported_on_riscv(ops: Vec<(u16, bool)>) -> bool {
        let unit = Paging::new(RiscV::rv64(), &config()).unwrap();
        sanitized(unit, RiscVTables::SV39, &ops) == (vec![], true)
    }

    fn the_operating_system_is_not_reported_on_32_bit_riscv(ops: Vec<(u16, bool)>) -> bool {
        let unit = Paging::new(RiscV::rv32(), &config()).unwrap();
        sanitized(unit, RiscVTables::SV32, &ops) == (vec![], true)
    }

    fn the_operating_system_is_not_reported_on_x86_without_identifiers(ops: Vec<(u16, bool)>) -> bool {
        [X86Tables::BITS32, X86Tables::PAE].into_iter().all(|tables| {
            let unit = Paging::new(X86::new(46), &config()).unwrap();
            sanitized(unit, tables, &ops) == (vec![], true)
        })
    }

    fn the_operating_system_is_not_reported_on_aarch64(ops: Vec<(u16, bool)>) -> bool {
        let unit = Paging::new(AArch64::new(), &config()).unwrap();
        sanitized(unit, AArch64Tables::K4, &ops) == (vec![], true)
    }

    fn the_operating_system_is_not_reported_on_x86(ops: Vec<(u16, bool)>) -> bool {
        let unit = Paging::new(X86::new(46), &config()).unwrap();
        sanitized(unit, X86Tables::LEVEL4, &ops) == (vec![], true)
    }
}

#[test]
fn a_boxed_unit_can_be_wrapped() {
    type Bus = emmu_sanitizer::Watched<Memory>;
    let unit = Paging::new(RiscV::rv64(), &config()).unwrap();
    let unit: Box<dyn TranslationUnit<Bus, ()>> = Box::new(unit);
    let sanitizer = Sanitizer::new();
    let mut cpu = Cpu::new(sanitizer.unit(unit), sanitizer.bus(Memory::ram(1 << 20)));
    assert_eq!(cpu.load(VirtAddr::new(0x1000), emmu_core::Width::B8), Ok(0));
    assert!(sanitizer.check().is_ok());
}
