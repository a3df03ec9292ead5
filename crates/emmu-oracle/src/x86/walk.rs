//! From the linear address down to the page, one function per paging mode: 5.3, 5.4.2 and 5.5.4.

use super::Registers;
use crate::reference::{Hole, Memory};
use emmu_core::PhysAddr;

/// A paging-structure entry as it was read.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) addr: u64,
    pub(super) size: u8,
    pub(super) bits: u64,
}

impl Entry {
    pub(super) fn bit(self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
    /// P, bit 0.
    fn present(self) -> bool {
        self.bit(0)
    }
    /// PS, bit 7 of an entry that can map a page.
    fn page_size(self) -> bool {
        self.bit(7)
    }
}

/// The entries that control a translation, in the order in which they were read, and the page that the last
/// of them maps. PDPTE registers are not among them: they control nothing.
pub(super) struct Path {
    pub(super) entries: Vec<Entry>,
    /// Physical address of the page.
    pub(super) page: u64,
    /// Log2 of its size.
    pub(super) page_bits: u32,
}

/// Why there is no translation.
#[derive(Clone, Copy)]
pub(super) enum Obstacle {
    /// An entry's P flag is 0.
    NotPresent,
    /// A reserved bit is set in an entry whose P flag is 1.
    Reserved,
    /// The entry could not be read.
    Hole(PhysAddr),
}

/// Bits `high` to `low`, both included, as the manual writes them; none if `high` < `low`.
fn mask(high: u32, low: u32) -> u64 {
    (low..=high).map(|bit| 1 << bit).sum()
}

/// Reads entry `index` of a table of 32-bit entries.
fn read32(memory: &dyn Memory, table: u64, index: u64) -> Result<Entry, Obstacle> {
    let addr = table + 4 * index;
    let read = memory.read32(PhysAddr::new(addr));
    let bits = read.map_err(|Hole| Obstacle::Hole(PhysAddr::new(addr)))?;
    Ok(Entry { addr, size: 4, bits: u64::from(bits) })
}

/// Reads entry `index` of a table of 64-bit entries.
fn read64(memory: &dyn Memory, table: u64, index: u64) -> Result<Entry, Obstacle> {
    let addr = table + 8 * index;
    let read = memory.read64(PhysAddr::new(addr));
    let bits = read.map_err(|Hole| Obstacle::Hole(PhysAddr::new(addr)))?;
    Ok(Entry { addr, size: 8, bits })
}

/// An entry translates only if P is 1 and, then, no reserved bit is set.
fn check(entry: Entry, reserved: u64) -> Result<(), Obstacle> {
    if !entry.present() {
        Err(Obstacle::NotPresent)
    } else if entry.bits & reserved != 0 {
        Err(Obstacle::Reserved)
    } else {
        Ok(())
    }
}

impl Registers {
    /// 5.3, 32-bit paging.
    pub(super) fn walk_32_bit(&self, linear: u64, memory: &dyn Memory) -> Result<Path, Obstacle> {
        // Table 5-3: CR3 31:12 is the page directory. Linear address bits 31:22 select the PDE.
        let pde = read32(memory, self.cr3 & mask(31, 12), linear >> 22 & 0x3ff)?;
        let pse = self.cr4 >> 4 & 1 == 1;
        if pse && pde.page_size() {
            // Table 5-4: a 4-MByte page. Bits 31:22 and, by PSE-36, 20:13 for bits 39:32 of the address;
            // 21:(M-19) are reserved, where M is MAXPHYADDR but at most 40.
            let m = self.m().min(40);
            check(pde, mask(21, m - 19))?;
            let page = pde.bits & mask(31, 22) | (pde.bits & mask(20, 13)) << 19;
            return Ok(Path { entries: vec![pde], page, page_bits: 22 });
        }
        // Table 5-5: without CR4.PSE or PS, bits 31:12 are the page table. Nothing is reserved.
        check(pde, 0)?;
        // Table 5-6: bits 21:12 select the PTE.
        let pte = read32(memory, pde.bits & mask(31, 12), linear >> 12 & 0x3ff)?;
        check(pte, 0)?;
        Ok(Path { entries: vec![pde, pte], page: pte.bits & mask(31, 12), page_bits: 12 })
    }

    /// 5.4.2, PAE paging.
    pub(super) fn walk_pae(&self, linear: u64, memory: &dyn Memory) -> Result<Path, Obstacle> {
        // Bits 31:30 select the PDPTE register. Its reserved bits were checked when it was loaded.
        let pdpte = match linear >> 30 & 3 {
            0 => self.pdptes[0],
            1 => self.pdptes[1],
            2 => self.pdptes[2],
            _ => self.pdptes[3],
        };
        if pdpte & 1 == 0 {
            return Err(Obstacle::NotPresent);
        }
        // Tables 5-9 to 5-11: bits 62:M are reserved, and XD without NXE.
        let reserved = mask(62, self.m()) | self.reserved_xd();
        let pde = read64(memory, pdpte & self.address_bits(), linear >> 21 & 0x1ff)?;
        if pde.page_size() {
            check(pde, reserved | mask(20, 13))?;
            return Ok(self.page(vec![pde], 21));
        }
        check(pde, reserved)?;
        let pte = read64(memory, pde.bits & self.address_bits(), linear >> 12 & 0x1ff)?;
        check(pte, reserved)?;
        Ok(self.page(vec![pde, pte], 12))
    }

    /// 5.5.4, 5-level paging: one more level in front.
    pub(super) fn walk_5_level(&self, linear: u64, memory: &dyn Memory) -> Result<Path, Obstacle> {
        // Table 5-14: bit 7 of a PML5E is reserved.
        let pml5e = read64(memory, self.cr3 & self.address_bits(), linear >> 48 & 0x1ff)?;
        check(pml5e, self.reserved_64_bit() | mask(7, 7))?;
        self.walk_pml4(pml5e.bits & self.address_bits(), vec![pml5e], linear, memory)
    }

    /// 5.5.4, 4-level paging.
    pub(super) fn walk_4_level(&self, linear: u64, memory: &dyn Memory) -> Result<Path, Obstacle> {
        self.walk_pml4(self.cr3 & self.address_bits(), vec![], linear, memory)
    }

    /// The four levels that both have, from a PML4 table on, after `entries`.
    fn walk_pml4(
        &self,
        pml4: u64,
        mut entries: Vec<Entry>,
        linear: u64,
        memory: &dyn Memory,
    ) -> Result<Path, Obstacle> {
        let reserved = self.reserved_64_bit();

        // Table 5-15: bit 7 of a PML4E is reserved.
        let pml4e = read64(memory, pml4, linear >> 39 & 0x1ff)?;
        entries.push(pml4e);
        check(pml4e, reserved | mask(7, 7))?;

        // Table 5-16: a PDPTE that maps a 1-GByte page has bits 29:13 reserved. Table 5-17: others.
        let pdpte = read64(memory, pml4e.bits & self.address_bits(), linear >> 30 & 0x1ff)?;
        entries.push(pdpte);
        if pdpte.page_size() {
            check(pdpte, reserved | mask(29, 13))?;
            return Ok(self.page(entries, 30));
        }
        check(pdpte, reserved)?;

        // Table 5-18: a PDE that maps a 2-MByte page has bits 20:13 reserved. Table 5-19: others.
        let pde = read64(memory, pdpte.bits & self.address_bits(), linear >> 21 & 0x1ff)?;
        entries.push(pde);
        if pde.page_size() {
            check(pde, reserved | mask(20, 13))?;
            return Ok(self.page(entries, 21));
        }
        check(pde, reserved)?;

        // Table 5-20: a PTE.
        let pte = read64(memory, pde.bits & self.address_bits(), linear >> 12 & 0x1ff)?;
        entries.push(pte);
        check(pte, reserved)?;
        Ok(self.page(entries, 12))
    }

    /// The page of 2^`page_bits` bytes that the last of `entries` maps.
    fn page(&self, entries: Vec<Entry>, page_bits: u32) -> Path {
        let leaf = entries.last().map_or(0, |entry| entry.bits);
        let page = leaf & self.address_bits() & mask(51, page_bits);
        Path { entries, page, page_bits }
    }

    /// Bits (M-1):12, the address in a 64-bit entry and in CR3.
    fn address_bits(&self) -> u64 {
        mask(self.m() - 1, 12)
    }

    /// 5.5.4: bits 51:M are reserved in every entry, and XD without NXE.
    fn reserved_64_bit(&self) -> u64 {
        mask(51, self.m()) | self.reserved_xd()
    }

    /// If IA32_EFER.NXE = 0 and the P flag of an entry is 1, the XD flag (bit 63) is reserved.
    fn reserved_xd(&self) -> u64 {
        if self.nxe() { 0 } else { 1 << 63 }
    }

    /// IA32_EFER.NXE.
    pub(super) fn nxe(&self) -> bool {
        self.efer >> 11 & 1 == 1
    }
}
