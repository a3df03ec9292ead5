//! `emmu sim`: a trace through a machine.

mod args;

pub(crate) use args::Sim;

use crate::{machines, progress, trace};
use anyhow::{Error, Result};
use args::Format;
use emmu_sim::{SimError, Simulation};
use emmu_timing::Machine;
use emmu_trace::RecordSource;
use std::{io::Write, time::Instant};

/// Runs the trace to its end, and prints the report.
pub(crate) fn run(arguments: &Sim, out: &mut impl Write) -> Result<()> {
    let name = arguments.machine.as_deref().unwrap_or(Machine::DEFAULT);
    let machine = machines::find(name)?;
    let input = trace::find(arguments.trace.as_deref(), arguments.reading)?;
    let trace = match arguments.limit {
        Some(limit) => input.trace.with_limit(limit),
        None => input.trace,
    };
    let bar = progress::bar(trace.total_records());
    let simulation = Simulation::new(&machine)
        .with_seed(arguments.seed)
        .on_progress(|records| bar.set_position(records));
    let start = Instant::now();
    let report = simulation.run(&input.name, trace);
    let time = start.elapsed();
    bar.finish_and_clear();
    let report = report.map_err(with_hint)?.with_host_time(time);
    match arguments.format() {
        Format::Text => report.write_text(out)?,
        Format::Json => report.write_json(out)?,
        Format::Csv => report.write_csv(out)?,
    }
    Ok(())
}

/// Adds the way out to an error of the trace, if there is one.
fn with_hint(error: SimError) -> Error {
    match error {
        SimError::Trace { trace, source } => trace::with_hint(source).context(trace),
        other => other.into(),
    }
}
