//! The arguments of `emmu completions`.

use crate::help;
use clap::Args;
use clap_complete::Shell;

/// Print a script that lets a shell complete emmu's commands and options.
///
/// Bash reads it with `source <(emmu completions bash)`; other shells keep it in a file of their own.
#[derive(Debug, Args)]
#[command(after_help = help::examples(&["emmu completions bash", "emmu completions zsh > _emmu"]))]
pub(crate) struct Completions {
    /// The shell that will read the script.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
