//! What a run came to, as data; and, in the modules below, as text and CSV.

mod csv;
pub(crate) mod text;

use crate::{replay::Replayed, simulate::Outcome};
use anyhow::Result;
use emmu_os::OsStats;
use emmu_timing::{Counters, CountersReport, CyclesReport, Machine};
use serde::Serialize;
use std::io::Write;

/// Everything that `emmu sim` tells. But for [`Host`], the same input gives the same report on every machine.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of emmu.
    version: &'static str,
    /// The seed on the command line.
    seed: u64,
    trace: TraceId,
    machine: MachineId,
    os: OsReport,
    counters: CountersReport,
    cycles: CyclesReport,
    host: Host,
}

/// Which trace.
#[derive(Debug, Serialize)]
pub(crate) struct TraceId {
    name: String,
    /// Hash of the records that were run, whatever file they came from.
    hash: Option<String>,
    /// Where the trace comes from, if it says so.
    provenance: Option<String>,
    /// Records that were run.
    records: u64,
}

impl TraceId {
    pub(crate) fn new(name: String, replayed: &Replayed) -> Self {
        Self {
            name,
            hash: replayed.hash.map(|hash| hash.to_string()),
            provenance: replayed.provenance.clone(),
            records: replayed.replayed,
        }
    }
}

/// Which machine.
#[derive(Debug, Serialize)]
pub(crate) struct MachineId {
    pub(crate) name: String,
    description: String,
    pub(crate) format: String,
    /// Hash of all that can change a result.
    hash: String,
}

impl MachineId {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            name: machine.name.clone(),
            description: machine.description.clone(),
            format: machine.format.to_string(),
            hash: machine.hash(),
        }
    }
}

/// What the simulated operating system did.
#[derive(Debug, Serialize)]
struct OsReport {
    /// Accesses of the program that the hardware refused.
    faults: u64,
    /// Those that were repaired by mapping a page.
    page_faults: u64,
    /// Those whose page was there already.
    spurious: u64,
}

impl From<OsStats> for OsReport {
    fn from(stats: OsStats) -> Self {
        let OsStats { faults, pages_mapped, spurious, .. } = stats;
        Self { faults, page_faults: pages_mapped, spurious }
    }
}

/// How fast it went here: the only part that differs from run to run.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    seconds: f64,
    /// References of program and kernel.
    references_per_second: f64,
}

impl Host {
    pub(crate) fn new(seconds: f64, counters: &Counters) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate to read")]
        let references = counters.references().total() as f64;
        Self { seconds, references_per_second: references / seconds.max(1e-9) }
    }
}

impl Report {
    pub(crate) fn new(
        trace: TraceId,
        machine: MachineId,
        seed: u64,
        outcome: &Outcome,
        host: Host,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            seed,
            trace,
            machine,
            os: outcome.stats.into(),
            counters: outcome.counters.report(),
            cycles: outcome.cycles.report(),
            host,
        }
    }

    pub(crate) fn write_json(&self, out: &mut impl Write) -> Result<()> {
        // As a whole first: an error of the output is to be one of input and output, and not of JSON.
        writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
        Ok(())
    }

    pub(crate) fn write_csv(&self, out: &mut impl Write) -> Result<()> {
        csv::write(&serde_json::to_value(self)?, out)
    }

    pub(crate) fn write_text(&self, out: &mut impl Write) -> Result<()> {
        text::write(self, out)
    }
}
