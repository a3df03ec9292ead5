//! Records of the events that a report may have to tell.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use emmu_core::{self, Access, PhysAddr, RegisterId, Width, anatomy::InspectedEntry};

/// A moment, and what ran then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct When {
    /// How many translations had been asked for by then, of all units.
    pub number: u64,
    /// The last place given to [`Sanitizer::mark`](crate::Sanitizer::mark).
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

/// The writer of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// The stage whose tables an entry is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The stage of virtual addresses.
    #[default]
    First,
    /// The stage of guest-physical addresses. The entry is on the way of this page, or of several pages.
    Second(Option<PhysAddr>),
}

/// Log2 of the bytes of a guest-physical page, as invalidations name it.
const PAGE_BITS: u32 = 12;

impl From<emmu_core::anatomy::Stage> for Stage {
    fn from(stage: emmu_core::anatomy::Stage) -> Self {
        match stage {
            emmu_core::anatomy::Stage::First => Self::First,
            emmu_core::anatomy::Stage::Second(addr) => {
                Self::Second(Some(addr.align_down(PAGE_BITS)))
            }
        }
    }
}

/// A table entry that a walk read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) addr: PhysAddr,
    pub(crate) width: Width,
    pub(crate) raw: u64,
    /// Its level, if the unit tells it.
    pub(crate) level: Option<u8>,
    pub(crate) stage: Stage,
    /// True if the walk of its stage ends with this entry.
    pub(crate) is_leaf: bool,
}

impl From<InspectedEntry> for Entry {
    fn from(entry: InspectedEntry) -> Self {
        let InspectedEntry { addr, width, raw, level, stage, is_leaf } = entry;
        Self { addr, width, raw, level: Some(level), stage: stage.into(), is_leaf }
    }
}

/// Takes the entries of an inspection. An entry that is on the way of several guest-physical pages is of no single one.
pub(crate) fn taken(inspected: &[InspectedEntry]) -> Vec<Entry> {
    let is_shared = |addr| inspected.iter().filter(|entry| entry.addr == addr).nth(1).is_some();
    let entries = inspected.iter().map(|&inspected| match inspected.into() {
        Entry { stage: Stage::Second(_), addr, .. } if is_shared(addr) => {
            Entry { stage: Stage::Second(None), ..inspected.into() }
        }
        entry => entry,
    });
    entries.collect()
}

impl Entry {
    /// Returns true if the entry is the leaf of the first stage.
    pub(crate) fn is_first_leaf(&self) -> bool {
        self.is_leaf && self.stage == Stage::First
    }
}

/// A write of a table entry that a cached translation depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryWrite {
    /// Where the entry stands.
    pub addr: PhysAddr,
    /// The bits before the write.
    pub before: u64,
    /// The bits after the write.
    pub after: u64,
    /// The writer.
    pub by: By,
    /// When.
    pub when: When,
}

/// A write of a register of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterWrite {
    /// Its number.
    pub id: RegisterId,
    /// Its name in the manual.
    pub name: &'static str,
    /// The value before the write.
    pub before: u64,
    /// The value after the write.
    pub after: u64,
    /// When.
    pub when: When,
}
