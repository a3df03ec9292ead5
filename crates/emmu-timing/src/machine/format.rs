//! The page-table formats that a machine can have.

use emmu_paging::{AArch64, RiscV, X86, format::Format};
use std::{fmt, ops::RangeInclusive};

/// The format of the page tables that a machine walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PagingFormat {
    /// RISC-V Sv32, of 32-bit machines: two levels.
    RiscvSv32,
    /// RISC-V Sv39: three levels.
    RiscvSv39,
    /// RISC-V Sv48: four levels.
    RiscvSv48,
    /// RISC-V Sv57: five levels.
    RiscvSv57,
    /// 32-bit x86 with entries of four bytes: two levels.
    X86Bits32,
    /// 32-bit x86 with PAE: two levels, below four entries that are registers.
    X86Pae,
    /// x86-64 with four levels.
    X86_64FourLevel,
    /// x86-64 with five levels.
    X86_64FiveLevel,
    /// AArch64 with pages of 4 KiB and 48-bit addresses: four levels.
    AArch64K4,
    /// AArch64 with pages of 16 KiB and 48-bit addresses: four levels.
    AArch64K16,
    /// AArch64 with pages of 64 KiB and 48-bit addresses: three levels.
    AArch64K64,
}

/// What there is to know of a format.
struct Facts {
    name: &'static str,
    levels: u8,
    page_bits: &'static [u8],
    may_cache_invalid: bool,
    /// The most bytes of RAM.
    most: u64,
}

impl PagingFormat {
    /// All formats.
    pub const ALL: [Self; 11] = [
        Self::RiscvSv32,
        Self::RiscvSv39,
        Self::RiscvSv48,
        Self::RiscvSv57,
        Self::X86Bits32,
        Self::X86Pae,
        Self::X86_64FourLevel,
        Self::X86_64FiveLevel,
        Self::AArch64K4,
        Self::AArch64K16,
        Self::AArch64K64,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::RiscvSv32 => riscv("riscv-sv32", 2, &[12, 22], 2 << 30),
            Self::RiscvSv39 => riscv("riscv-sv39", 3, &[12, 21, 30], 256 << 30),
            Self::RiscvSv48 => riscv("riscv-sv48", 4, &[12, 21, 30, 39], 64 << 40),
            Self::RiscvSv57 => riscv("riscv-sv57", 5, &[12, 21, 30, 39, 48], 64 << 40),
            Self::X86Bits32 => x86("x86-32", 2, &[12, 22], 2 << 30),
            Self::X86Pae => x86("x86-pae", 2, &[12, 21], 2 << 30),
            Self::X86_64FourLevel => x86("x86-64-4level", 4, &[12, 21, 30], 64 << 40),
            Self::X86_64FiveLevel => x86("x86-64-5level", 5, &[12, 21, 30], 64 << 40),
            Self::AArch64K4 => aarch64("aarch64-4k-48", 4, &[12, 16, 21, 25, 30, 34], 64 << 40),
            Self::AArch64K16 => aarch64("aarch64-16k-48", 4, &[14, 21, 25, 30], 2 << 40),
            Self::AArch64K64 => aarch64("aarch64-64k-48", 3, &[16, 21, 29, 34], 32 << 40),
        }
    }

    /// Its name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Number of levels of tables that walks read.
    #[must_use]
    pub const fn levels(self) -> u8 {
        self.facts().levels
    }

    /// Log2 of each page size in bytes, ascending: of AArch64 those of contiguous runs too.
    #[must_use]
    pub const fn page_bits(self) -> &'static [u8] {
        self.facts().page_bits
    }

    /// Bytes of the smallest page.
    #[must_use]
    pub const fn page(self) -> u64 {
        1 << self.page_bits()[0]
    }

    /// Whether the architecture lets a machine remember that an entry was invalid.
    #[must_use]
    pub const fn may_cache_invalid(self) -> bool {
        self.facts().may_cache_invalid
    }

    /// How many bytes of RAM a machine can have. The simulated operating system has the first 1 MiB of them,
    /// for tables by which it sees all of them in one half of the address space.
    #[must_use]
    pub const fn memory_sizes(self) -> RangeInclusive<u64> {
        2 << 20..=self.facts().most
    }
}

const fn riscv(name: &'static str, levels: u8, page_bits: &'static [u8], most: u64) -> Facts {
    Facts { name, levels, page_bits, may_cache_invalid: RiscV::MAY_CACHE_INVALID, most }
}

const fn x86(name: &'static str, levels: u8, page_bits: &'static [u8], most: u64) -> Facts {
    Facts { name, levels, page_bits, may_cache_invalid: X86::MAY_CACHE_INVALID, most }
}

const fn aarch64(name: &'static str, levels: u8, page_bits: &'static [u8], most: u64) -> Facts {
    Facts { name, levels, page_bits, may_cache_invalid: AArch64::MAY_CACHE_INVALID, most }
}

impl fmt::Display for PagingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
