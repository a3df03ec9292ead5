//! The arguments of `emmu import`.

use crate::{
    help,
    target::Target,
    trace::{Reading, Window},
};
use clap::Args;
use std::path::PathBuf;

/// Convert a trace to emmu's compact format.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu import trace.txt trace.emt",
    "emmu import - first.emt --limit 1M < trace.txt",
    "emmu import --lenient trace.txt - > trace.emt",
]))]
pub(crate) struct Import {
    /// The trace to convert: any that `emmu sim` reads; `-` is standard input.
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Where the trace comes from, in words, such as the command that was recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) provenance: Option<String>,
}
