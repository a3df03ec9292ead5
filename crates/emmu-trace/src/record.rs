//! One reference of a trace.

use core::fmt;
use emmu_core::{AccessKind, VirtAddr};

/// The action of a reference on its bytes.
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

    /// Returns the number that the native format and the content hash give this kind.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the kind with this number, if there is one.
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

    /// Returns the accesses of the CPU, in order: a modify is a load and then a store.
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

/// First byte of the page in which Linux answers three system calls on x86-64.
const VSYSCALL_PAGE: u64 = 0xffff_ffff_ff60_0000;

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

/// One reference: an action on some bytes. Prints as lackey's line.
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
    /// Number of bytes, at least 1. (Lackey reports 512 at most.)
    pub size: u16,
    /// Action on them.
    pub kind: RecordKind,
}

impl Record {
    /// Makes a reference to `size` bytes from `addr`.
    #[must_use]
    #[inline]
    pub const fn new(kind: RecordKind, addr: VirtAddr, size: u16) -> Self {
        Self { addr, size, kind }
    }

    /// Returns true for a fetch from the vsyscall page of Linux on x86-64, the 4 KiB from `0xffffffffff600000`.
    ///
    /// Programs call `gettimeofday`, `time` and `getcpu` there, and traces of old or static programs hold such fetches.
    /// The page lies in the kernel's half of the addresses (Linux, `Documentation/arch/x86/x86_64/mm.rst`), so no program
    /// maps it: the kernel answers the call and lets the program continue behind it. No other architecture lets a
    /// program fetch there. So a replay of a program leaves these fetches out.
    ///
    /// ```
    /// use emmu_core::VirtAddr;
    /// use emmu_trace::{Record, RecordKind};
    /// let time = Record::new(RecordKind::Fetch, VirtAddr::new(0xffff_ffff_ff60_0400), 7);
    /// assert!(time.is_vsyscall_fetch());
    /// ```
    #[must_use]
    #[inline]
    pub const fn is_vsyscall_fetch(&self) -> bool {
        matches!(self.kind, RecordKind::Fetch) && self.addr.raw() & !0xfff == VSYSCALL_PAGE
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

    #[test]
    fn only_fetches_from_the_vsyscall_page_are_of_it() {
        let is = |kind, addr| Record::new(kind, VirtAddr::new(addr), 1).is_vsyscall_fetch();
        let (first, last) = (0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_0fff);
        assert!(is(RecordKind::Fetch, first) && is(RecordKind::Fetch, last));
        assert!(!is(RecordKind::Fetch, first - 1) && !is(RecordKind::Fetch, last + 1));
        assert!(!is(RecordKind::Load, first));
    }
}
