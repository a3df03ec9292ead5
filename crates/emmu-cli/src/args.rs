//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    Explain(crate::explain::Explain),
    /// Put emmu's translation units and memory managers to vectors: files of cases with known answers.
    Check(Check),
    /// Run a memory manager step by step: its free list, what it searched, how torn it is, and what leaks.
    Heap(Heap),
}

/// `emmu sim`.
#[derive(Debug, Default, Args)]
pub(crate) struct Sim {
    /// The trace: emmu's own format or valgrind lackey's text, plain or gzip; `-` is standard input. Without
    /// it, the bundled trace.
    pub(crate) trace: Option<PathBuf>,
    /// The machine: a name that `emmu machines` lists, or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE")]
    pub(crate) machine: Option<String>,
    /// How to print the report.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Changes what is drawn at random: the seeds of random replacement, exclusive-or this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// How to print a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables to read.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Two columns: the path of each number in the JSON object, and the number.
    Csv,
}

/// `emmu import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The trace to convert: any that `emmu sim` reads; `-` is standard input.
    pub(crate) input: PathBuf,
    /// Where to write it. Nothing is left there if the input turns out malformed.
    pub(crate) output: PathBuf,
    /// Skip this many records first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: u64,
    /// Stop after this many records of the trace.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Where the trace comes from, in words, such as the command that was recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) provenance: Option<String>,
}

/// `emmu machines`.
#[derive(Debug, Args)]
pub(crate) struct Machines {
    /// Show this one: a name from the list, or a TOML file, which is checked.
    pub(crate) machine: Option<String>,
}

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

/// `emmu heap`.
#[derive(Debug, Args)]
pub(crate) struct Heap {
    /// What is done, in order, separated by commas: `+10` asks for 10 units, `-0` frees what was asked for first (then
    /// `-1`, …), `-@12` frees whatever is at address 12.
    #[arg(value_name = "OPS", allow_hyphen_values = true)]
    pub(crate) ops: String,
    /// The manager: a free list, balanced trees that answer as best fit does, or buddies.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) manager: Manager,
    /// Which free block a list takes.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) policy: HeapPolicy,
    /// Where on a list a freed block is put.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) order: HeapOrder,
    /// All policies of the list, the trees and the buddies side by side.
    #[arg(long, conflicts_with_all = ["manager", "policy"])]
    pub(crate) compare: bool,
    /// Units of the heap.
    #[arg(long, short, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) size: u64,
    /// Address of its first unit.
    #[arg(long, short, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1 << 32))]
    pub(crate) base: u64,
    /// Units of the header before each block; it holds the size and a magic number. Buddies have none.
    #[arg(long, short = 'H', value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=65536))]
    pub(crate) header: u64,
    /// Sizes are rounded up to a multiple of this many units. Buddies round to powers of two.
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) align: u64,
    /// Which end of a free block is handed out.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) take: HeapEnd,
    /// Never merge free blocks of a list.
    #[arg(long)]
    pub(crate) no_coalesce: bool,
    /// Let a list grow up to this many units when nothing fits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) grow: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `emmu compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Where prices, and the TLBs and page tables of paging, are from: a name that `emmu machines` lists, or a
    /// TOML file. Its size of memory is not used.
    #[arg(long, short, value_name = "NAME|FILE", default_value = "textbook-sv39")]
    pub(crate) machine: String,
    /// How many loads and stores the program makes, each by an instruction of 8 bytes.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) accesses: u64,
    /// Bytes of the program's heap.
    #[arg(long, value_name = "BYTES", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(8..))]
    pub(crate) heap: u64,
    /// Bytes of the program's stack.
    #[arg(long, value_name = "BYTES", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(8..))]
    pub(crate) stack: u64,
    /// Bytes of its address space: a power of two. The heap is at the second quarter, the stack ends at the end.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 18, value_parser = clap::value_parser!(u64).range(1 << 14..=1 << 24))]
    pub(crate) space: u64,
    /// Cycles that the disk takes for a block of 4 KiB.
    #[arg(long, value_name = "CYCLES", default_value_t = 100_000)]
    pub(crate) disk: u64,
    /// Changes which addresses the program uses, in which order.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which kind of memory manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manager {
    /// A free list.
    #[default]
    List,
    /// Best fit by balanced trees.
    Tree,
    /// Buddies.
    Buddy,
}

/// Which free block a list takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeapPolicy {
    /// The smallest that is large enough.
    Best,
    /// The largest.
    Worst,
    /// The first on the list.
    #[default]
    First,
    /// The first after the last one that was taken.
    Next,
}

/// Where on a list a freed block is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeapOrder {
    /// By rising addresses.
    #[default]
    Address,
    /// By rising sizes.
    SizeAscending,
    /// By falling sizes.
    SizeDescending,
    /// At the front.
    InsertFront,
    /// At the back.
    InsertBack,
}

/// An end of a free block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeapEnd {
    /// The low addresses.
    #[default]
    Low,
    /// The high addresses.
    High,
}
