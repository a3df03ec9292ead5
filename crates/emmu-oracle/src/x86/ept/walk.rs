//! From the guest-physical address down to the page: "EPT Translation Mechanism" and "EPT Misconfigurations".

use super::Registers;
use crate::reference::{Hole, Memory, Write};
use emmu_core::PhysAddr;

/// An EPT paging-structure entry as it was read.
#[derive(Clone, Copy)]
struct Entry {
    addr: PhysAddr,
    bits: u64,
}

impl Entry {
    fn bit(self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
    /// R, W and X: bits 2:0. An entry that allows nothing is not present.
    fn rights(self) -> u64 {
        self.bits & 7
    }
    /// Bits 5:3 of an entry that maps a page.
    fn memory_type(self) -> u64 {
        self.bits >> 3 & 7
    }
}

/// The entries that were used, the last of which maps the page.
pub(super) struct Path {
    entries: Vec<Entry>,
    /// Physical address of the page.
    page: u64,
    /// Log2 of its size.
    pub(super) page_bits: u32,
}

impl Path {
    /// "The logical-AND of bit 0 in the EPT paging-structure entries used", and likewise of bits 1 and 2.
    pub(super) fn rights(&self) -> u64 {
        self.entries.iter().fold(7, |rights, entry| rights & entry.rights())
    }

    pub(super) fn physical(&self, gpa: u64) -> PhysAddr {
        PhysAddr::new(self.page | gpa & ((1 << self.page_bits) - 1))
    }

    /// "Accessed and Dirty Flags for EPT": the accessed flag (bit 8) of every entry that is used, and on a write the
    /// dirty flag (bit 9) of the one that maps the page.
    pub(super) fn accessed_and_dirty(&self, write: bool) -> Vec<Write> {
        let mut writes = Vec::new();
        for entry in &self.entries {
            // An entry can be used at several levels: it is written once, at the end.
            let maps_page = self.entries.last().is_some_and(|leaf| leaf.addr == entry.addr);
            let dirty = if maps_page && write { 1 << 9 } else { 0 };
            let value = entry.bits | 1 << 8 | dirty;
            let change = Write { addr: entry.addr, size: 8, value };
            if value != entry.bits && !writes.contains(&change) {
                writes.push(change);
            }
        }
        writes
    }
}

/// Why a guest-physical address has no translation.
pub(super) enum Obstacle {
    /// An entry is not present.
    NotPresent,
    /// An entry has a value that is not supported.
    Misconfigured,
    /// The entry could not be read.
    Hole(PhysAddr),
}

/// Bits `high` to `low`, both included; none if `high` < `low`.
fn mask(high: u32, low: u32) -> u64 {
    (low..=high).map(|bit| 1 << bit).sum()
}

impl Registers {
    pub(super) fn walk(&self, gpa: u64, memory: &dyn Memory) -> Result<Path, Obstacle> {
        let levels = if self.eptp >> 3 & 7 == 4 { 5 } else { 4 };
        // 4-level EPT uses bits 47:0 of a guest-physical address.
        if levels == 4 && gpa >> 48 != 0 {
            return Err(Obstacle::NotPresent);
        }
        let mut entries = Vec::new();
        let mut table = self.eptp & self.address_bits();
        // The levels of EPT PML5Es, PML4Es, PDPTEs, PDEs and PTEs are 4 to 0.
        for level in (0..levels).rev() {
            let shift = 12 + 9 * level;
            let entry = read(memory, table, gpa >> shift & 0x1ff)?;
            let maps_page = level == 0 || (level <= 2 && entry.bit(7));
            self.check(entry, maps_page, shift)?;
            entries.push(entry);
            if maps_page {
                let page = entry.bits & self.address_bits() & mask(51, shift);
                return Ok(Path { entries, page, page_bits: shift });
            }
            table = entry.bits & self.address_bits();
        }
        Err(Obstacle::NotPresent)
    }

    /// Checks that the entry is present and not misconfigured.
    fn check(&self, entry: Entry, maps_page: bool, page_bits: u32) -> Result<(), Obstacle> {
        let rights_supported = match entry.rights() {
            0b000 => return Err(Obstacle::NotPresent),
            // Write-only and write/execute.
            0b010 | 0b110 => false,
            0b100 => self.execute_only,
            _ => true,
        };
        let reserved =
            mask(51, self.guest.m()) | if maps_page { mask(page_bits - 1, 12) } else { mask(7, 3) };
        let type_supported = !maps_page || !matches!(entry.memory_type(), 2 | 3 | 7);
        if rights_supported && type_supported && entry.bits & reserved == 0 {
            Ok(())
        } else {
            Err(Obstacle::Misconfigured)
        }
    }

    /// Bits (M-1):12, the address in an entry and in the EPTP.
    fn address_bits(&self) -> u64 {
        mask(self.guest.m() - 1, 12)
    }
}

fn read(memory: &dyn Memory, table: u64, index: u64) -> Result<Entry, Obstacle> {
    let addr = PhysAddr::new(table + 8 * index);
    let bits = memory.read64(addr).map_err(|Hole| Obstacle::Hole(addr))?;
    Ok(Entry { addr, bits })
}
