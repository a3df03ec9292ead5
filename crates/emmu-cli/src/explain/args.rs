//! The command line of `emmu explain`.
//!
//! Numbers are texts here: what is wrong with one is said in one line, like everything else that is wrong.

use clap::{Args, Subcommand, ValueEnum};
use emmu_core::AccessKind;

/// `emmu explain`.
///
/// Numbers are decimal, hexadecimal (0x3082) or binary (0b1010), and may end in K, M or G.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(subcommand)]
    pub(super) unit: Unit,
}

#[derive(Debug, Subcommand)]
pub(super) enum Unit {
    /// Two registers: base and bounds.
    BaseBounds(BaseBounds),
    /// A few segments in registers.
    Segments(Segments),
    /// Many segments, described by a table in memory.
    Table(Table),
    /// Pages, with a page table in memory whose shape you describe.
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
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
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

/// `emmu explain base-bounds`.
#[derive(Debug, Args)]
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

/// `emmu explain segments`.
#[derive(Debug, Args)]
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

/// `emmu explain table`.
#[derive(Debug, Args)]
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

/// `emmu explain paging`.
#[derive(Debug, Args)]
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
