//! A request that only the last of n free blocks can meet, and the free after it: lists against trees, in n.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use emmu_core::PhysAddr;
use emmu_heap::{
    Buddy, BuddyConfig, Extent, FreeList, FreeTree, Heap, Layout, ListConfig, Policy, Request,
};
use emmu_memory::Memory;
use std::{error::Error, hint::black_box};

const CONTROL: PhysAddr = PhysAddr::new(1 << 40);
/// The size of the free blocks that are too small.
const BLOCK: u64 = 64;
const LAYOUT: Layout = Layout {
    granule: BLOCK,
    round_to: BLOCK,
    min_block: BLOCK,
    header: 0,
    take: emmu_heap::End::Low,
    tail: emmu_heap::Tail::Absorb,
};

type AnyHeap = Box<dyn Heap<Memory>>;
type Built = Result<AnyHeap, Box<dyn Error>>;

/// Memory in which `free` blocks are free, each between two that are in use, and twice a block after them.
fn torn(
    free: u64,
    build: impl Fn(&mut Memory, Extent) -> Built,
) -> Result<(AnyHeap, Memory), Box<dyn Error>> {
    let region = Extent::new(PhysAddr::ZERO, (2 * free + 2) * BLOCK);
    let own = Buddy::control_bytes(buddies(), region.size);
    let mut memory = Memory::ram(region.size).with_ram(CONTROL, own)?;
    let mut heap = build(&mut memory, region)?;
    let mut blocks = Vec::new();
    for _ in 0..2 * free {
        blocks.push(heap.allocate(&mut memory, Request::new(BLOCK))?.addr);
    }
    // From the top down: the list is searched from its head for every free.
    for addr in blocks.into_iter().rev().step_by(2).skip(1) {
        heap.release(&mut memory, addr, Some(BLOCK))?;
    }
    Ok((heap, memory))
}

fn buddies() -> BuddyConfig {
    BuddyConfig { unit: BLOCK, max_order: 16 }
}

fn list(policy: Policy) -> impl Fn(&mut Memory, Extent) -> Built {
    let config = ListConfig { policy, layout: LAYOUT, ..ListConfig::default() };
    move |memory, region| Ok(Box::new(FreeList::create(memory, CONTROL, region, config)?))
}

fn tree(memory: &mut Memory, region: Extent) -> Built {
    Ok(Box::new(FreeTree::create(memory, CONTROL, region, LAYOUT)?))
}

fn buddy(memory: &mut Memory, region: Extent) -> Built {
    Ok(Box::new(Buddy::create(memory, CONTROL, region, buddies())?))
}

fn against_length(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heap");
    group.throughput(Throughput::Elements(1));
    for free in [16, 256, 4096] {
        for &policy in Policy::ALL {
            let built = torn(free, list(policy));
            bench(&mut group, BenchmarkId::new(policy.name(), free), built);
        }
        bench(&mut group, BenchmarkId::new("tree", free), torn(free, tree));
        bench(&mut group, BenchmarkId::new("buddy", free), torn(free, buddy));
    }
    group.finish();
}

fn bench(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: BenchmarkId,
    built: Result<(AnyHeap, Memory), Box<dyn Error>>,
) {
    let (mut heap, mut memory) = built.unwrap_or_else(|error| panic!("no such heap: {error}"));
    let request = Request::new(2 * BLOCK);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let found = heap.allocate(&mut memory, black_box(request))?;
            heap.release(&mut memory, found.addr, Some(request.size))
        });
    });
}

criterion_group!(benches, against_length);
criterion_main!(benches);
