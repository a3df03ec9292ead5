//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Memory-management hardware, emulated: what address translation does, and what it costs in cycles.
///
/// Without a command, runs `emmu sim`: the bundled trace of a real program on the default machine.
#[derive(Debug, Parser)]
#[command(name = "emmu", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a memory trace through a machine, and report what translation cost.
    Sim(Sim),
    /// Convert a trace to emmu's compact format.
    Import(Import),
    /// List the machines, or show one.
    Machines(Machines),
    /// Explain what becomes of an address: every bit, comparison and memory read, and why it faults.
    Explain(crate::explain::Explain),
    /// Put emmu's translation units and memory managers to vectors: files of cases with known answers.
    Check(Check),
}

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
    /// Two columns: the path of each number in the JSON object, and the number.
    Csv,
}

/// `emmu import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The trace to convert: any that `emmu sim` reads; `-` is standard input.
    pub(crate) input: PathBuf,
    /// Where to write it. Nothing is left there if the input turns out malformed.
    pub(crate) output: PathBuf,
    /// Skip this many records first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: u64,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Where the trace comes from, in words, such as the command that was recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) provenance: Option<String>,
}

/// `emmu machines`.
#[derive(Debug, Args)]
pub(crate) struct Machines {
    /// Show this one: a name from the list, or a TOML file, which is checked.
    pub(crate) machine: Option<String>,
}

/// `emmu check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files of translation vectors or of textbook records (linear and multi-level paging, relocation,
    /// segmentation; free lists and buddies), JSON Lines, plain or gzip.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Put emmu's naive reference models to them instead.
    #[arg(long)]
    pub(crate) reference: bool,
}
