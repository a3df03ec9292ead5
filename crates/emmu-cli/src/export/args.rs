//! The arguments of `emmu export`.

use crate::{
    help,
    target::Target,
    trace::{Reading, Window},
};
use clap::{Args, ValueEnum};
use emmu_trace::TextFormat;
use std::path::PathBuf;

/// Write a trace as text, for other programs.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu export trace.txt trace.csv --to csv",
    "emmu export trace.txt - --to lackey --skip 1 --limit 100",
]))]
pub(crate) struct Export {
    /// The trace to write: any that `emmu sim` reads; `-` is standard input.
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
    /// The format to write.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) to: To,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) window: Window,
}

/// A format that traces are exported to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum To {
    /// The text of valgrind's lackey, one record a line.
    Lackey,
    /// Comma-separated values with the columns kind, address and size.
    Csv,
}

impl To {
    pub(crate) const fn format(self) -> TextFormat {
        match self {
            Self::Lackey => TextFormat::Lackey,
            Self::Csv => TextFormat::Csv,
        }
    }
}
