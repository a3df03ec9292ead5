//! The arguments of `emmu heap`.

use clap::{Args, ValueEnum};

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
