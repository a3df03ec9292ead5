//! `emmu sim`: a trace through a machine.

mod args;

pub(crate) use args::Sim;

use crate::{
    machines, progress,
    replay::Replay,
    report::{Host, MachineId, Report, TraceId},
    simulate::simulate,
    trace,
};
use anyhow::{Context, Result, bail, ensure};
use args::Format;
use emmu_os::Exit;
use emmu_timing::Machine;
use emmu_trace::RecordSource;
use std::{io::Write, time::Instant};

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
