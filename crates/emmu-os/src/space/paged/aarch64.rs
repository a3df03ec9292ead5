//! AArch64 page tables (Arm ARM, DDI 0487, chapter D8 "The AArch64 Virtual Memory System Architecture").

use super::{TableFormat, TableShape, Valid};
use crate::{CpuPort, OsError, Rights};
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege, VirtAddr, bit_range};
use emmu_paging::format::{
    Plan,
    aarch64::{
        Descriptor, K4, K16, K64, MAIR_EL1, PAN, PAN_BIT, SCTLR_EL1, SCTLR_M, TCR_EL1, TTBR0_EL1,
        TTBR1_EL1,
    },
};

/// Stage 1 at EL1&0 with one of the three granules, and 48-bit addresses in each half: programs have 256 TiB.
///
/// Programs' tables are TTBR0's, the kernel's are TTBR1's. PAN is on, ASIDs have 16 bits, and every page's access flag
/// is set when it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AArch64Tables {
    plan: &'static Plan,
    /// TCR_EL1.TG0 and TG1, which have different codes for one granule.
    granule: u64,
}

impl AArch64Tables {
    /// Pages of 4 KiB, 4 levels.
    pub const K4: Self = Self { plan: &K4, granule: 0b10 << 30 };
    /// Pages of 16 KiB, 4 levels: the root has two entries.
    pub const K16: Self = Self { plan: &K16, granule: 0b10 << 14 | 0b01 << 30 };
    /// Pages of 64 KiB, 3 levels.
    pub const K64: Self = Self { plan: &K64, granule: 0b01 << 14 | 0b11 << 30 };

    /// T0SZ, T1SZ, TG0, TG1, IPS for 48 bits of physical address, AS for ASIDs of 16.
    const fn tcr(self) -> u64 {
        let size = 64 - self.plan.address_bits() as u64;
        size | size << 16 | self.granule | 0b101 << 32 | 1 << 36
    }
}

/// MAIR_EL1: memory of type 0 is normal, write-back.
const NORMAL: u64 = 0xff;

impl TableFormat for AArch64Tables {
    fn shape(&self) -> TableShape {
        TableShape::of(self.plan)
    }

    /// The table entry withholds no right: the leaf alone decides.
    fn table(&self, table: PhysAddr, _: u8, _: Privilege) -> u64 {
        table.raw() | (Descriptor::VALID | Descriptor::TABLE).bits()
    }

    /// A valid page can be read. The kernel executes no page of a program, and a program no page of the kernel.
    fn page(&self, page: PhysAddr, level: u8, rights: Rights, owner: Privilege) -> u64 {
        let user = owner == Privilege::User;
        let executable = rights.contains(Rights::EXECUTE);
        let mut bits = Descriptor::VALID | Descriptor::AF;
        bits.set(Descriptor::TABLE, level == 0);
        bits.set(Descriptor::EL0 | Descriptor::NG, user);
        bits.set(Descriptor::READ_ONLY, !rights.contains(Rights::WRITE));
        bits.set(Descriptor::UXN, !(user && executable));
        bits.set(Descriptor::PXN, user || !executable);
        page.raw() | bits.bits()
    }

    fn target(&self, entry: u64) -> Option<PhysAddr> {
        let valid = Descriptor::from_bits_retain(entry).contains(Descriptor::VALID);
        valid.then_some(PhysAddr::new(entry & bit_range(47, self.shape().page_bits.into())))
    }

    /// Nothing is remembered of the time before (TLBI VMALLE1) when the MMU is turned on, as the last step.
    fn start(&self, cpu: &mut dyn CpuPort, root: PhysAddr) -> Result<Option<Asid>, OsError> {
        cpu.write_register(MAIR_EL1, NORMAL)?;
        cpu.write_register(TCR_EL1, self.tcr())?;
        cpu.write_register(TTBR1_EL1, root.raw())?;
        cpu.write_register(PAN, PAN_BIT)?;
        cpu.invalidate(Invalidate::All)?;
        let sctlr = cpu.read_register(SCTLR_EL1)?;
        cpu.write_register(SCTLR_EL1, sctlr | SCTLR_M)?;
        Ok(Some(Asid(u16::MAX)))
    }

    /// No TLBI is needed: the ASID differs, and no TLB holds a stale entry of it. Both change in one write.
    fn enter(&self, cpu: &mut dyn CpuPort, root: PhysAddr, asid: Asid) -> Result<(), OsError> {
        cpu.write_register(TTBR0_EL1, root.raw() | u64::from(asid.0) << 48)?;
        Ok(())
    }

    /// Does nothing: no TLB holds an invalid entry, so no TLBI is needed when an entry becomes valid (chapter
    /// D8, "TLB maintenance requirements").
    fn made_valid(
        &self,
        _: &mut dyn CpuPort,
        _: VirtAddr,
        _: Asid,
        _: Valid,
    ) -> Result<(), OsError> {
        Ok(())
    }
}
