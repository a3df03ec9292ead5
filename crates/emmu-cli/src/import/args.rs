//! The arguments of `emmu import`.

use crate::{help, number};
use clap::Args;
use std::path::PathBuf;

/// Convert a trace to emmu's compact format.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu import trace.txt trace.emt",
    "emmu import - first.emt --limit 1M < trace.txt",
]))]
pub(crate) struct Import {
    /// The trace to convert: any that `emmu sim` reads; `-` is standard input.
    pub(crate) input: PathBuf,
    /// Where to write it. Nothing is left there if the input turns out malformed.
    pub(crate) output: PathBuf,
    /// Skip this many records first.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::number)]
    pub(crate) skip: u64,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = number::within(1..=u64::MAX))]
    pub(crate) limit: Option<u64>,
    /// Where the trace comes from, in words, such as the command that was recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) provenance: Option<String>,
}
