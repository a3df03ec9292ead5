//! The main job: the bundled trace through the default machine, with its probes and without any.
#![expect(clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emmu_core::{PhysAddr, Probe};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_os::{Exit, Op, Os, Paged, PhysicalMemory, Script, X86Tables};
use emmu_paging::{Paging, X86};
use emmu_timing::{Counters, Cycles, Machine};
use emmu_trace::{Record, RecordKind, RecordSource, bundled, open};
use std::time::Duration;

/// Records an iteration.
const RECORDS: usize = 500_000;

fn ops() -> Vec<Op> {
    let records = open(bundled()).unwrap().records().take(RECORDS).map(Result::unwrap);
    records.flat_map(ops_of).collect()
}

fn ops_of(Record { addr, size, kind }: Record) -> impl Iterator<Item = Op> {
    let size = u32::from(size);
    let load = Op::Load { addr, size };
    let store = Op::Store { addr, size, value: 0 };
    let (first, second) = match kind {
        RecordKind::Fetch => (Op::Fetch { addr, size }, None),
        RecordKind::Load => (load, None),
        RecordKind::Store => (store, None),
        RecordKind::Modify => (load, Some(store)),
    };
    [first].into_iter().chain(second)
}

fn run<P: Probe>(machine: &Machine, ops: &[Op], probe: P) -> Exit {
    let unit = Paging::new(X86::default(), &machine.paging_config()).unwrap();
    let size = machine.memory.value.size;
    let cpu = Cpu::with_probe(unit, Memory::ram(size), probe);
    let memory = PhysicalMemory::new(PhysAddr::ZERO, size, 1 << 20).unwrap();
    let mut os = Os::boot(cpu, Paged::new(X86Tables::LEVEL4), &memory).unwrap();
    let layout = os.everything().unwrap();
    os.run(&layout, &mut Script(ops.iter().copied())).unwrap()
}

fn sim(criterion: &mut Criterion) {
    let machine = Machine::preset(Machine::DEFAULT).unwrap();
    let ops = ops();
    let mut group = criterion.benchmark_group("sim");
    group.throughput(Throughput::Elements(ops.len() as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("counters and cycles", |bencher| {
        bencher.iter(|| run(&machine, &ops, (Counters::default(), Cycles::new(&machine))));
    });
    group.bench_function("counters", |bencher| {
        bencher.iter(|| run(&machine, &ops, Counters::default()));
    });
    group.bench_function("no probe", |bencher| bencher.iter(|| run(&machine, &ops, ())));
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trace");
    let total = open(bundled()).unwrap().total_records().unwrap();
    group.throughput(Throughput::Elements(total)).sample_size(10);
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut trace = open(bundled()).unwrap();
            let mut records = 0;
            while let Some(chunk) = trace.next_chunk().unwrap() {
                records += chunk.len();
            }
            records
        });
    });
    group.finish();
}

criterion_group!(benches, sim, decode);
criterion_main!(benches);
