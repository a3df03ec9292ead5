//! `emmu sim`: a trace through a machine.

use crate::{
    args::{Format, Sim},
    machines, progress,
    replay::Replay,
    report::{Host, MachineId, Report, TraceId},
    trace,
};
use anyhow::{Context, Result, bail, ensure};
use emmu_core::PhysAddr;
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_os::{Exit, Os, OsStats, Paged, PhysicalMemory, RiscVTables, TableFormat, X86Tables};
use emmu_paging::{Paging, RiscV, X86, format::Format as PageTables};
use emmu_timing::{Counters, Cycles, Machine, PagingFormat};
use emmu_trace::RecordSource;
use std::{io::Write, time::Instant};

/// Bytes at the start of memory that are the kernel's.
const KERNEL: u64 = 1 << 20;

/// Runs the trace to its end, and prints the report.
pub(crate) fn run(arguments: &Sim, out: &mut impl Write) -> Result<()> {
    let name = arguments.machine.as_deref().unwrap_or(Machine::DEFAULT);
    let machine = machines::find(name)?.with_seed(arguments.seed);
    let input = trace::find(arguments.trace.as_deref())?;
    let trace = match arguments.limit {
        Some(limit) => input.trace.with_limit(limit),
        None => input.trace,
    };
    let bar = progress::bar(trace.total_records());
    let mut replay = Replay::new(trace, bar);
    let start = Instant::now();
    let outcome = simulate(&machine, &mut replay)?;
    let seconds = start.elapsed().as_secs_f64();
    let trace = replay.finish().with_context(|| input.name.clone())?;
    if let Exit::Killed(kill) = outcome.exit {
        bail!("{}: record {}: the program was ended: {kill}", input.name, trace.replayed);
    }
    ensure!(trace.replayed > 0, "{}: the trace has no references", input.name);
    let trace = TraceId::new(input.name, &trace);
    let host = Host::new(seconds, &outcome.counters);
    let report = Report::new(trace, MachineId::new(&machine), arguments.seed, &outcome, host);
    match arguments.format {
        Format::Text => report.write_text(out)?,
        Format::Json => report.write_json(out)?,
        Format::Csv => report.write_csv(out)?,
    }
    Ok(())
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stats: OsStats,
    pub(crate) counters: Counters,
    pub(crate) cycles: Cycles,
}

fn simulate(machine: &Machine, replay: &mut Replay) -> Result<Outcome> {
    match machine.format {
        PagingFormat::RiscvSv39 => run_on(RiscV::rv64(), RiscVTables::SV39, machine, replay),
        PagingFormat::X86_64FourLevel => run_on(X86::default(), X86Tables::LEVEL4, machine, replay),
    }
}

/// Boots the operating system on the machine, and runs the trace as its only program. All addresses that a
/// program may have are its own, and zero at first.
fn run_on<F: PageTables, T: TableFormat>(
    format: F,
    tables: T,
    machine: &Machine,
    replay: &mut Replay,
) -> Result<Outcome> {
    let size = machine.memory.value.size;
    let memory = PhysicalMemory::new(PhysAddr::ZERO, size, KERNEL)
        .with_context(|| format!("machine {}: memory.size", machine.name))?;
    let unit = Paging::new(format, &machine.paging_config())?;
    let probe = (Counters::default(), Cycles::new(machine));
    let cpu = Cpu::with_probe(unit, Memory::ram(size), probe);
    let mut os = Os::boot(cpu, Paged::new(tables), &memory)
        .with_context(|| format!("machine {}: the operating system does not boot", machine.name))?;
    let layout = os.everything()?;
    let exit = os.run(&layout, replay)?;
    let stats = os.stats();
    let (_, _, (counters, cycles)) = os.into_cpu().into_parts();
    Ok(Outcome { exit, stats, counters, cycles })
}
