//! The report of a run as data; the modules below write it as text and as CSV.

mod csv;
mod text;

use crate::{replay::Replayed, simulation::Outcome};
use emmu_os::OsStats;
use emmu_timing::{CountersReport, CyclesReport, Machine};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// All results of a run. Without [`HostReport`], the same trace on the same machine gives the same report on every host.
///
/// As JSON a report is one object. Its keys are the names of the fields here, and of those of the parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Version of emmu.
    pub version: &'static str,
    /// The seed of the simulation.
    pub seed: u64,
    /// The trace.
    pub trace: TraceReport,
    /// The machine.
    pub machine: MachineReport,
    /// The work of the simulated operating system.
    pub os: OsReport,
    /// How often each event happened.
    pub counters: CountersReport,
    /// How many cycles the events cost.
    pub cycles: CyclesReport,
    /// The speed of the run on this host, where the caller measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostReport>,
}

/// The identity of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TraceReport {
    /// The name that the caller gave it.
    pub name: String,
    /// Hash of the records that were run, whichever file they came from; none if the source has none.
    pub hash: Option<String>,
    /// Where the trace comes from, if it says so.
    pub provenance: Option<String>,
    /// Records that were run, with those that were skipped.
    pub records: u64,
    /// Fetches from the page of Linux's vsyscalls, which were skipped: the kernel executes these calls for x86-64
    /// programs, and no program can fetch there on any machine.
    pub vsyscall_fetches: u64,
    /// Lines of a text trace that were skipped because they are not of its format, as the caller asked.
    pub skipped_lines: u64,
}

impl TraceReport {
    fn new(name: &str, replayed: Replayed) -> Self {
        Self {
            name: name.to_owned(),
            hash: replayed.hash.map(|hash| hash.to_string()),
            provenance: replayed.provenance,
            records: replayed.records,
            vsyscall_fetches: replayed.vsyscall_fetches,
            skipped_lines: replayed.skipped_lines,
        }
    }
}

/// The identity of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MachineReport {
    /// Its name.
    pub name: String,
    /// Its description: one sentence, or nothing.
    pub description: String,
    /// Its page-table format, or the title of the format or unit that takes its place.
    pub format: String,
    /// Hash of everything that bears on a result: see [`Machine::hash`]. None where a format or unit of the caller's
    /// own is part of the machine, because no hash covers its code.
    pub hash: Option<String>,
}

impl MachineReport {
    /// Returns the identity of a machine with one of emmu's own formats.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let hash = Some(machine.hash());
        Self { hash, ..Self::with_own(machine, machine.format.name()) }
    }

    /// Returns the identity of a machine with a format or unit of the caller's own.
    pub(crate) fn with_own(machine: &Machine, title: &str) -> Self {
        Self {
            name: machine.name.clone(),
            description: machine.description.clone(),
            format: title.to_owned(),
            hash: None,
        }
    }
}

/// The work of the simulated operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OsReport {
    /// Accesses of the program that the hardware refused.
    pub faults: u64,
    /// Faults that were repaired by mapping a page.
    pub page_faults: u64,
    /// Faults whose page was mapped already.
    pub spurious: u64,
}

impl From<OsStats> for OsReport {
    fn from(stats: OsStats) -> Self {
        let OsStats { faults, pages_mapped, spurious, .. } = stats;
        Self { faults, page_faults: pages_mapped, spurious }
    }
}

/// The speed of the run on this host: the only part of a report that differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostReport {
    /// Seconds that the run took.
    pub seconds: f64,
    /// References of program and kernel for each of these seconds.
    pub references_per_second: f64,
}

impl Report {
    pub(crate) fn new(
        name: &str,
        replayed: Replayed,
        machine: MachineReport,
        seed: u64,
        outcome: &Outcome,
    ) -> Self {
        let (counters, cycles) = &outcome.meters;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            seed,
            trace: TraceReport::new(name, replayed),
            machine,
            os: outcome.stats.into(),
            counters: counters.report(),
            cycles: cycles.report(),
            host: None,
        }
    }

    /// Adds the time that the run took on this host.
    #[must_use]
    pub fn with_host_time(mut self, time: Duration) -> Self {
        let references = self.counters.references.map(|kinds| {
            let [fetch, load, store, amo] = [kinds.fetch, kinds.load, kinds.store, kinds.amo];
            fetch + load + store + amo
        });
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate to read")]
        let references_per_second = references.total() as f64 / seconds.max(1e-9);
        self.host = Some(HostReport { seconds, references_per_second });
        self
    }

    /// Writes one JSON object, and a newline.
    ///
    /// # Errors
    /// Any error of `out`.
    pub fn write_json(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        // The text is whole before a byte is written, so that an error of the output is no error of JSON.
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        writeln!(out, "{text}")
    }

    /// Writes one table with a row for each number: a line with the names of the columns, then the rows. The column
    /// `value` has nothing but numbers. The book's page "Measure" documents every metric and its unit.
    ///
    /// # Errors
    /// Any error of `out`.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        csv::write(self, out)
    }

    /// Writes tables for reading.
    ///
    /// # Errors
    /// Any error of `out`.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        text::write(self, out)
    }
}
