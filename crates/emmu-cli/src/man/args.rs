//! The arguments of `emmu man`.

use crate::help;
use clap::Args;
use std::path::PathBuf;

/// Print the manual page of emmu, or write the pages of all commands to a folder.
#[derive(Debug, Args)]
#[command(after_help = help::examples(&["emmu man > emmu.1", "emmu man man1"]))]
pub(crate) struct Man {
    /// The folder for the pages of all commands. It is made if it is not there; pages of the same name are
    /// replaced.
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
