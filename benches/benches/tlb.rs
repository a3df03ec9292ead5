//! TLB hits, misses and walks with exact LRU and counters, each against the same geometry written plainly over the same
//! tables: the ratio within a group is what counts. `tests/plain.rs` shows that both come to the same.
#![expect(clippy::unwrap_used, reason = "a bench")]

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use emmu_benches::{
    PAGES, ROOT, each_page,
    plain::{CachedWalks, Ept, GuestWalks, Long, Plain, Sv39, Sv39x4, Tlbs, Walks},
    riscv_guest, sv39, usual_tlbs, usual_walk_caches, x86_guest,
};
use emmu_core::{Access, AccessFlags, Bus, PhysAddr, TranslationUnit, VirtAddr, Width};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_paging::{Paging, PagingConfig, SecondStage, format::Format};
use emmu_timing::Counters;
use std::hint::black_box;

/// A row: the plain one and emmu's, over addresses that come round again and again.
struct Row<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    addresses: Vec<u64>,
}

impl<'a> Row<'a> {
    fn new(criterion: &'a mut Criterion, name: &str, pages: u64) -> Self {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(pages));
        Self { group, addresses: each_page(pages) }
    }

    fn plain(&mut self, mut plain: impl Plain, memory: &Memory) -> &mut Self {
        let (addresses, mut memory) = (&self.addresses, memory.clone());
        self.group.bench_function("plain", |bencher| {
            bencher.iter(|| {
                let addresses = black_box(addresses).iter();
                addresses.map(|&addr| plain.translate(&mut memory, addr)).sum::<Option<u64>>()
            });
        });
        black_box(plain.counts());
        self
    }

    fn emmu<F: Format, S: SecondStage>(
        &mut self,
        (mut unit, mut memory): (Paging<F, S>, Memory),
        flags: AccessFlags,
    ) {
        let (addresses, mut counters) = (&self.addresses, Counters::default());
        self.group.bench_function("emmu", |bencher| {
            bencher.iter(|| {
                let addresses = black_box(addresses).iter();
                let translated = addresses.map(|&addr| {
                    let access = Access::load(VirtAddr::new(addr), 8).with_flags(flags);
                    unit.translate(access, &mut memory, &mut counters).ok()
                });
                translated.map(|found| Some(found?.addr.raw())).sum::<Option<u64>>()
            });
        });
        black_box(counters);
    }
}

fn one_stage(criterion: &mut Criterion) {
    let no_flags = AccessFlags::empty();
    let tlbs = usual_tlbs(12).unwrap();
    for (name, pages) in [("L1 hit", 32), ("L1 miss, L2 hit", 1024), ("L2 miss, walk", 4096)] {
        let machine = sv39(&tlbs, pages).unwrap();
        Row::new(criterion, name, pages).plain(Tlbs::new(ROOT), &machine.1).emmu(machine, no_flags);
    }
    let machine = sv39(&PagingConfig::default(), 4096).unwrap();
    Row::new(criterion, "walk", 4096)
        .plain(Walks::<Sv39>::new(ROOT), &machine.1)
        .emmu(machine, no_flags);
    let machine = sv39(&usual_walk_caches().unwrap(), 4096).unwrap();
    Row::new(criterion, "walk, walk caches", 4096)
        .plain(CachedWalks::new(ROOT), &machine.1)
        .emmu(machine, no_flags);
}

/// Walks in two dimensions, without any cache: 15 reads and 24.
fn two_stages(criterion: &mut Criterion) {
    let none = PagingConfig::default();
    let machine = riscv_guest(&none, &none, 1024).unwrap();
    Row::new(criterion, "nested walk, Sv39 on Sv39x4", 1024)
        .plain(GuestWalks::<Sv39, Sv39x4>::new(ROOT, ROOT), &machine.1)
        .emmu(machine, AccessFlags::GUEST);
    let machine = x86_guest(&none, &none, 1024).unwrap();
    Row::new(criterion, "nested walk, 4-level on EPT", 1024)
        .plain(GuestWalks::<Long, Ept>::new(ROOT, ROOT), &machine.1)
        .emmu(machine, AccessFlags::empty());
}

/// A hit with what it is for: the load itself, through the CPU port.
fn loads(criterion: &mut Criterion) {
    let (unit, memory) = sv39(&usual_tlbs(12).unwrap(), 32).unwrap();
    let mut row = Row::new(criterion, "L1 hit and load", 32);
    let (addresses, group) = (&row.addresses, &mut row.group);
    let (mut plain, mut tables) = (Tlbs::new(ROOT), memory.clone());
    let ram: Vec<u8> = (0..=u8::MAX).cycle().take(32 << 12).collect();
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let addresses = black_box(addresses).iter();
            let mut values = addresses.map(|&addr| {
                let place = plain.translate(&mut tables, addr)?.checked_sub(PAGES)?;
                let bytes = ram.get(usize::try_from(place).ok()?..)?.first_chunk()?;
                Some(u64::from_le_bytes(*bytes))
            });
            values.try_fold(0_u64, |sum, value| Some(sum.wrapping_add(value?)))
        });
    });
    let mut cpu = Cpu::with_probe(unit, memory, Counters::default());
    for word in 0..32 << 9 {
        cpu.bus_mut().write(PhysAddr::new(PAGES + 8 * word), Width::B8, word).unwrap();
    }
    group.bench_function("emmu", |bencher| {
        bencher.iter(|| {
            let addresses = black_box(addresses).iter();
            let mut values = addresses.map(|&addr| cpu.load(VirtAddr::new(addr), Width::B8).ok());
            values.try_fold(0_u64, |sum, value| Some(sum.wrapping_add(value?)))
        });
    });
}

criterion_group!(benches, one_stage, loads, two_stages);
criterion_main!(benches);
