//! Accesses that hit, through the CPU port: against a software TLB written by hand, over the same addresses.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_benches::{sv39, usual_tlbs};
use emmu_core::{
    Access, Bus, Cause, Event, Fault, Invalidate, PhysAddr, Privilege, Probe, RegisterError,
    RegisterId, RegisterInfo, Registers, Ticket, Translation, TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_paging::{Geometry, Policy};
use emmu_segmentation::{Descriptor, Segment, SegmentFlags, SegmentTable, Segmentation, Selection};
use std::{error::Error, hint::black_box};

const PAGE: u64 = 4096;
const PAGES: u64 = 32;
const ACCESSES: u16 = 4096;

/// Maps page n to page n ^ 1. With `lru` it keeps a time stamp for each, as an exact LRU does; without, it
/// has no replacement state that a hit changes, as with FIFO and random replacement.
struct Swapped {
    slots: Vec<Slot>,
    epoch: u64,
    clock: u64,
    lru: bool,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    version: u32,
    stamp: u64,
}

impl Swapped {
    fn new(lru: bool) -> Self {
        Self { slots: vec![Slot::default(); 32], epoch: 0, clock: 0, lru }
    }
}

impl Registers for Swapped {
    fn registers(&self) -> &'static [RegisterInfo] {
        &[]
    }
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        Err(RegisterError::Unknown { id })
    }
}

impl<B, P> TranslationUnit<B, P> for Swapped {
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        let found = TranslationUnit::<B, P>::peek(self, access, bus)?;
        if let Some(ticket) = found.ticket {
            let _ = TranslationUnit::<B, P>::repeat(self, ticket, access, probe);
        }
        Ok(found)
    }
    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        let (page, offset) = (access.addr.raw() / PAGE, access.addr.raw() % PAGE);
        let absent = Fault::new(access, Cause::Absent);
        let number = u32::try_from(page).map_err(|_| absent)?;
        let slot = self.slots.get(number as usize).ok_or(absent)?;
        let ticket = Ticket { slot: number, version: slot.version, epoch: self.epoch };
        let found = Translation::new(PhysAddr::new((page ^ 1) * PAGE + offset), PAGE - offset);
        Ok(Translation { ticket: Some(ticket), ..found })
    }
    fn write_register(
        &mut self,
        id: RegisterId,
        _: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        Err(RegisterError::Unknown { id })
    }
    fn invalidate(&mut self, _: Invalidate) {
        self.epoch += 1;
    }
    #[inline]
    fn repeat(&mut self, ticket: Ticket, _: Access, _: &mut P) -> bool {
        let Some(slot) = self.slots.get_mut(ticket.slot as usize) else { return false };
        if slot.version != ticket.version || self.epoch != ticket.epoch {
            return false;
        }
        if self.lru {
            self.clock += 1;
            slot.stamp = self.clock;
        }
        true
    }
}

/// A hand-written software TLB: index, compare, add, load.
struct ByHand {
    entries: [(u64, u64); 256],
    ram: Vec<u8>,
}

impl ByHand {
    fn new() -> Self {
        let mut entries = [(u64::MAX, 0); 256];
        for (page, entry) in (0..PAGES).zip(&mut entries) {
            *entry = (page, (page ^ 1) * PAGE);
        }
        Self { entries, ram: (0..=u8::MAX).cycle().take(1 << 17).collect() }
    }

    /// Where the access starts in RAM.
    #[inline]
    fn find(&self, addr: u64) -> Option<usize> {
        let page = addr / PAGE;
        let (tag, base) = self.entries[(page % 256) as usize];
        (tag == page).then(|| usize::try_from(base + addr % PAGE).ok()).flatten()
    }

    #[inline]
    fn load(&self, addr: u64) -> Option<u64> {
        let start = self.find(addr)?;
        let bytes = self.ram.get(start..start + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    #[inline]
    fn store(&mut self, addr: u64, value: u64) -> Option<()> {
        let start = self.find(addr)?;
        self.ram.get_mut(start..start + 8)?.copy_from_slice(&value.to_le_bytes());
        Some(())
    }
}

/// Aligned addresses all over the pages, in no order.
fn addresses() -> Vec<u64> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % (PAGES * PAGE / 8) * 8
    };
    (0..ACCESSES).map(|_| next()).collect()
}

fn loads<U, B, P>(cpu: &mut Cpu<U, B, P>, addresses: &[u64]) -> Option<u64>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    let mut sum = 0u64;
    for &addr in addresses {
        sum = sum.wrapping_add(cpu.load(VirtAddr::new(addr), Width::B8).ok()?);
    }
    Some(sum)
}

fn stores<U: TranslationUnit<B, ()>, B: Bus>(cpu: &mut Cpu<U, B>, addresses: &[u64]) -> Option<()> {
    for &addr in addresses {
        cpu.store(VirtAddr::new(addr), Width::B8, addr).ok()?;
    }
    Some(())
}

/// Hears everything and does nothing: the same code as with `()`, if `()` costs nothing.
struct Silent;

impl Probe for Silent {
    #[inline]
    fn on(&mut self, _: Event) {}
}

/// Counts transfers.
struct Transfers(u64);

impl Probe for Transfers {
    #[inline]
    fn on(&mut self, event: Event) {
        self.0 += u64::from(matches!(event, Event::Transfer { .. }));
    }
}

fn memory() -> Memory {
    Memory::ram(PAGES * PAGE)
}

fn load_hits(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("load hit");
    group.throughput(Throughput::Elements(ACCESSES.into()));

    let by_hand = ByHand::new();
    group.bench_function("by hand", |bencher| {
        bencher.iter(|| {
            let mut sum = 0u64;
            for &addr in black_box(&addresses) {
                sum = sum.wrapping_add(by_hand.load(addr)?);
            }
            Some(sum)
        });
    });
    let mut cpu = Cpu::new(Swapped::new(false), memory());
    group.bench_function("port, tickets", |b| b.iter(|| loads(&mut cpu, black_box(&addresses))));
    let mut cpu = Cpu::new(Swapped::new(true), memory());
    group.bench_function("port, LRU", |b| b.iter(|| loads(&mut cpu, black_box(&addresses))));
    let mut cpu = Cpu::with_probe(Swapped::new(true), memory(), Silent);
    group.bench_function("port, LRU, silent probe", |bencher| {
        bencher.iter(|| loads(&mut cpu, black_box(&addresses)));
    });
    let mut cpu = Cpu::with_probe(Swapped::new(true), memory(), Transfers(0));
    group.bench_function("port, LRU, probe", |b| b.iter(|| loads(&mut cpu, black_box(&addresses))));
    let mut cpu = Cpu::new(Swapped::new(true), memory());
    cpu.set_accelerator(false);
    group.bench_function("port, LRU, no accelerator", |bencher| {
        bencher.iter(|| loads(&mut cpu, black_box(&addresses)));
    });
    if let Ok((unit, memory)) =
        usual_tlbs(12).map_err(Into::into).and_then(|tlbs| sv39(&tlbs, PAGES))
    {
        let mut cpu = Cpu::new(unit, memory);
        group.bench_function("port, Sv39", |b| b.iter(|| loads(&mut cpu, black_box(&addresses))));
    }
    group.finish();
}

/// Where programs of the small units are: at the start of a page, and not.
const BASES: [(&str, u64); 2] = [("aligned", 16 * PAGE), ("unaligned", 12_418)];

/// Compares loads in user mode through base and bounds, and through segments, with loads without any
/// translation.
fn small_units(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("small unit");
    group.throughput(Throughput::Elements(ACCESSES.into()));

    let ram: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 17).collect();
    group.bench_function("raw load", |bencher| {
        bencher.iter(|| {
            black_box(&addresses).iter().map(|&addr| raw_load(&ram, addr)).sum::<Option<u64>>()
        });
    });
    for (name, base) in BASES {
        let unit = BaseBounds::new(Convention::Size).with_registers(base, PAGES * PAGE);
        let mut cpu = program(unit);
        group.bench_function(format!("base and bounds, {name}"), |bencher| {
            bencher.iter(|| loads(&mut cpu, black_box(&addresses)));
        });
        if let Ok(unit) = segments(base) {
            let mut cpu = program(unit);
            group.bench_function(format!("segments, {name}"), |bencher| {
                bencher.iter(|| loads(&mut cpu, black_box(&addresses)));
            });
        }
        if let Ok(mut cpu) = table(base) {
            group.bench_function(format!("segment table, {name}"), |bencher| {
                bencher.iter(|| loads(&mut cpu, black_box(&addresses)));
            });
        }
    }
    group.finish();
}

#[inline]
fn raw_load(ram: &[u8], addr: u64) -> Option<u64> {
    let start = usize::try_from(addr).ok()?;
    Some(u64::from_le_bytes(ram.get(start..start + 8)?.try_into().ok()?))
}

/// A CPU in user mode.
fn program<U: TranslationUnit<Memory, ()>>(unit: U) -> Cpu<U, Memory> {
    let mut cpu = Cpu::new(unit, Memory::ram(1 << 20));
    cpu.set_privilege(Privilege::User);
    cpu
}

/// Selector bits of the segmented machines: four segments share the addresses.
const SELECTOR_BITS: u32 = 2;
const SEGMENT_BYTES: u64 = (PAGES * PAGE) >> SELECTOR_BITS;
const ADDRESS_BITS: u32 = (PAGES * PAGE).ilog2();

fn segment(base: u64, number: u64) -> Segment {
    let flags = SegmentFlags::READ | SegmentFlags::WRITE;
    Segment { base: base + number * SEGMENT_BYTES, bounds: SEGMENT_BYTES, flags }
}

fn segments(base: u64) -> Result<Segmentation, Box<dyn Error>> {
    let selection = Selection::Explicit { selector_bits: SELECTOR_BITS, segments: 4 };
    let unit = Segmentation::new(ADDRESS_BITS, selection)?;
    Ok((0..4)
        .try_fold(unit, |unit, number| unit.with_segment(number, segment(base, number.into())))?)
}

/// Makes a CPU with these segments, described in memory.
fn table(base: u64) -> Result<Cpu<SegmentTable, Memory>, Box<dyn Error>> {
    const TABLE: u64 = 0x8_0000;
    let cache = Geometry::fully_associative(4, Policy::Lru)?;
    let mut cpu = Cpu::new(
        SegmentTable::new(ADDRESS_BITS, SELECTOR_BITS, Some(cache))?,
        Memory::ram(1 << 20),
    );
    cpu.write_register(SegmentTable::BASE, TABLE)?;
    cpu.write_register(SegmentTable::LENGTH, 4)?;
    for number in 0..4 {
        let descriptor = Descriptor::present(segment(base, number)).ok_or("bounds")?;
        cpu.store_bytes(VirtAddr::new(TABLE + 16 * number), &descriptor.to_bytes())?;
    }
    cpu.set_privilege(Privilege::User);
    Ok(cpu)
}

fn store_hits(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("store hit");
    group.throughput(Throughput::Elements(ACCESSES.into()));

    let mut by_hand = ByHand::new();
    group.bench_function("by hand", |bencher| {
        bencher.iter(|| {
            for &addr in black_box(&addresses) {
                by_hand.store(addr, addr)?;
            }
            Some(())
        });
    });
    let mut cpu = Cpu::new(Swapped::new(true), memory());
    group.bench_function("port, LRU", |b| b.iter(|| stores(&mut cpu, black_box(&addresses))));
    group.finish();
}

criterion_group!(benches, load_hits, store_hits, small_units);
criterion_main!(benches);
