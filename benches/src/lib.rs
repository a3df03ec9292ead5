//! Machines with built tables, and plain implementations to compare them with, for all benches.

mod guests;
pub mod plain;

pub use guests::{riscv_guest, x86_guest};

use emmu_core::{Bus, BusError, PhysAddr, Registers, TranslationUnit, Width, find_register};
use emmu_memory::Memory;
use emmu_paging::format::described::{Described, Description, DescriptionError};
use emmu_paging::{
    Geometry, GeometryError, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable,
    WalkCacheTable, format::Format,
};

/// The address of the first table of most layouts.
pub const ROOT: u64 = 0x10_0000;
/// The physical address of the first page that is mapped.
pub const PAGES: u64 = 0x1000_0000;

/// The shape of a format's tables, and the form of its entries.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    entry: Width,
    page_bits: u8,
    /// Bits of the index at each level, the topmost first.
    index_bits: &'static [u8],
    root: u64,
    /// The entry of a level that points to this table.
    table: fn(usize, u64) -> u64,
    /// The entry for this page.
    page: fn(u64) -> u64,
}

impl Layout {
    /// RISC-V: pages are readable, writable and executable, accessed and dirty.
    #[must_use]
    pub const fn riscv(entry: Width, index_bits: &'static [u8]) -> Self {
        Self::new(entry, 12, index_bits, |_, addr| addr >> 2 | 1, |addr| addr >> 2 | 0xcf)
    }

    /// x86: pages are writable, accessed and dirty.
    #[must_use]
    pub const fn x86(entry: Width, index_bits: &'static [u8]) -> Self {
        Self::new(entry, 12, index_bits, |_, addr| addr | 0x23, |addr| addr | 0x63)
    }

    /// x86 with PAE, whose topmost entries have no rights.
    #[must_use]
    pub const fn pae() -> Self {
        let table = |level, addr| addr | if level == 2 { 1 } else { 0x23 };
        Self { table, ..Self::x86(Width::B8, &[2, 9, 9]) }
    }

    /// AArch64 with a granule of 2^`page_bits` bytes.
    #[must_use]
    pub const fn aarch64(page_bits: u8, index_bits: &'static [u8]) -> Self {
        Self::new(Width::B8, page_bits, index_bits, |_, addr| addr | 3, |addr| addr | 0x403)
    }

    /// The textbook's linear table: entries of 4 bytes, bit 31 valid.
    #[must_use]
    pub const fn linear() -> Self {
        Self::new(Width::B4, 12, &[10], |_, addr| addr, |addr| addr >> 12 | 1 << 31)
    }

    /// The textbook's two levels: entries of one byte, bit 7 valid, which reach 4 KiB of memory.
    #[must_use]
    pub const fn two_levels() -> Self {
        let entry = |addr: u64| addr >> 5 & 0x7f | 0x80;
        let levels = Self::new(Width::B1, 5, &[5, 5], |_, addr| addr >> 5 | 0x80, entry);
        Self { root: 0x100, ..levels }
    }

    const fn new(
        entry: Width,
        page_bits: u8,
        index_bits: &'static [u8],
        table: fn(usize, u64) -> u64,
        page: fn(u64) -> u64,
    ) -> Self {
        Self { entry, page_bits, index_bits, root: ROOT, table, page }
    }

    /// The page-table format of this layout, for one that is described.
    ///
    /// # Errors
    /// None in fact: the descriptions are possible.
    pub fn described(&self) -> Result<Described, DescriptionError> {
        let valid = self.entry.bytes() * 8 - 1;
        let valid = u8::try_from(valid).unwrap_or(u8::MAX);
        let description = Description::new(self.entry, self.page_bits, self.index_bits);
        Described::new(description.frame(0, valid).valid(valid))
    }

    /// Where the first table is.
    #[must_use]
    pub const fn root(&self) -> u64 {
        self.root
    }

    /// Log2 of the size of a page.
    #[must_use]
    pub const fn page_bits(&self) -> u8 {
        self.page_bits
    }

    /// Lays the tables out level by level, all of one level in a row, in the memory whose addresses they name: it
    /// begins at `base` on the bus.
    fn map(&self, memory: &mut Memory, base: u64, pages: u64) -> Result<(), BusError> {
        let page_size = 1 << self.page_bits;
        let mut below: u32 = self.index_bits.iter().map(|&bits| u32::from(bits)).sum();
        let (mut table, width) = (self.root, self.entry.bytes());
        let mut level = self.index_bits.len();
        for bits in self.index_bits {
            level -= 1;
            below -= u32::from(*bits);
            let entries = pages.div_ceil(1 << below);
            let next_table = table + (entries * width).next_multiple_of(page_size);
            for entry in 0..entries {
                let raw = match level {
                    0 => (self.page)(PAGES + entry * page_size),
                    _ => (self.table)(level, next_table + entry * page_size),
                };
                memory.write(PhysAddr::new(base + table + entry * width), self.entry, raw)?;
            }
            table = next_table;
        }
        Ok(())
    }
}

/// A unit and its memory, with `pages` pages mapped from virtual address 0 to [`PAGES`] on.
///
/// # Errors
/// Whatever the unit or memory refuses.
pub fn machine<F: Format>(
    format: F,
    registers: &[(&str, u64)],
    layout: &Layout,
    config: &PagingConfig,
    pages: u64,
) -> Result<(Paging<F>, Memory), Box<dyn std::error::Error>> {
    let mut memory = Memory::ram(1 << 40);
    layout.map(&mut memory, 0, pages)?;
    let mut unit = Paging::new(format, config)?;
    for (name, value) in registers {
        let register = find_register(unit.registers(), name).ok_or("no such register")?;
        unit.write_register(register.id, *value, &mut memory, &mut ())?;
    }
    Ok((unit, memory))
}

/// The page tables of [`machine`] for Sv39.
///
/// # Errors
/// As [`machine`].
pub fn sv39(
    config: &PagingConfig,
    pages: u64,
) -> Result<(Paging<RiscV>, Memory), Box<dyn std::error::Error>> {
    let registers = [("satp", 8 << 60 | ROOT >> 12)];
    machine(RiscV::rv64(), &registers, &Layout::riscv(Width::B8, &[9; 3]), config, pages)
}

/// TLBs of a usual size for pages of 2^`page_bits` bytes: L1 of 64 entries in 4 ways a side, L2 of 1536 in 12, all
/// LRU.
///
/// # Errors
/// None in fact: the shapes are possible.
pub fn usual_tlbs(page_bits: u8) -> Result<PagingConfig, GeometryError> {
    let table = |sets, ways| -> Result<_, GeometryError> {
        Ok(TlbTable {
            geometry: Geometry::new(sets, ways, Policy::Lru)?,
            page_bits: vec![page_bits],
        })
    };
    let first = TlbLevel::split(vec![table(16, 4)?], vec![table(16, 4)?]);
    let tlb = vec![first, TlbLevel::unified(vec![table(128, 12)?])];
    Ok(PagingConfig { tlb, ..PagingConfig::default() })
}

/// Walk caches of a usual size for the tables of levels 0 and above.
///
/// # Errors
/// None in fact: the shapes are possible.
pub fn usual_walk_caches() -> Result<PagingConfig, GeometryError> {
    let mut walk_cache = Vec::new();
    for (level, entries) in [(0, 32), (1, 8), (2, 4)] {
        let geometry = Geometry::fully_associative(entries, Policy::Lru)?;
        walk_cache.push(WalkCacheTable { geometry, levels: vec![level] });
    }
    Ok(PagingConfig { walk_cache, ..PagingConfig::default() })
}

/// An address in each page, in no order that a host could guess: run over in a circle, a page comes again after all
/// others.
#[must_use]
pub fn each_page(pages: u64) -> Vec<u64> {
    let mut random = random();
    let mut addresses: Vec<u64> =
        (0..pages).map(|page| page << 12 | random(PAGE_WORDS) << 3).collect();
    for last in (1..addresses.len()).rev() {
        let other = usize::try_from(random(last as u64 + 1)).unwrap_or(last);
        addresses.swap(last, other);
    }
    addresses
}

/// Addresses anywhere in the pages.
#[must_use]
pub fn anywhere(pages: u64, count: usize) -> Vec<u64> {
    let mut random = random();
    (0..count).map(|_| random(pages * PAGE_WORDS) << 3).collect()
}

const PAGE_WORDS: u64 = 512;

/// Numbers below a bound, always the same.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 1_u64;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % bound
    }
}
