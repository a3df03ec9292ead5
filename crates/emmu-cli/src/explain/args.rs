//! The arguments of `emmu explain`.

use super::contents::PlacedByte;
use super::paging::{BitField, PlacedEntry};
use super::segments::NumberedSegment;
use super::table::NumberedDescriptor;
use crate::number::{self, Number};
use crate::{help, output::Output};
use clap::{Args, Subcommand, ValueEnum};
use emmu_core::AccessKind;

/// Explain how an address is translated: every bit, comparison and memory read, and why it faults.
///
/// All numbers of an explanation are written in the base in which its address is written. On the right are the cycles
/// of a step, and the cache or memory that served it.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = help::examples(&[
        "emmu explain base-bounds --base 12418 --bounds 472 430 523",
        "emmu explain paging --entry 3=0x80000006 0x3229",
    ])
)]
pub(crate) struct Explain {
    #[command(subcommand)]
    pub(super) unit: Unit,
}

// The help of each unit is the description of its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Unit {
    BaseBounds(BaseBounds),
    Segments(Segments),
    Table(SegmentTableArgs),
    Paging(Paging),
}

impl Unit {
    pub(super) const fn accesses(&self) -> &Accesses {
        match self {
            Self::BaseBounds(BaseBounds { accesses, .. })
            | Self::Segments(Segments { accesses, .. })
            | Self::Table(SegmentTableArgs { accesses, .. })
            | Self::Paging(Paging { accesses, .. }) => accesses,
        }
    }
}

/// The accesses that are explained, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct Accesses {
    /// The virtual addresses, in the order of the accesses.
    #[arg(required = true, value_name = "ADDRESS")]
    pub(super) addresses: Vec<Number>,
    /// The kind of access.
    #[arg(long, value_enum, default_value_t)]
    pub(super) access: Kind,
    /// The number of bytes of each access.
    #[arg(long, value_name = "BYTES", default_value = "1", value_parser = number::narrow::<u32>(1..=4096))]
    pub(super) size: u32,
    /// The number of the process that makes the accesses.
    #[arg(long, value_name = "N", default_value = "3", value_parser = number::narrow::<u32>(0..=u32::MAX.into()))]
    pub(super) pid: u32,
    /// Bytes of physical memory; without it, as many as the machine has.
    #[arg(long, value_name = "BYTES", value_parser = number::number)]
    pub(super) memory: Option<u64>,
    /// A byte that physical memory holds before the first access. All bytes that are not given are 0.
    #[arg(long = "byte", value_name = "ADDRESS=VALUE")]
    pub(super) bytes: Vec<PlacedByte>,
    /// The machine whose prices are told: a name that `emmu machines` lists, or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE", default_value = "textbook-sv39")]
    pub(super) machine: String,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Reads data.
    #[default]
    Load,
    /// Writes data.
    Store,
    /// Reads an instruction.
    Fetch,
    /// Reads and writes data as one.
    Amo,
}

impl Kind {
    pub(super) const fn access_kind(self) -> AccessKind {
        match self {
            Self::Load => AccessKind::Load,
            Self::Store => AccessKind::Store,
            Self::Fetch => AccessKind::Fetch,
            Self::Amo => AccessKind::Amo,
        }
    }
}

/// Two registers: base and bounds.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain base-bounds --base 12418 --bounds 472 430 523",
    "emmu explain base-bounds --base 16K --end 24K 0x1ae --access store",
]))]
pub(super) struct BaseBounds {
    /// Physical address of the program's byte 0.
    #[arg(long, value_name = "ADDRESS", value_parser = number::number)]
    pub(super) base: u64,
    /// The number of bytes that the program has.
    #[arg(long, value_name = "BYTES", required_unless_present = "end", value_parser = number::number)]
    pub(super) bounds: Option<u64>,
    /// Instead of the bounds: the physical address where the program ends.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "bounds", value_parser = number::number)]
    pub(super) end: Option<u64>,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// A few segments in registers.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain segments --segment 32K:2K:r-x --segment 34K:3K --segment 3=28K:2K:rw-:down 15K",
    "emmu explain segments --implicit --segment 4K:1K --segment 8K:1K --segment 12K:1K:down 7 --json",
]))]
pub(super) struct Segments {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value = "14", value_parser = number::narrow::<u32>(1..=64))]
    pub(super) address_bits: u32,
    /// The number of top bits of an address that select the segment; without it, as few as the segments need.
    #[arg(long, value_name = "BITS", conflicts_with = "implicit", value_parser = number::narrow::<u32>(0..=63))]
    pub(super) selector_bits: Option<u32>,
    /// Select by use: one segment for fetches, one for other data, one for the stack. There are three segments, in
    /// this order.
    #[arg(long)]
    pub(super) implicit: bool,
    /// The address was formed from the stack pointer.
    #[arg(long, requires = "implicit")]
    pub(super) stack: bool,
    /// A segment: its number (without it, one more than that of the segment before), base and bounds, then the rights
    /// (rw- without them), then `down` if it grows down.
    #[arg(long = "segment", required = true, value_name = "[N=]BASE:BOUNDS[:RIGHTS][:down]")]
    pub(super) segments: Vec<NumberedSegment>,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// Many segments, described by a table in memory.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain table --segment 2047=0x80000:300:rw- --segment 5=absent 0x7ff0012b 0x500000",
    "emmu explain table --cache 0 --segment 0=32K:2K:r-x 0x64 --access fetch",
]))]
pub(super) struct SegmentTableArgs {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value = "32", value_parser = number::narrow::<u32>(1..=64))]
    pub(super) address_bits: u32,
    /// The number of top bits of an address that select the segment.
    #[arg(long, value_name = "BITS", default_value = "12", value_parser = number::narrow::<u32>(0..=63))]
    pub(super) selector_bits: u32,
    /// Physical address of the table.
    #[arg(long, value_name = "ADDRESS", default_value = "0x1000", value_parser = number::number)]
    pub(super) table: u64,
    /// The number of descriptors in the table; without it, as many as are needed for those that are given.
    #[arg(long, value_name = "N", value_parser = number::number)]
    pub(super) length: Option<u64>,
    /// A descriptor: its number, and what `emmu explain segments` takes or `absent`. All others are absent.
    #[arg(
        long = "segment",
        required = true,
        value_name = "N=BASE:BOUNDS[:RIGHTS][:down]|N=absent"
    )]
    pub(super) segments: Vec<NumberedDescriptor>,
    /// The number of descriptors that the cache holds; 0 is no cache.
    #[arg(long, value_name = "N", default_value = "4", value_parser = number::narrow::<u32>(0..=65536))]
    pub(super) cache: u32,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// Pages, with a page table in memory whose shape you describe.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain paging --entry 3=0x80000006 --byte 0x6229=0x5a 0x3229 0x3229 0x1000",
    "emmu explain paging --levels 2 --entry 1=0x80000003 --entry @12K=0x80000006 0x2010",
    "emmu explain paging --valid 0 --write 1 --pfn 31:12 --entry 3=0x6001 0x3229 --access store",
]))]
pub(super) struct Paging {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value = "14", value_parser = number::narrow::<u8>(1..=64))]
    pub(super) address_bits: u8,
    /// Bytes of a page.
    #[arg(long, value_name = "BYTES", default_value = "4K", value_parser = number::number)]
    pub(super) page: u64,
    /// Levels of the page table. The bits of a page number are shared among them evenly.
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::narrow::<u8>(1..=64))]
    pub(super) levels: u8,
    /// Bytes of a table entry.
    #[arg(long, value_name = "BYTES", default_value = "4", value_parser = number::number)]
    pub(super) entry_bytes: u64,
    /// The bit of an entry that says that it is valid; without it, the highest bit.
    #[arg(long, value_name = "BIT", value_parser = number::narrow::<u8>(0..=63))]
    pub(super) valid: Option<u8>,
    /// The highest and the lowest bit of the number of a frame in an entry; without it, all bits below those that have
    /// another meaning, from bit 0 on, as far as physical addresses of 64 bits need them.
    #[arg(long, value_name = "HIGH:LOW")]
    pub(super) pfn: Option<BitField>,
    /// The bit of an entry that allows reads; without it, they are allowed.
    #[arg(long, value_name = "BIT", value_parser = number::narrow::<u8>(0..=63))]
    pub(super) read: Option<u8>,
    /// The bit of an entry that allows writes; without it, they are allowed.
    #[arg(long, value_name = "BIT", value_parser = number::narrow::<u8>(0..=63))]
    pub(super) write: Option<u8>,
    /// The bit of an entry that allows fetches; without it, they are allowed.
    #[arg(long, value_name = "BIT", value_parser = number::narrow::<u8>(0..=63))]
    pub(super) execute: Option<u8>,
    /// Physical address of the first table: the page-table base register.
    #[arg(long, value_name = "ADDRESS", default_value = "0x1000", value_parser = number::number)]
    pub(super) ptbr: u64,
    /// An entry of the first table by its index, or of any table by `@` and its physical address. All others are 0.
    #[arg(long = "entry", value_name = "INDEX=VALUE|@ADDRESS=VALUE")]
    pub(super) entries: Vec<PlacedEntry>,
    /// The number of pages that the TLB holds; 0 is no TLB.
    #[arg(long, value_name = "N", default_value = "4", value_parser = number::narrow::<u32>(0..=65536))]
    pub(super) tlb: u32,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}
