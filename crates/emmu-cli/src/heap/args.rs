//! The arguments of `emmu heap`.

use crate::{help, number, output::Output};
use clap::{Args, ValueEnum};

/// Run a memory manager step by step: its free list, the elements it searched, its fragmentation, and leaks.
///
/// Numbers count units, as in textbooks: a unit is 64 bytes of emulated memory.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu heap +10,+10,+10,-0,-2,+11 --size 30",
    "emmu heap +3,+5,-0,-@99 --policy best --header 1 --align 4",
    "emmu heap +5,+9,-0 --manager buddy --size 64",
    "emmu heap +10,+20,+5,-0,-2,+4 --compare --format json",
]))]
pub(crate) struct Heap {
    /// The operations in their order, separated by commas: `+10` asks for 10 units, `-0` frees what was asked for
    /// first (then `-1`, …), `-@12` frees the block at address 12.
    #[arg(value_name = "OPS", allow_hyphen_values = true)]
    pub(crate) ops: String,
    /// The manager: a free list, balanced trees that answer as best fit does, or buddies.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) manager: Manager,
    /// The free block that a list takes [default: first].
    #[arg(long, short, value_enum)]
    pub(crate) policy: Option<HeapPolicy>,
    /// The place on a list where a freed block is put [default: address].
    #[arg(long, short, value_enum)]
    pub(crate) order: Option<HeapOrder>,
    /// Show all policies of the list, the trees and the buddies side by side. Each manager uses the options that
    /// apply to it.
    #[arg(long, conflicts_with_all = ["manager", "policy"])]
    pub(crate) compare: bool,
    /// Units of the heap.
    #[arg(long, short, value_name = "N", default_value = "100", value_parser = number::within(1..=65536))]
    pub(crate) size: u64,
    /// Address of its first unit.
    #[arg(long, short, value_name = "N", default_value = "0", value_parser = number::within(0..=1 << 32))]
    pub(crate) base: u64,
    /// Units of the header before each block, which holds the size and a magic number. Lists and trees have it
    /// [default: 0].
    #[arg(long, short = 'H', value_name = "N", value_parser = number::within(0..=65536))]
    pub(crate) header: Option<u64>,
    /// Sizes are rounded up to a multiple of this many units by lists and trees [default: 1]. Buddies round to powers
    /// of two.
    #[arg(long, short, value_name = "N", value_parser = number::within(1..=65536))]
    pub(crate) align: Option<u64>,
    /// The end of a free block that lists and trees hand out [default: low].
    #[arg(long, value_enum)]
    pub(crate) take: Option<HeapEnd>,
    /// Never merge the free blocks of a list.
    #[arg(long)]
    pub(crate) no_coalesce: bool,
    /// Let a list grow up to this many units when nothing fits.
    #[arg(long, value_name = "N", value_parser = number::within(1..=65536))]
    pub(crate) grow: Option<u64>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A kind of memory manager.
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

/// A rule for the free block that a list takes.
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

/// A place on a list for a freed block.
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
