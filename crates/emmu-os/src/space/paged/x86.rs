//! x86-64 page tables (Intel SDM Vol. 3A, chapter 5 "Paging", December 2024).

use super::{TableFormat, TableShape, Valid};
use crate::{CpuPort, OsError, Rights};
use emmu_core::{Asid, PhysAddr, Privilege, VirtAddr, Width, bit_range};
use emmu_cpu::Stop;
use emmu_paging::format::{
    Plan,
    x86::{BITS32, CR0, CR3, CR3_NO_FLUSH, CR4, Cr0, Cr4, EFER, Efer, LEVEL4, LEVEL5, PAE, Pte},
};

/// 32-bit, PAE, 4-level or 5-level paging.
///
/// CR0.WP, SMEP, SMAP and global pages are on, EFER.NXE where entries have 64 bits, and PCIDs in 64-bit modes. Until
/// paging is, the machine reaches only the first 4 GiB, so the kernel's part of memory must lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86Tables {
    plan: &'static Plan,
    /// Levels of tables: one more than a walk reads where the first is loaded into registers.
    levels: u8,
    /// The bits of CR4 that make it this mode.
    mode: Cr4,
}

impl X86Tables {
    /// 2 levels of 4-byte entries: programs have 2 GiB, in which what can be read can be executed.
    pub const BITS32: Self = Self { plan: &BITS32, levels: 2, mode: Cr4::PSE };
    /// 3 levels, the first of which has four entries that are loaded with CR3: programs have 2 GiB.
    pub const PAE: Self = Self { plan: &PAE, levels: 3, mode: Cr4::PAE };
    /// 4 levels: programs have 128 TiB.
    pub const LEVEL4: Self = Self { plan: &LEVEL4, levels: 4, mode: Cr4::PAE };
    /// 5 levels: programs have 64 PiB.
    pub const LEVEL5: Self = Self { plan: &LEVEL5, levels: 5, mode: Cr4::PAE.union(Cr4::LA57) };

    const fn is_long(self) -> bool {
        self.levels >= 4
    }

    const fn has_wide_entries(self) -> bool {
        matches!(self.plan.entry(), Width::B8)
    }

    /// Returns true if entries of this level are PDPTEs of PAE paging, which have no rights and are loaded with
    /// CR3.
    const fn has_pdptes(self, level: u8) -> bool {
        self.levels == 3 && level == 2
    }
}

/// PCIDs have 12 bits.
const LAST_PCID: Asid = Asid(0xfff);

impl TableFormat for X86Tables {
    fn shape(&self) -> TableShape {
        TableShape { levels: self.levels, ..TableShape::of(self.plan) }
    }

    /// R/W and U/S are the AND of all entries on the way, so the leaf alone decides.
    fn table(&self, table: PhysAddr, level: u8, owner: Privilege) -> u64 {
        let rights = if self.has_pdptes(level) { Pte::empty() } else { Pte::RW | user(owner) };
        table.raw() | (Pte::P | rights).bits()
    }

    /// A present page can be read. Hardware sets A and D, except in pages that every root maps: there they are
    /// set from the start, because each root would otherwise come to say something else of a global page.
    /// 4-byte entries have no XD.
    fn page(&self, page: PhysAddr, level: u8, rights: Rights, owner: Privilege) -> u64 {
        let mut bits = Pte::P | user(owner);
        bits.set(Pte::PS, level > 0);
        bits.set(Pte::RW, rights.contains(Rights::WRITE));
        bits.set(Pte::XD, self.has_wide_entries() && !rights.contains(Rights::EXECUTE));
        bits.set(Pte::G, owner != Privilege::User);
        bits.set(Pte::A | Pte::D, owner != Privilege::User && !self.has_wide_entries());
        page.raw() | bits.bits()
    }

    fn target(&self, entry: u64) -> Option<PhysAddr> {
        let present = Pte::from_bits_retain(entry).contains(Pte::P);
        present.then_some(PhysAddr::new(entry & bit_range(51, 12)))
    }

    /// The order of SDM 11.8.5, "Initializing IA-32e Mode"; PCIDs can be turned on only after it (5.10.1). PDPTEs are
    /// loaded when paging is turned on (5.4.1).
    fn start(&self, cpu: &mut dyn CpuPort, root: PhysAddr) -> Result<Option<Asid>, OsError> {
        let cr4 = Cr4::PGE | Cr4::SMEP | Cr4::SMAP | self.mode;
        set(cpu, CR4, cr4.bits())?;
        cpu.write_register(CR3, root.raw())?;
        if self.has_wide_entries() {
            let long = if self.is_long() { Efer::LME } else { Efer::empty() };
            set(cpu, EFER, (Efer::NXE | long).bits())?;
        }
        set(cpu, CR0, (Cr0::PE | Cr0::WP | Cr0::PG).bits())?;
        if !self.is_long() {
            return Ok(None);
        }
        set(cpu, CR4, Cr4::PCIDE.bits())?;
        Ok(Some(LAST_PCID))
    }

    /// No TLB holds a stale entry of this PCID. Without PCIDs, the write invalidates the last space.
    fn enter(&self, cpu: &mut dyn CpuPort, root: PhysAddr, pcid: Asid) -> Result<(), OsError> {
        let pcid = if self.is_long() { u64::from(pcid.0) | CR3_NO_FLUSH } else { 0 };
        cpu.write_register(CR3, root.raw() | pcid)?;
        Ok(())
    }

    /// Nothing: "no invalidation is necessary" where P was 0 (SDM 5.10.4.3). A PDPTE counts from the next write of CR3 on
    /// (5.4.1); whether the new table hangs from one is not told.
    fn made_valid(
        &self,
        cpu: &mut dyn CpuPort,
        _: VirtAddr,
        _: Asid,
        entry: Valid,
    ) -> Result<(), OsError> {
        if self.levels == 3 && entry == Valid::Table {
            let root = cpu.read_register(CR3)?;
            cpu.write_register(CR3, root)?;
        }
        Ok(())
    }
}

fn user(owner: Privilege) -> Pte {
    if owner == Privilege::User { Pte::US } else { Pte::empty() }
}

/// Sets bits of a register, and leaves the others.
fn set(cpu: &mut dyn CpuPort, id: emmu_core::RegisterId, bits: u64) -> Result<(), Stop> {
    let held = cpu.read_register(id)?;
    cpu.write_register(id, held | bits)
}
