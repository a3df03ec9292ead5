//! The level plan of a format: levels, page sizes and limits, under the name that machine descriptions use.

use super::{Format, MAX_LEVELS, Shape, slot};
use core::{fmt, ops::RangeInclusive};
use emmu_core::{Width, low_mask};

/// The most page sizes that a format can have: a block and a run of blocks at each level.
const MAX_SIZES: usize = 2 * MAX_LEVELS;

/// The smallest RAM, in bytes, of a machine that the simulated operating system runs on.
const LEAST_MEMORY: u64 = 2 << 20;

/// Log2 of the entries of the window onto memory: of 8 bytes each, they fill half of the operating system's first 1 MiB.
const WINDOW_BITS: u8 = 16;

/// Log2 of the largest page that the window is made of.
const MAX_WINDOW_BITS: u8 = 30;

/// The level plan of one mode of a format.
///
/// A plan is made when the program is compiled, beside the format that it is of. Leaves and larger pages are added in the
/// order of their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    name: &'static str,
    shape: Shape,
    levels: u8,
    address_bits: u8,
    /// One bit for each level that has leaf entries.
    leaf_levels: u8,
    page_bits: [u8; MAX_SIZES],
    sizes: u8,
    has_two_roots: bool,
    may_cache_invalid: bool,
}

impl Plan {
    /// The plan of a mode of the format `F`: `levels` levels of tables that a walk reads, and pages at level 0 only.
    #[must_use]
    pub const fn of<F: Format>(name: &'static str, shape: Shape, levels: u8) -> Self {
        let (page_bits, sizes, leaf_levels) = ([0; MAX_SIZES], 0, 0);
        let address_bits = shape.table_bits(levels.saturating_sub(1));
        let may_cache_invalid = F::MAY_CACHE_INVALID;
        let has_two_roots = false;
        Self {
            name,
            shape,
            levels,
            address_bits,
            leaf_levels,
            page_bits,
            sizes,
            has_two_roots,
            may_cache_invalid,
        }
        .with_leaves(0)
    }

    /// Returns the plan with leaf entries at this level.
    #[must_use]
    pub const fn with_leaves(mut self, level: u8) -> Self {
        self.leaf_levels |= 1 << slot(level);
        self.with_page(self.shape.page_bits(level))
    }

    /// Returns the plan with leaf entries at level 0 and all levels up to this one.
    #[must_use]
    pub const fn with_leaves_up_to(mut self, top: u8) -> Self {
        let mut level = 1;
        while level <= top {
            self = self.with_leaves(level);
            level += 1;
        }
        self
    }

    /// Returns the plan with pages of 2^`bits` bytes that several entries map together.
    #[must_use]
    pub const fn with_page(mut self, bits: u8) -> Self {
        if (self.sizes as usize) < MAX_SIZES {
            self.page_bits[self.sizes as usize] = bits;
            self.sizes += 1;
        }
        self
    }

    /// Returns the plan with addresses of another width than the tables alone index.
    #[must_use]
    pub const fn with_address_bits(self, address_bits: u8) -> Self {
        Self { address_bits, ..self }
    }

    /// Returns the plan with a root for the lower half of the addresses and another for the upper half.
    #[must_use]
    pub const fn with_two_roots(self) -> Self {
        Self { has_two_roots: true, ..self }
    }

    /// The name in machine descriptions.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The division of addresses into indices.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The width of an entry.
    #[must_use]
    pub const fn entry(&self) -> Width {
        self.shape.entry()
    }

    /// The number of levels of tables that a walk reads.
    #[must_use]
    pub const fn levels(&self) -> u8 {
        self.levels
    }

    /// Log2 of the bytes of addresses that one root covers.
    #[must_use]
    pub const fn address_bits(&self) -> u8 {
        self.address_bits
    }

    /// Log2 of each page size in bytes, ascending.
    #[must_use]
    pub const fn page_bits(&self) -> &[u8] {
        self.page_bits.split_at(self.sizes as usize).0
    }

    /// Returns true if the lower and the upper half of the addresses have a root each.
    #[must_use]
    pub const fn has_two_roots(&self) -> bool {
        self.has_two_roots
    }

    /// Returns true if the architecture lets a machine remember that an entry was invalid.
    #[must_use]
    pub const fn may_cache_invalid(&self) -> bool {
        self.may_cache_invalid
    }

    /// The level of the largest leaf entries of at most 1 GiB: an operating system maps all of memory with them.
    #[must_use]
    pub const fn window_level(&self) -> u8 {
        let mut level = self.levels.saturating_sub(1);
        while level > 0 {
            let is_leaf = self.leaf_levels >> slot(level) & 1 == 1;
            if is_leaf && self.shape.page_bits(level) <= MAX_WINDOW_BITS {
                return level;
            }
            level -= 1;
        }
        0
    }

    /// The sizes of RAM in bytes that a machine can have. The simulated operating system has the first 1 MiB for tables
    /// by which it sees all of the RAM in one half of the address space.
    #[must_use]
    pub const fn memory_sizes(&self) -> RangeInclusive<u64> {
        let half = self.address_bits.saturating_sub(if self.has_two_roots { 0 } else { 1 });
        let window = WINDOW_BITS + self.shape.page_bits(self.window_level());
        let bits = if half < window { half } else { window };
        LEAST_MEMORY..=low_mask(bits as u32).saturating_add(1)
    }
}

/// Makes the enumeration of named formats out of one list.
macro_rules! named {
    ($($(#[$doc:meta])* $variant:ident = $plan:expr,)*) => {
        /// A format under the name that machine descriptions give it.
        ///
        /// [`PagingFormat::ALL`] is the one list of them. The facts of each are in its [`Plan`], which its own module says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PagingFormat {
            $($(#[$doc])* $variant,)*
        }

        impl PagingFormat {
            /// All named formats.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// The level plan.
            #[must_use]
            pub const fn plan(self) -> &'static Plan {
                match self {
                    $(Self::$variant => &$plan,)*
                }
            }
        }
    };
}

named! {
    /// RISC-V Sv32, of 32-bit machines: two levels.
    RiscvSv32 = super::riscv::SV32,
    /// RISC-V Sv39: three levels.
    RiscvSv39 = super::riscv::SV39,
    /// RISC-V Sv48: four levels.
    RiscvSv48 = super::riscv::SV48,
    /// RISC-V Sv57: five levels.
    RiscvSv57 = super::riscv::SV57,
    /// 32-bit x86 with entries of four bytes: two levels.
    X86Bits32 = super::x86::BITS32,
    /// 32-bit x86 with PAE: two levels, below four entries that are registers.
    X86Pae = super::x86::PAE,
    /// x86-64 with four levels.
    X86_64FourLevel = super::x86::LEVEL4,
    /// x86-64 with five levels.
    X86_64FiveLevel = super::x86::LEVEL5,
    /// AArch64 with pages of 4 KiB and 48-bit addresses: four levels.
    AArch64K4 = super::aarch64::K4,
    /// AArch64 with pages of 16 KiB and 48-bit addresses: four levels.
    AArch64K16 = super::aarch64::K16,
    /// AArch64 with pages of 64 KiB and 48-bit addresses: three levels.
    AArch64K64 = super::aarch64::K64,
}

impl PagingFormat {
    /// The name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.plan().name()
    }

    /// The number of levels of tables that walks read.
    #[must_use]
    pub const fn levels(self) -> u8 {
        self.plan().levels()
    }

    /// Log2 of each page size in bytes, ascending: of AArch64 those of contiguous runs too.
    #[must_use]
    pub const fn page_bits(self) -> &'static [u8] {
        self.plan().page_bits()
    }

    /// The bytes of the smallest page.
    #[must_use]
    pub const fn page(self) -> u64 {
        1 << self.page_bits()[0]
    }

    /// Returns true if the architecture lets a machine remember that an entry was invalid.
    #[must_use]
    pub const fn may_cache_invalid(self) -> bool {
        self.plan().may_cache_invalid()
    }

    /// The sizes of RAM in bytes that a machine can have ([`Plan::memory_sizes`]).
    #[must_use]
    pub const fn memory_sizes(self) -> RangeInclusive<u64> {
        self.plan().memory_sizes()
    }
}

impl fmt::Display for PagingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn plans_have_the_sizes_of_the_manuals() {
        let sizes = |format: PagingFormat| (format.levels(), format.page_bits());
        assert_eq!(sizes(PagingFormat::RiscvSv57), (5, &[12, 21, 30, 39, 48][..]));
        assert_eq!(sizes(PagingFormat::X86Bits32), (2, &[12, 22][..]));
        assert_eq!(sizes(PagingFormat::X86Pae), (2, &[12, 21][..]));
        assert_eq!(sizes(PagingFormat::X86_64FiveLevel), (5, &[12, 21, 30][..]));
        assert_eq!(sizes(PagingFormat::AArch64K4), (4, &[12, 16, 21, 25, 30, 34][..]));
        assert_eq!(sizes(PagingFormat::AArch64K16), (4, &[14, 21, 25, 30][..]));
        assert_eq!(sizes(PagingFormat::AArch64K64), (3, &[16, 21, 29, 34][..]));
    }

    #[test]
    fn memory_is_limited_by_a_half_of_the_addresses_or_by_the_window() {
        let most = |format: PagingFormat| *format.memory_sizes().end();
        assert_eq!(most(PagingFormat::RiscvSv32), 2 << 30);
        assert_eq!(most(PagingFormat::RiscvSv39), 256 << 30);
        assert_eq!(most(PagingFormat::RiscvSv57), 64 << 40);
        assert_eq!(most(PagingFormat::X86Pae), 2 << 30);
        assert_eq!(most(PagingFormat::AArch64K16), 2 << 40);
        assert_eq!(most(PagingFormat::AArch64K64), 32 << 40);
    }

    #[test]
    fn every_format_has_a_name_of_its_own() {
        let mut names: Vec<_> = PagingFormat::ALL.iter().map(|format| format.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PagingFormat::ALL.len());
    }
}
