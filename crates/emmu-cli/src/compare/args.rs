//! The arguments of `emmu compare`.

use crate::{help, number, output::Output};
use clap::Args;

/// Run one program under every memory system, from one process at a time to paging: what it costs, and
/// who keeps programs apart.
///
/// The column `translation` has the cycles of TLB lookups and page walks in an access: this is the cost of the memory
/// system. The column `access` has all cycles of an access. It depends mostly on where the program's data fall
/// in the caches, which differs from system to system because each system places the program elsewhere.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu compare",
    "emmu compare --machine cortex-a53 --accesses 500",
    "emmu compare --space 1M --heap 200K --stack 16K --disk 1_000_000",
    "emmu compare --format json",
]))]
pub(crate) struct Compare {
    /// The machine whose prices, TLBs and page tables are used: a name that `emmu machines` lists, or a TOML
    /// file. Its size of memory is not used.
    #[arg(long, short, value_name = "NAME|FILE", default_value = "textbook-sv39")]
    pub(crate) machine: String,
    /// The number of loads and stores that the program makes, each by an instruction of 8 bytes.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = number::within(1..=1_000_000))]
    pub(crate) accesses: u64,
    /// Bytes of the program's heap.
    #[arg(long, value_name = "BYTES", default_value = "20_000", value_parser = number::within(8..=u64::MAX))]
    pub(crate) heap: u64,
    /// Bytes of the program's stack.
    #[arg(long, value_name = "BYTES", default_value = "5_000", value_parser = number::within(8..=u64::MAX))]
    pub(crate) stack: u64,
    /// Bytes of its address space, a power of two. The heap begins at the second quarter, and the stack ends at the
    /// end.
    #[arg(long, value_name = "BYTES", default_value = "256K", value_parser = number::within(1 << 14..=1 << 24))]
    pub(crate) space: u64,
    /// Cycles that the disk takes for a block of 4 KiB.
    #[arg(long, value_name = "CYCLES", default_value = "100_000", value_parser = number::number)]
    pub(crate) disk: u64,
    /// A number that decides which addresses the program uses, and in which order.
    #[arg(long, value_name = "N", default_value = "0", value_parser = number::number)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}
