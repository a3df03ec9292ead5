//! What happened, as far as a report may have to tell of it.

use crate::stage::Stage;
use alloc::string::String;
use core::fmt;
use emmu_core::{Access, PhysAddr, RegisterId, Width};

/// A moment, and what ran then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// How many translations had been asked for by then, of all units.
    pub number: u64,
    /// What [`Sanitizer::mark`](crate::Sanitizer::mark) said last.
    pub place: Option<String>,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "access {}", self.number)?;
        match &self.place {
            Some(place) => write!(f, ", in {place}"),
            None => Ok(()),
        }
    }
}

/// Who wrote to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An access of a CPU.
    Access(Access),
    /// The walk of an access, which set accessed or dirty flags.
    Walk(Access),
    /// Nobody whose translation was seen: a device, a debugger, a loader.
    Unknown,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(access) => access.fmt(f),
            Self::Walk(access) => write!(f, "the walk for a {access}"),
            Self::Unknown => f.write_str("a write from outside of the CPU"),
        }
    }
}

/// A table entry that a walk read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) addr: PhysAddr,
    pub(crate) width: Width,
    pub(crate) raw: u64,
    /// Its level, if the architecture's registers tell.
    pub(crate) level: Option<u8>,
    pub(crate) stage: Stage,
    /// Whether the walk for its stage ends with it.
    pub(crate) is_leaf: bool,
}

impl Entry {
    /// Whether it is the leaf of the first stage.
    pub(crate) fn is_first_leaf(&self) -> bool {
        self.is_leaf && self.stage == Stage::First
    }
}

/// A write of a table entry that a cached translation depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryWrite {
    /// Where the entry stands.
    pub addr: PhysAddr,
    /// What it held.
    pub before: u64,
    /// What it holds from then on.
    pub after: u64,
    /// Who wrote.
    pub by: By,
    /// When.
    pub when: When,
}

/// A write of a register of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterWrite {
    /// Its number.
    pub id: RegisterId,
    /// Its name in the manual.
    pub name: &'static str,
    /// What it held.
    pub before: u64,
    /// What it holds from then on.
    pub after: u64,
    /// When.
    pub when: When,
}
