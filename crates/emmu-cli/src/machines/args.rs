//! The arguments of `emmu machines`.

use crate::{help, output::Output};
use clap::Args;

/// List the machines, or show one.
#[derive(Debug, Args)]
#[command(after_help = help::examples(&[
    "emmu machines",
    "emmu machines cortex-a53 > mine.toml",
    "emmu machines --json",
]))]
pub(crate) struct Machines {
    /// Show this one: a name from the list, or a TOML file, which is checked.
    pub(crate) machine: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}
