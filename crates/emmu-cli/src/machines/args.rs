//! The arguments of `emmu machines`.

use clap::Args;

/// `emmu machines`.
#[derive(Debug, Args)]
pub(crate) struct Machines {
    /// Show this one: a name from the list, or a TOML file, which is checked.
    pub(crate) machine: Option<String>,
}
