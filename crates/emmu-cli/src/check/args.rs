//! The arguments of `emmu check`.

use clap::Args;
use std::path::PathBuf;

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
