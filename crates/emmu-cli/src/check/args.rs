//! The arguments of `emmu check`.

use crate::{help, output::Output};
use clap::Args;
use std::path::PathBuf;

/// Test emmu's translation units and memory managers with vectors: files of cases with known answers.
#[derive(Debug, Args)]
#[command(after_help = help::examples(&[
    "emmu check vectors.jsonl",
    "emmu check --reference vectors.jsonl",
    "emmu check vectors.jsonl --json",
]))]
pub(crate) struct Check {
    /// Files of translation vectors or of textbook records (linear and multi-level paging, relocation,
    /// segmentation; free lists and buddies), JSON Lines, plain or gzip.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Test the naive reference models instead.
    #[arg(long)]
    pub(crate) reference: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}
