//! The command line: the list of commands. The arguments of each stand beside it.

use crate::{
    check::Check, compare::Compare, explain::Explain, heap::Heap, import::Import,
    machines::Machines, sim::Sim,
};
use clap::{Parser, Subcommand};

/// Memory-management hardware, emulated: what address translation does, and what it costs in cycles.
///
/// Without a command, runs `emmu sim`: the bundled trace of a real program on the default machine.
#[derive(Debug, Parser)]
#[command(name = "emmu", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a memory trace through a machine, and report what translation cost.
    Sim(Sim),
    /// Convert a trace to emmu's compact format.
    Import(Import),
    /// List the machines, or show one.
    Machines(Machines),
    /// Run one program under every memory system, from one process at a time to paging: what it costs, and
    /// who keeps programs apart.
    Compare(Compare),
    /// Explain what becomes of an address: every bit, comparison and memory read, and why it faults.
    Explain(Explain),
    /// Put emmu's translation units and memory managers to vectors: files of cases with known answers.
    Check(Check),
    /// Run a memory manager step by step: its free list, what it searched, how torn it is, and what leaks.
    Heap(Heap),
}
