//! One reference of a trace.

use core::fmt;
use emmu_core::{AccessKind, VirtAddr};

/// What a reference does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// Reads an instruction: lackey's `I`.
    Fetch = 0,
    /// Reads data: lackey's `L`.
    Load = 1,
    /// Writes data: lackey's `S`.
    Store = 2,
    /// Reads data and then writes the same bytes, in one instruction: lackey's `M`.
    Modify = 3,
}

impl RecordKind {
    /// All four, in order of their numbers.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Load, Self::Store, Self::Modify];

    /// The number that the native format and the content hash give this kind.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    #[must_use]
    #[inline]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Fetch),
            1 => Some(Self::Load),
            2 => Some(Self::Store),
            3 => Some(Self::Modify),
            _ => None,
        }
    }

    /// What the CPU asks of its memory interface, in order: a modify is a load and then a store.
    #[must_use]
    #[inline]
    pub const fn accesses(self) -> &'static [AccessKind] {
        match self {
            Self::Fetch => &[AccessKind::Fetch],
            Self::Load => &[AccessKind::Load],
            Self::Store => &[AccessKind::Store],
            Self::Modify => &[AccessKind::Load, AccessKind::Store],
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fetch => "fetch",
            Self::Load => "load",
            Self::Store => "store",
            Self::Modify => "modify",
        })
    }
}

/// One reference: which bytes, and what is done with them. Prints as lackey's line.
///
/// ```
/// use emmu_core::VirtAddr;
/// use emmu_trace::{Record, RecordKind};
/// let record = Record::new(RecordKind::Load, VirtAddr::new(0x1ffe_ffe7e0), 8);
/// assert_eq!(record.to_string(), " L 1ffeffe7e0,8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// First byte.
    pub addr: VirtAddr,
    /// Bytes, at least 1. (Lackey reports 512 at most.)
    pub size: u16,
    /// What is done with them.
    pub kind: RecordKind,
}

impl Record {
    /// A reference to `size` bytes from `addr`.
    #[must_use]
    #[inline]
    pub const fn new(kind: RecordKind, addr: VirtAddr, size: u16) -> Self {
        Self { addr, size, kind }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RecordKind::Fetch => "I ",
            RecordKind::Load => " L",
            RecordKind::Store => " S",
            RecordKind::Modify => " M",
        };
        write!(f, "{kind} {:08x},{}", self.addr, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_its_number() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::from_number(kind.number().into()), Some(kind));
        }
        assert_eq!(RecordKind::from_number(4), None);
    }

    #[test]
    fn a_fetch_prints_as_lackey_prints_it() {
        let fetch = Record::new(RecordKind::Fetch, VirtAddr::new(0x0401_6b30), 3);
        assert_eq!(fetch.to_string(), "I  04016b30,3");
    }
}
