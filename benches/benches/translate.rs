//! Translation through the unit alone: hits, misses, walks of every format, invalidation.
#![expect(clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, criterion_group, criterion_main};
use emmu_benches::{Layout, ROOT, machine, sv39, usual_tlbs, usual_walk_caches};
use emmu_core::{Access, Asid, Bus, Invalidate, TranslationUnit, VirtAddr, Width};
use emmu_memory::Memory;
use emmu_paging::{AArch64, Paging, PagingConfig, RiscV, X86, format::Format};
use std::hint::black_box;

/// Translates loads of `pages` pages of 2^`page_bits` bytes in turn, one an iteration.
fn round_robin<F: Format>(
    criterion: &mut Criterion,
    name: &str,
    (mut unit, mut memory): (Paging<F>, Memory),
    (pages, page_bits): (u64, u8),
) {
    let mut page = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            page = if page + 1 == pages { 0 } else { page + 1 };
            let access = Access::load(VirtAddr::new(black_box(page << page_bits)), 8);
            unit.translate(access, &mut memory, &mut ()).unwrap().addr
        });
    });
}

fn hits(criterion: &mut Criterion) {
    let tlbs = usual_tlbs(12).unwrap();
    round_robin(criterion, "sv39/L1 hit", sv39(&tlbs, 32).unwrap(), (32, 12));
    round_robin(criterion, "sv39/L1 miss, L2 hit", sv39(&tlbs, 1024).unwrap(), (1024, 12));
    round_robin(criterion, "sv39/L2 miss, walk", sv39(&tlbs, 4096).unwrap(), (4096, 12));
}

/// Measures translation in each format: a walk of all levels, a walk that begins at a table of a walk cache,
/// and hits instead of a walk.
fn formats(criterion: &mut Criterion) {
    let satp = |mode: u64| [("satp", mode << 60 | ROOT >> 12)];
    let sv = |index_bits| Layout::riscv(Width::B8, index_bits);
    format(
        criterion,
        "sv32",
        &RiscV::rv32(),
        &[("satp", 1 << 31 | ROOT >> 12)],
        Layout::riscv(Width::B4, &[10; 2]),
    );
    format(criterion, "sv39", &RiscV::rv64(), &satp(8), sv(&[9; 3]));
    format(criterion, "sv48", &RiscV::rv64(), &satp(9), sv(&[9; 4]));
    format(criterion, "sv57", &RiscV::rv64(), &satp(10), sv(&[9; 5]));

    let x86 =
        |cr4, efer| [("cr4", cr4), ("cr3", ROOT), ("efer", efer), ("cr0", 1 << 31 | 1 << 16 | 1)];
    let long = |index_bits| Layout::x86(Width::B8, index_bits);
    format(criterion, "x86 32-bit", &X86::new(52), &x86(0, 0), Layout::x86(Width::B4, &[10; 2]));
    format(criterion, "x86 PAE", &X86::new(52), &x86(1 << 5, 0), Layout::pae());
    format(criterion, "x86 4-level", &X86::new(52), &x86(1 << 5, 1 << 8), long(&[9; 4]));
    format(criterion, "x86 5-level", &X86::new(52), &x86(1 << 5 | 1 << 12, 1 << 8), long(&[9; 5]));

    // 48-bit addresses, in and out.
    let arm = |tg0: u64| {
        [("ttbr0_el1", ROOT), ("tcr_el1", 5 << 32 | 16 << 16 | tg0 << 14 | 16), ("sctlr_el1", 1)]
    };
    format(criterion, "aarch64 4K", &AArch64::new(), &arm(0), Layout::aarch64(12, &[9; 4]));
    format(
        criterion,
        "aarch64 16K",
        &AArch64::new(),
        &arm(2),
        Layout::aarch64(14, &[1, 11, 11, 11]),
    );
    format(criterion, "aarch64 64K", &AArch64::new(), &arm(1), Layout::aarch64(16, &[6, 13, 13]));

    for (name, layout) in
        [("textbook linear", Layout::linear()), ("textbook two levels", Layout::two_levels())]
    {
        let registers = [("ptbr", layout.root()), ("mode", 1)];
        format(criterion, name, &layout.described().unwrap(), &registers, layout);
    }
}

fn format<F: Format + Clone>(
    criterion: &mut Criterion,
    name: &str,
    format: &F,
    registers: &[(&str, u64)],
    layout: Layout,
) {
    let tlbs = usual_tlbs(layout.page_bits()).unwrap();
    let rows = [
        (format!("walk/{name}"), PagingConfig::default(), 64),
        (format!("walk/{name}, walk caches"), usual_walk_caches().unwrap(), 64),
        (format!("walk/{name}, L1 hit instead"), tlbs.clone(), 32),
        (format!("walk/{name}, L2 hit instead"), tlbs, 512),
    ];
    for (name, config, pages) in rows {
        let machine = machine(format.clone(), registers, &layout, &config, pages).unwrap();
        round_robin(criterion, &name, machine, (pages, layout.page_bits()));
    }
}

fn invalidate<B: Bus>(unit: &mut Paging<RiscV>, _: &B, scope: Invalidate) {
    TranslationUnit::<B, ()>::invalidate(unit, scope);
}

/// Measures invalidations. They take constant time, however much the TLBs hold.
fn invalidations(criterion: &mut Criterion) {
    let asid = Invalidate::Asid(Asid(0));
    let rows = [
        ("invalidate/all", Invalidate::All, 1024),
        ("invalidate/asid, of 1024 pages", asid, 1024),
        ("invalidate/asid, of 1 page", asid, 1),
    ];
    for (name, scope, pages) in rows {
        let (mut unit, memory) = filled(pages);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| invalidate(&mut unit, &memory, black_box(scope)));
        });
    }
    let (mut unit, mut memory) = sv39(&usual_tlbs(12).unwrap(), 1024).unwrap();
    criterion.bench_function("invalidate/all, then one access", |bencher| {
        bencher.iter(|| {
            invalidate(&mut unit, &memory, black_box(Invalidate::All));
            unit.translate(Access::load(VirtAddr::new(0), 8), &mut memory, &mut ()).unwrap().addr
        });
    });
}

/// A unit whose TLBs hold so many pages.
fn filled(pages: u64) -> (Paging<RiscV>, Memory) {
    let (mut unit, mut memory) = sv39(&usual_tlbs(12).unwrap(), 1024).unwrap();
    for page in 0..pages {
        unit.translate(Access::load(VirtAddr::new(page << 12), 8), &mut memory, &mut ()).unwrap();
    }
    (unit, memory)
}

criterion_group!(benches, hits, formats, invalidations);
criterion_main!(benches);
