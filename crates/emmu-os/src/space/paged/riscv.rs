//! RISC-V page tables (Privileged Architecture, version 20240411, chapter "Supervisor-Level ISA").

use super::{TableFormat, TableShape, Valid};
use crate::{CpuPort, OsError, Rights};
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege, VirtAddr, Width, bit_range, low_mask};
use emmu_paging::format::{
    Plan,
    riscv::{Pte, SATP, SSTATUS, SV32, SV39, SV48, SV57, Status},
};

/// Sv32, Sv39, Sv48 or Sv57.
///
/// Every page's A is set when it is mapped, and D too if it can be written: what a kernel does that has no
/// use for these bits, and cannot know whether hardware sets them (Svadu) or faults (Svade).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiscVTables {
    plan: &'static Plan,
    mode: u64,
    name: &'static str,
}

impl RiscVTables {
    /// 2 levels, on RV32: programs have 2 GiB.
    pub const SV32: Self = Self { plan: &SV32, mode: 1, name: "Sv32" };
    /// 3 levels: programs have 256 GiB.
    pub const SV39: Self = Self { plan: &SV39, mode: 8, name: "Sv39" };
    /// 4 levels: programs have 128 TiB.
    pub const SV48: Self = Self { plan: &SV48, mode: 9, name: "Sv48" };
    /// 5 levels: programs have 64 PiB.
    pub const SV57: Self = Self { plan: &SV57, mode: 10, name: "Sv57" };

    const fn is_rv32(self) -> bool {
        matches!(self.plan.entry(), Width::B4)
    }

    /// Returns the places of MODE and ASID in satp, and the number of bits of ASID.
    const fn satp_fields(self) -> (u32, u32, u32) {
        if self.is_rv32() { (31, 22, 9) } else { (60, 44, 16) }
    }

    const fn satp(self, root: PhysAddr, asid: Asid) -> u64 {
        let (mode, number, _) = self.satp_fields();
        self.mode << mode | (asid.0 as u64) << number | root.block(12)
    }
}

impl TableFormat for RiscVTables {
    fn shape(&self) -> TableShape {
        TableShape::of(self.plan)
    }

    fn table(&self, table: PhysAddr, _: u8, _: Privilege) -> u64 {
        Pte::to(table, Pte::V)
    }

    /// W without R is reserved, so what can be written can be read.
    fn page(&self, page: PhysAddr, _: u8, rights: Rights, owner: Privilege) -> u64 {
        let mut bits = Pte::V | Pte::A;
        bits.set(Pte::R, rights.intersects(Rights::RW));
        bits.set(Pte::W | Pte::D, rights.contains(Rights::WRITE));
        bits.set(Pte::X, rights.contains(Rights::EXECUTE));
        bits |= if owner == Privilege::User { Pte::U } else { Pte::G };
        Pte::to(page, bits)
    }

    fn target(&self, entry: u64) -> Option<PhysAddr> {
        let valid = Pte::from_bits_retain(entry).contains(Pte::V);
        valid.then_some(PhysAddr::new((entry & bit_range(53, 10)) >> 10 << 12))
    }

    /// The number of ASID bits is found as the manual says: "by writing one to every bit position in the
    /// ASID field, then reading back". A mode that the hart lacks is not written at all; Sv32's on RV64, where it is
    /// another field, reads back with ones above it.
    fn start(&self, cpu: &mut dyn CpuPort, root: PhysAddr) -> Result<Option<Asid>, OsError> {
        let sstatus = Status::from_bits_retain(cpu.read_register(SSTATUS)?);
        cpu.write_register(SSTATUS, (sstatus - (Status::SUM | Status::MXR)).bits())?;
        cpu.write_register(SATP, self.satp(root, Asid(u16::MAX)))?;
        let found = cpu.read_register(SATP)?;
        let (mode, number, bits) = self.satp_fields();
        if found >> mode != self.mode {
            return Err(OsError::Unsupported { what: self.name });
        }
        self.enter(cpu, root, Asid(0))?;
        cpu.invalidate(Invalidate::All)?;
        Ok(Some(Asid(u16::try_from(found >> number & low_mask(bits)).unwrap_or(0))))
    }

    /// No `sfence.vma` is needed: the ASID differs, and no TLB holds a stale entry of it.
    fn enter(&self, cpu: &mut dyn CpuPort, root: PhysAddr, asid: Asid) -> Result<(), OsError> {
        cpu.write_register(SATP, self.satp(root, asid))?;
        Ok(())
    }

    /// "If software modifies a non-leaf PTE, it should execute SFENCE.VMA with rs1=x0"; for a leaf, "with
    /// rs1 set to a virtual address within the page" ("Supervisor Memory-Management Fence Instruction"). The
    /// kernel does not rely on Svvptc.
    fn made_valid(
        &self,
        cpu: &mut dyn CpuPort,
        addr: VirtAddr,
        asid: Asid,
        entry: Valid,
    ) -> Result<(), OsError> {
        cpu.invalidate(match entry {
            Valid::Table => Invalidate::Asid(asid),
            Valid::Page => Invalidate::PageInAsid { addr, asid, global: false },
        })?;
        Ok(())
    }
}
