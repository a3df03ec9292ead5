//! `emmu completions`: what a shell needs to complete emmu's commands and options.

mod args;

pub(crate) use args::Completions;

use crate::args::Arguments;
use anyhow::Result;
use clap::CommandFactory;
use std::io::Write;

/// Prints the script for the shell.
pub(crate) fn run(arguments: &Completions, out: &mut impl Write) -> Result<()> {
    // The script is made in memory, because clap_complete panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "emmu", &mut script);
    out.write_all(&script)?;
    Ok(())
}
