//! Translation through the unit alone: hits, misses, walks of every format, invalidation.
#![expect(clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, criterion_group, criterion_main};
use emmu_benches::{aarch64_4k, sv39, usual_tlbs, usual_walk_caches, x86_4level};
use emmu_core::{Access, Bus, Invalidate, TranslationUnit, VirtAddr};
use emmu_memory::Memory;
use emmu_paging::{Paging, PagingConfig, RiscV, format::Format};
use std::hint::black_box;

/// Translates loads of `pages` pages in turn, one an iteration.
fn round_robin<F: Format>(
    criterion: &mut Criterion,
    name: &str,
    (mut unit, mut memory): (Paging<F>, Memory),
    pages: u64,
) {
    let mut page = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            page = if page + 1 == pages { 0 } else { page + 1 };
            let access = Access::load(VirtAddr::new(black_box(page << 12)), 8);
            unit.translate(access, &mut memory, &mut ()).unwrap().addr
        });
    });
}

fn hits(criterion: &mut Criterion) {
    let tlbs = usual_tlbs().unwrap();
    round_robin(criterion, "sv39/L1 hit", sv39(&tlbs, 32).unwrap(), 32);
    round_robin(criterion, "sv39/L1 miss, L2 hit", sv39(&tlbs, 1024).unwrap(), 1024);
    round_robin(criterion, "sv39/L2 miss, walk", sv39(&tlbs, 4096).unwrap(), 4096);
}

fn walks(criterion: &mut Criterion) {
    let none = PagingConfig::default();
    let cached = usual_walk_caches().unwrap();
    round_robin(criterion, "walk/sv39", sv39(&none, 64).unwrap(), 64);
    round_robin(criterion, "walk/x86 4-level", x86_4level(&none, 64).unwrap(), 64);
    round_robin(criterion, "walk/aarch64 4K", aarch64_4k(&none, 64).unwrap(), 64);
    round_robin(criterion, "walk/sv39, walk caches", sv39(&cached, 64).unwrap(), 64);
    round_robin(criterion, "walk/x86 4-level, walk caches", x86_4level(&cached, 64).unwrap(), 64);
}

fn invalidate<B: Bus>(unit: &mut Paging<RiscV>, _: &B, scope: Invalidate) {
    TranslationUnit::<B, ()>::invalidate(unit, scope);
}

/// Constant time: the same however much the TLBs hold.
fn invalidations(criterion: &mut Criterion) {
    let (mut unit, mut memory) = sv39(&usual_tlbs().unwrap(), 1024).unwrap();
    for page in 0..1024 {
        unit.translate(Access::load(VirtAddr::new(page << 12), 8), &mut memory, &mut ()).unwrap();
    }
    criterion.bench_function("invalidate/all", |bencher| {
        bencher.iter(|| invalidate(&mut unit, &memory, black_box(Invalidate::All)));
    });
    let (mut unit, mut memory) = sv39(&usual_tlbs().unwrap(), 1024).unwrap();
    criterion.bench_function("invalidate/all, then one access", |bencher| {
        bencher.iter(|| {
            invalidate(&mut unit, &memory, black_box(Invalidate::All));
            unit.translate(Access::load(VirtAddr::new(0), 8), &mut memory, &mut ()).unwrap().addr
        });
    });
}

criterion_group!(benches, hits, walks, invalidations);
criterion_main!(benches);
