//! The arguments of `emmu sim`.

use crate::{help, number, trace::Reading};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Run a memory trace through a machine, and report what translation cost.
#[derive(Debug, Default, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu sim",
    "emmu sim trace.txt --machine cortex-a53",
    "emmu sim --machine zen-2 --limit 100_000 --json",
    "emmu sim - --from lackey --format csv < trace.txt",
]))]
pub(crate) struct Sim {
    /// The trace: emmu's own format, lackey, dinero, CSV or ChampSim, plain or compressed by gzip, xz or zstd; `-` is
    /// standard input. Without it, the bundled trace.
    pub(crate) trace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// The machine: a name that `emmu machines` lists, or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE")]
    pub(crate) machine: Option<String>,
    /// The form of the report.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// Short for `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = number::within(1..=u64::MAX))]
    pub(crate) limit: Option<u64>,
    /// A number that is exclusive-ored with the seed of each random policy.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::number)]
    pub(crate) seed: u64,
}

impl Sim {
    /// Returns the form of the report, by either option.
    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables to read.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One table, with a row for each number of the JSON object.
    Csv,
}
