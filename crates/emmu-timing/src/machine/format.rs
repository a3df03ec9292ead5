//! The page-table formats that a machine can have.

use emmu_paging::{RiscV, X86, format::Format};
use std::{fmt, ops::RangeInclusive};

/// The format of the page tables that a machine walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PagingFormat {
    /// RISC-V Sv39: three levels.
    RiscvSv39,
    /// x86-64 with four levels.
    X86_64FourLevel,
}

impl PagingFormat {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::RiscvSv39, Self::X86_64FourLevel];

    /// Its name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RiscvSv39 => "riscv-sv39",
            Self::X86_64FourLevel => "x86-64-4level",
        }
    }

    /// Number of levels of tables.
    #[must_use]
    pub const fn levels(self) -> u8 {
        match self {
            Self::RiscvSv39 => 3,
            Self::X86_64FourLevel => 4,
        }
    }

    /// Log2 of each page size in bytes, ascending.
    #[must_use]
    pub const fn page_bits(self) -> &'static [u8] {
        match self {
            Self::RiscvSv39 | Self::X86_64FourLevel => &[12, 21, 30],
        }
    }

    /// Whether the architecture lets a machine remember that an entry was invalid.
    #[must_use]
    pub const fn may_cache_invalid(self) -> bool {
        match self {
            Self::RiscvSv39 => RiscV::MAY_CACHE_INVALID,
            Self::X86_64FourLevel => X86::MAY_CACHE_INVALID,
        }
    }

    /// How many bytes of RAM a machine can have. The simulated operating system has the first 1 MiB of them,
    /// for tables by which it sees all of them in one half of the address space.
    #[must_use]
    pub const fn memory_sizes(self) -> RangeInclusive<u64> {
        let most = match self {
            Self::RiscvSv39 => 256 << 30,
            Self::X86_64FourLevel => 64 << 40,
        };
        2 << 20..=most
    }
}

impl fmt::Display for PagingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
