//! The arguments of `emmu compare`.

use clap::Args;

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
