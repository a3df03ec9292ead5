//! Reports for the person who has to mend the kernel.

use crate::{EntryWrite, Fence, RegisterWrite, When, record::Stage};
use core::fmt;
use emmu_core::{Access, Fault, PhysAddr};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is lost, but something is told wrongly.
    Warning,
    /// Bytes or protection are lost.
    Error,
}

/// How the outcome of an access differs from what the tables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The page is elsewhere by now.
    Moved,
    /// The tables refuse the access by now.
    Refused,
    /// A store was made, and the dirty flag is clear.
    NotDirty,
    /// An access was made, and the accessed flag is clear.
    NotAccessed,
    /// The memory attributes are others by now.
    Attributes,
}

impl Kind {
    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Moved | Self::Refused | Self::NotDirty => Severity::Error,
            Self::NotAccessed | Self::Attributes => Severity::Warning,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moved => "a stale translation was used: the page is elsewhere by now",
            Self::Refused => "a stale translation was used: the tables refuse the access by now",
            Self::NotDirty => {
                "a store will be lost: the page is written, and its dirty flag is clear"
            }
            Self::NotAccessed => "an access is not seen: the accessed flag is clear after it",
            Self::Attributes => "stale memory attributes were used",
        })
    }
}

/// The change since the translation was cached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An entry on the way: its level, if known, and its stage.
    Entry { write: EntryWrite, level: Option<u8>, stage: Stage },
    /// A register that says where the tables are.
    Root(RegisterWrite),
    /// A register that rights depend on. No invalidation is needed for it.
    Rights(RegisterWrite),
    /// Nothing that was seen.
    #[default]
    Unknown,
}

/// A stale translation that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How the outcome differs.
    pub kind: Kind,
    /// The access.
    pub access: Access,
    /// When it was made.
    pub when: When,
    /// Which unit answered, in the order in which they were wrapped.
    pub unit: usize,
    /// True if the unit answered without reading any table. If it is false, a walk cache was stale.
    pub hit: bool,
    /// The physical address that the unit answered.
    pub answered: PhysAddr,
    /// The physical address that the tables say, or their refusal.
    pub expected: Result<PhysAddr, Fault>,
    /// The narrowest invalidation that would have been enough. `None` if none is due, or if it is not plain of which of
    /// two stages.
    pub invalidation: Option<Fence>,
    /// The last invalidation that the unit was told of after the cause, and which was not enough.
    pub insufficient: Option<Fence>,
    /// How often the same was found.
    pub times: u64,
    pub(crate) cause: Cause,
    pub(crate) several_units: bool,
}

impl Report {
    /// The write of a table entry that made the translation stale, if it was one.
    #[must_use]
    pub const fn write(&self) -> Option<&EntryWrite> {
        match &self.cause {
            Cause::Entry { write, .. } => Some(write),
            _ => None,
        }
    }

    /// The register write that made it stale, if it was one.
    #[must_use]
    pub const fn register(&self) -> Option<&RegisterWrite> {
        match &self.cause {
            Cause::Root(write) | Cause::Rights(write) => Some(write),
            _ => None,
        }
    }

    fn of_unit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.several_units { write!(f, " of unit {}", self.unit) } else { Ok(()) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.kind.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", self.kind)?;
        write!(f, "  --> {}, {}", self.access, self.when)?;
        if self.times > 1 {
            write!(f, " (and {} more)", self.times - 1)?;
        }
        let who = if self.hit { "TLB" } else { "walk cache" };
        write!(f, "\n   | the {who}")?;
        self.of_unit(f)?;
        writeln!(f, " leads to {}", self.answered)?;
        match self.expected {
            Ok(addr) => writeln!(f, "   | the tables lead to {addr}")?,
            Err(fault) => {
                write!(f, "   | the tables say: {}", fault.cause)?;
                match fault.entry {
                    Some(entry) => writeln!(f, " ({entry})")?,
                    None => writeln!(f)?,
                }
            }
        }
        write!(f, "{}", self.cause)?;
        if let Some(fence) = self.insufficient {
            writeln!(f, "note: `{fence}` came after it, and was not enough")?;
        }
        match (self.invalidation, &self.cause) {
            (_, Cause::Rights(write)) => {
                write!(f, "help: {} counts at once: the unit must not remember it", write.name)
            }
            (Some(fence), _) => write!(f, "help: after that, `{fence}` is enough"),
            (None, Cause::Unknown) => {
                write!(f, "help: no change was seen: the unit itself is wrong")
            }
            (None, _) => write!(f, "help: an invalidation is due, of one of the stages or of both"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { write, level, stage } => {
                writeln!(f, "note: this write made it stale")?;
                writeln!(f, "  --> {}, {}", write.by, write.when)?;
                f.write_str("   | the ")?;
                if let Stage::Second(_) = stage {
                    f.write_str("second stage's ")?;
                }
                if let Some(level) = level {
                    write!(f, "level {level} ")?;
                }
                let EntryWrite { addr, before, after, .. } = write;
                writeln!(f, "entry at {addr} was {before:#x} and became {after:#x}")
            }
            Self::Root(write) | Self::Rights(write) => {
                writeln!(f, "note: this register write changed the outcome")?;
                writeln!(f, "  --> after {}", write.when)?;
                let RegisterWrite { name, before, after, .. } = write;
                writeln!(f, "   | {name} was {before:#x} and became {after:#x}")
            }
            Self::Unknown => Ok(()),
        }
    }
}
