//! What the benches have in common: machines with their tables built.

use emmu_core::{Bus, PhysAddr, Registers, TranslationUnit, Width, find_register};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Geometry, GeometryError, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable,
    WalkCacheTable, X86, format::Format,
};

/// Where the first table is.
const ROOT: u64 = 0x10_0000;
/// Where the pages mapped start in physical memory.
pub const PAGES: u64 = 0x1000_0000;

/// How a format writes its entries.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    levels: u32,
    table: fn(u64) -> u64,
    page: fn(u64) -> u64,
}

impl Encoding {
    /// RISC-V with this many levels: pages are readable, writable and executable, accessed and dirty.
    #[must_use]
    pub fn riscv(levels: u32) -> Self {
        Self { levels, table: |addr| addr >> 2 | 1, page: |addr| addr >> 2 | 0xcf }
    }

    /// x86 with 64-bit entries.
    #[must_use]
    pub fn x86(levels: u32) -> Self {
        Self { levels, table: |addr| addr | 0x23, page: |addr| addr | 0x63 }
    }

    /// AArch64 with a 4 KiB granule.
    #[must_use]
    pub fn aarch64(levels: u32) -> Self {
        Self { levels, table: |addr| addr | 3, page: |addr| addr | 0x403 }
    }
}

/// A unit and its memory, with `pages` 4 KiB pages mapped from virtual address 0 to [`PAGES`] on.
///
/// # Errors
/// Whatever the unit or memory refuses.
pub fn machine<F: Format>(
    format: F,
    registers: &[(&str, u64)],
    encoding: Encoding,
    config: &PagingConfig,
    pages: u64,
) -> Result<(Paging<F>, Memory), Box<dyn std::error::Error>> {
    let mut memory = Memory::ram(1 << 40);
    map(&mut memory, encoding, pages)?;
    let mut unit = Paging::new(format, config)?;
    for (name, value) in registers {
        let register = find_register(unit.registers(), name).ok_or("no such register")?;
        unit.write_register(register.id, *value, &mut memory, &mut ())?;
    }
    Ok((unit, memory))
}

/// Lays the tables out level by level: all of one level in a row.
fn map(memory: &mut Memory, encoding: Encoding, pages: u64) -> Result<(), emmu_core::BusError> {
    let mut table = ROOT;
    for level in (0..encoding.levels).rev() {
        let entries = pages.div_ceil(1 << (9 * level));
        let next_table = table + (entries * 8).next_multiple_of(0x1000);
        for entry in 0..entries {
            let raw = match level {
                0 => (encoding.page)(PAGES + entry * 0x1000),
                _ => (encoding.table)(next_table + entry * 0x1000),
            };
            memory.write(PhysAddr::new(table + entry * 8), Width::B8, raw)?;
        }
        table = next_table;
    }
    Ok(())
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
    machine(RiscV::rv64(), &registers, Encoding::riscv(3), config, pages)
}

/// The same for x86 with 4 levels.
///
/// # Errors
/// As [`machine`].
pub fn x86_4level(
    config: &PagingConfig,
    pages: u64,
) -> Result<(Paging<X86>, Memory), Box<dyn std::error::Error>> {
    let registers =
        [("cr3", ROOT), ("cr4", 1 << 5), ("efer", 1 << 8), ("cr0", 1 << 31 | 1 << 16 | 1)];
    machine(X86::new(52), &registers, Encoding::x86(4), config, pages)
}

/// The same for AArch64 with 4 KiB granules and 48-bit addresses.
///
/// # Errors
/// As [`machine`].
pub fn aarch64_4k(
    config: &PagingConfig,
    pages: u64,
) -> Result<(Paging<AArch64>, Memory), Box<dyn std::error::Error>> {
    let registers = [("ttbr0_el1", ROOT), ("tcr_el1", 5 << 32 | 16 << 16 | 16), ("sctlr_el1", 1)];
    machine(AArch64::new(), &registers, Encoding::aarch64(4), config, pages)
}

/// TLBs of a usual size: L1 of 64 entries in 4 ways a side, L2 of 1536 in 12, all LRU.
///
/// # Errors
/// None in fact: the shapes are possible.
pub fn usual_tlbs() -> Result<PagingConfig, GeometryError> {
    let table = |sets, ways| -> Result<_, GeometryError> {
        Ok(TlbTable { geometry: Geometry::new(sets, ways, Policy::Lru)?, page_bits: vec![12] })
    };
    let first = TlbLevel::Split { instruction: vec![table(16, 4)?], data: vec![table(16, 4)?] };
    let tlb = vec![first, TlbLevel::Unified(vec![table(128, 12)?])];
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
