//! The command line: the list of commands. The arguments of each command stand beside it.

use crate::{
    check::Check, compare::Compare, completions::Completions, explain::Explain, export::Export,
    heap::Heap, help, import::Import, machines::Machines, man::Man, sim::Sim,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Memory-management hardware, emulated: what address translation does, and what it costs in cycles.
///
/// Without a command, runs `emmu sim`: the bundled trace of a real program on the default machine.
#[derive(Debug, Parser)]
#[command(
    name = "emmu",
    version,
    max_term_width = 100,
    after_help = help::examples(&["emmu", "emmu help sim", "emmu sim --machine cortex-a53 --limit 100_000"])
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

// The help of each command is the description of its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sim(Sim),
    Import(Import),
    Export(Export),
    Machines(Machines),
    Compare(Compare),
    Explain(Explain),
    Check(Check),
    Heap(Heap),
    Completions(Completions),
    Man(Man),
}

impl Arguments {
    /// Reads the command line. Prints help where it is asked for, and otherwise says in one line what is wrong.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if error.use_stderr() {
                eprintln!("emmu: {}", in_one_line(&error.to_string()));
                return ExitCode::from(2);
            }
            // Whoever closes standard output does not want the help.
            let _ = error.print();
            ExitCode::SUCCESS
        })
    }
}

/// Joins the paragraphs of clap's message, without the hint at the help.
fn in_one_line(message: &str) -> String {
    let paragraphs = message.strip_prefix("error: ").unwrap_or(message).split("\n\n");
    let paragraphs = paragraphs.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let kept: Vec<_> =
        paragraphs.filter(|text| !text.starts_with("For more information")).collect();
    kept.join("; ")
}
