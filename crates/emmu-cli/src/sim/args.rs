//! The arguments of `emmu sim`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `emmu sim`.
#[derive(Debug, Default, Args)]
pub(crate) struct Sim {
    /// The trace: emmu's own format or valgrind lackey's text, plain or gzip; `-` is standard input. Without
    /// it, the bundled trace.
    pub(crate) trace: Option<PathBuf>,
    /// The machine: a name that `emmu machines` lists, or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE")]
    pub(crate) machine: Option<String>,
    /// How to print the report.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Changes what is drawn at random: the seeds of random replacement, exclusive-or this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// How to print a report.
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
