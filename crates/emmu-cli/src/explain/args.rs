//! The command line of `emmu explain`.
//!
//! Numbers are texts here: what is wrong with one is said in one line, like everything else that is wrong.

use crate::{help, output::Output};
use clap::{Args, Subcommand, ValueEnum};
use emmu_core::AccessKind;

/// Explain what becomes of an address: every bit, comparison and memory read, and why it faults.
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

#[derive(Debug, Subcommand)]
pub(super) enum Unit {
    BaseBounds(BaseBounds),
    Segments(Segments),
    Table(Table),
    Paging(Paging),
}

impl Unit {
    pub(super) const fn accesses(&self) -> &Accesses {
        match self {
            Self::BaseBounds(BaseBounds { accesses, .. })
            | Self::Segments(Segments { accesses, .. })
            | Self::Table(Table { accesses, .. })
            | Self::Paging(Paging { accesses, .. }) => accesses,
        }
    }
}

/// What is accessed, and how it is told.
#[derive(Clone, Debug, Args)]
pub(super) struct Accesses {
    /// The virtual addresses, in this order.
    #[arg(required = true, value_name = "ADDRESS")]
    pub(super) addresses: Vec<String>,
    /// What is done there.
    #[arg(long, value_enum, default_value_t)]
    pub(super) access: Kind,
    /// How many bytes.
    #[arg(long, value_name = "BYTES", default_value = "1")]
    pub(super) size: String,
    /// The address was formed from the stack pointer.
    #[arg(long)]
    pub(super) stack: bool,
    /// Whose access it is.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) pid: u32,
    /// Bytes of physical memory; without it, what the machine has.
    #[arg(long, value_name = "BYTES")]
    pub(super) memory: Option<String>,
    /// Whose prices are told: a name that `emmu machines` lists, or a TOML file.
    #[arg(long, short, value_name = "NAME|FILE", default_value = "textbook-sv39")]
    pub(super) machine: String,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
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
    #[arg(long, value_name = "N")]
    pub(super) base: String,
    /// How many bytes the program has.
    #[arg(long, value_name = "N", required_unless_present = "end")]
    pub(super) bounds: Option<String>,
    /// Instead: the physical address where the program ends.
    #[arg(long, value_name = "N", conflicts_with = "bounds")]
    pub(super) end: Option<String>,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// A few segments in registers.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain segments --segment 32K:2K:r-x --segment 34K:3K --segment 28K:2K:rw-:down 4200",
    "emmu explain segments --implicit --segment 4K:1K:r-x --segment 8K:1K --segment 12K:1K 7 --json",
]))]
pub(super) struct Segments {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value_t = 14)]
    pub(super) address_bits: u32,
    /// How many top bits of an address are the selector; without it, as few as the segments need.
    #[arg(long, value_name = "BITS", conflicts_with = "implicit")]
    pub(super) selector_bits: Option<u32>,
    /// Select by use: fetches, other data, the stack; in this order there are three segments.
    #[arg(long)]
    pub(super) implicit: bool,
    /// The segments, from selector 0 on: BASE:BOUNDS, then the rights (rw- if not said), then `down` if it grows
    /// down.
    #[arg(long = "segment", required = true, value_name = "BASE:BOUNDS[:RIGHTS][:down]")]
    pub(super) segments: Vec<String>,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// Many segments, described by a table in memory.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain table --segment 2047=0x80000:300:rw- --segment 5=absent 0x7ff0012b 0x500000",
    "emmu explain table --cache 0 --segment 0=32K:2K:r-x 0x64 --access fetch",
]))]
pub(super) struct Table {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value_t = 32)]
    pub(super) address_bits: u32,
    /// How many top bits of an address are the selector.
    #[arg(long, value_name = "BITS", default_value_t = 12)]
    pub(super) selector_bits: u32,
    /// Where the table is.
    #[arg(long, value_name = "N", default_value = "0x1000")]
    pub(super) table: String,
    /// How many descriptors it has; without it, as many as are needed for those that are given.
    #[arg(long, value_name = "N")]
    pub(super) length: Option<String>,
    /// Descriptors: their number, and what `emmu explain segments` takes or `absent`. All others are absent.
    #[arg(long = "segment", required = true, value_name = "N=BASE:BOUNDS[:RIGHTS][:down]")]
    pub(super) segments: Vec<String>,
    /// How many descriptors the cache holds.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) cache: u32,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}

/// Pages, with a page table in memory whose shape you describe.
#[derive(Debug, Args)]
#[command(after_help = help::examples_and_numbers(&[
    "emmu explain paging --entry 3=0x80000006 0x3229 0x3229 0x1000",
    "emmu explain paging --levels 2 --entry 1=0x80000003 --entry @12K=0x80000006 0x2010",
]))]
pub(super) struct Paging {
    /// Width of virtual addresses.
    #[arg(long, value_name = "BITS", default_value_t = 14)]
    pub(super) address_bits: u8,
    /// Bytes of a page.
    #[arg(long, value_name = "BYTES", default_value = "4K")]
    pub(super) page: String,
    /// Levels of the page table; the bits of a page number are shared among them evenly.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) levels: u8,
    /// Bytes of a table entry.
    #[arg(long, value_name = "BYTES", default_value = "4")]
    pub(super) entry_bytes: String,
    /// The bit of an entry that says it is valid; all bits below it are the number of a frame or table.
    #[arg(long, value_name = "BIT")]
    pub(super) valid: Option<u8>,
    /// Where the table is: the page-table base register.
    #[arg(long, value_name = "N", default_value = "0x1000")]
    pub(super) ptbr: String,
    /// Entries of the first table by index, or of any by `@` and physical address. All others are 0.
    #[arg(long = "entry", value_name = "INDEX=VALUE|@ADDRESS=VALUE")]
    pub(super) entries: Vec<String>,
    /// How many pages the TLB holds.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) tlb: u32,
    #[command(flatten)]
    pub(super) accesses: Accesses,
}
