//! x86-64 page tables (Intel SDM Vol. 3A, chapter 5 "Paging", December 2024).

use super::{Roots, TableFormat, TableShape, Valid};
use crate::{CpuPort, OsError, Rights};
use emmu_core::{Asid, PhysAddr, Privilege, VirtAddr, Width, bit_range};
use emmu_cpu::Stop;
use emmu_paging::format::x86::{CR0, CR3, CR3_NO_FLUSH, CR4, Cr0, Cr4, EFER, Efer, Pte};

/// 4-level or 5-level paging.
///
/// CR0.WP, EFER.NXE, SMEP, SMAP, global pages and PCIDs are on. Until paging is, the machine reaches only
/// the first 4 GiB, so the kernel's part of memory must lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86Tables {
    levels: u8,
    la57: Cr4,
}

impl X86Tables {
    /// 4 levels: programs have 128 TiB.
    pub const LEVEL4: Self = Self { levels: 4, la57: Cr4::empty() };
    /// 5 levels: programs have 64 PiB.
    pub const LEVEL5: Self = Self { levels: 5, la57: Cr4::LA57 };
}

/// PCIDs have 12 bits.
const LAST_PCID: Asid = Asid(0xfff);

impl TableFormat for X86Tables {
    fn shape(&self) -> TableShape {
        TableShape {
            levels: self.levels,
            page_bits: 12,
            entry: Width::B8,
            address_bits: 12 + 9 * self.levels,
            window_level: 2,
            roots: Roots::Shared,
        }
    }

    /// R/W and U/S are the AND of all entries on the way, so the leaf alone decides.
    fn table(&self, table: PhysAddr, owner: Privilege) -> u64 {
        table.raw() | (Pte::P | Pte::RW | user(owner)).bits()
    }

    /// What is present can be read. A and D are the hardware's.
    fn page(&self, page: PhysAddr, level: u8, rights: Rights, owner: Privilege) -> u64 {
        let mut bits = Pte::P | user(owner);
        bits.set(Pte::PS, level > 0);
        bits.set(Pte::RW, rights.contains(Rights::WRITE));
        bits.set(Pte::XD, !rights.contains(Rights::EXECUTE));
        bits.set(Pte::G, owner != Privilege::User);
        page.raw() | bits.bits()
    }

    fn target(&self, entry: u64) -> Option<PhysAddr> {
        let present = Pte::from_bits_retain(entry).contains(Pte::P);
        present.then_some(PhysAddr::new(entry & bit_range(51, 12)))
    }

    /// The order of SDM 11.8.5, "Initializing IA-32e Mode"; PCIDs can be turned on only after it (5.10.1).
    fn start<C: CpuPort>(&self, cpu: &mut C, root: PhysAddr) -> Result<Asid, OsError> {
        let cr4 = Cr4::PAE | Cr4::PGE | Cr4::SMEP | Cr4::SMAP | self.la57;
        set(cpu, CR4, cr4.bits())?;
        cpu.write_register(CR3, root.raw())?;
        set(cpu, EFER, (Efer::LME | Efer::NXE).bits())?;
        set(cpu, CR0, (Cr0::PE | Cr0::WP | Cr0::PG).bits())?;
        set(cpu, CR4, Cr4::PCIDE.bits())?;
        Ok(LAST_PCID)
    }

    /// Nothing of this PCID is remembered that is no longer so.
    fn enter<C: CpuPort>(&self, cpu: &mut C, root: PhysAddr, pcid: Asid) -> Result<(), OsError> {
        cpu.write_register(CR3, root.raw() | u64::from(pcid.0) | CR3_NO_FLUSH)?;
        Ok(())
    }

    /// Nothing: "no invalidation is necessary" where P was 0 (SDM 5.10.4.3).
    fn made_valid<C: CpuPort>(
        &self,
        _: &mut C,
        _: VirtAddr,
        _: Asid,
        _: Valid,
    ) -> Result<(), OsError> {
        Ok(())
    }
}

fn user(owner: Privilege) -> Pte {
    if owner == Privilege::User { Pte::US } else { Pte::empty() }
}

/// Sets bits of a register, and leaves the others.
fn set<C: CpuPort>(cpu: &mut C, id: emmu_core::RegisterId, bits: u64) -> Result<(), Stop> {
    let held = cpu.read_register(id)?;
    cpu.write_register(id, held | bits)
}
