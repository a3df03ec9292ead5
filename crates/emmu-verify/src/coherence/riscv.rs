//! RISC-V: Privileged Architecture, "Supervisor Memory-Management Fence Instruction".

mod hypervisor;

use super::{EntryRead, Manual, Query, RegisterWrite, Space, WalkCacheScope, WriteContext};
use crate::Run;
use emmu_core::{Asid, PhysAddr, Privilege, RegisterId};
use emmu_oracle::riscv::{Registers, Xlen};
use emmu_paging::format::riscv::{MENVCFG, MSTATUS, PMPCFG0, SATP, SSTATUS};

const SUM_MXR: u64 = 0b11 << 18;
const ADUE: u64 = 1 << 61;

/// V, R, W, X, U, G, A, D, N, and low bits of the PPN at each level.
const BITS: [u64; 15] = [
    1,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 4,
    1 << 5,
    1 << 6,
    1 << 7,
    1 << 63,
    1 << 10,
    1 << 13,
    1 << 19,
    1 << 20,
    1 << 28,
    0b1110,
];

impl Manual for Registers {
    /// With an address in rs1, the fence orders accesses "to leaf page table entries corresponding to the virtual
    /// address in rs1" only.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2] = [WalkCacheScope::Nothing; 2];

    const BITS: &'static [u64] = &BITS;

    const UNTRANSLATED: Option<Privilege> = Some(Privilege::Machine);

    fn space(&self, _: Query) -> Space {
        Space::of_host(asid(self.xlen, self.satp))
    }

    /// Returns true if an entry on the path has G set: "For non-leaf PTEs, the global setting implies that all mappings
    /// in the subsequent levels of the page table are global" ("Addressing and Memory Protection").
    fn is_global(&self, path: &[EntryRead]) -> bool {
        path.iter().any(|entry| entry.raw >> 5 & 1 == 1)
    }

    fn root(&self) -> (PhysAddr, u64) {
        let ppn = match self.xlen {
            Xlen::Rv32 => self.satp & 0x3f_ffff,
            Xlen::Rv64 => self.satp & 0xfff_ffff_ffff,
        };
        (PhysAddr::new(ppn * 4096), 4096)
    }

    fn with_root_of(&self, then: &Self) -> Self {
        Self { satp: then.satp, ..self.clone() }
    }

    fn unprotected(&self) -> Self {
        Self { pmp: Vec::new(), ..self.clone() }
    }

    /// Returns the run of the leaf. "Svnapot": sixteen equal entries.
    fn run_of(&self, _: Query, leaf: u64, _: u32) -> Option<Run> {
        (leaf >> 63 == 1).then_some(Run { bits: 4, page_bits: 12, step: Some(0) })
    }

    /// Writes satp, sstatus, mstatus, menvcfg or a PMP register. No write invalidates anything. "Changes in satp.MODE
    /// from Bare to other modes and vice versa also take effect immediately, without the need to execute an SFENCE.VMA
    /// instruction"; writes of PMP registers need one.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite> {
        let WriteContext { given, roots, .. } = scene;
        let number = u64::from(value);
        match choice % 8 {
            0..=3 => {
                let root = roots[usize::from(value >> 2 & 1)].raw() >> 12;
                let (asid, ppn) = match self.xlen {
                    Xlen::Rv32 => (22, 22),
                    Xlen::Rv64 => (44, 44),
                };
                let mode = mode(self.xlen, [self.satp, given.satp], number >> 3);
                // Mostly, each root has an address space of its own.
                let space = if choice & 8 == 0 { number >> 2 & 1 } else { number & 0b11 };
                self.satp = mode | space << asid | root & ((1 << ppn) - 1);
                Some(RegisterWrite::plain(SATP, self.satp))
            }
            4..=5 => {
                self.mstatus = self.mstatus & !SUM_MXR | (number & 0b11) << 18;
                Some(RegisterWrite::plain(SSTATUS, self.mstatus & SUM_MXR))
            }
            6 => {
                let mpp = [0, 1, 3, 3][usize::from(value & 0b11)] << 11;
                self.mstatus = self.mstatus & SUM_MXR | mpp | (number >> 2 & 1) << 17;
                Some(RegisterWrite::plain(MSTATUS, self.mstatus))
            }
            _ if choice & 8 != 0 => self.protect(value),
            _ => {
                self.menvcfg ^= ADUE;
                Some(RegisterWrite::plain(MENVCFG, self.menvcfg))
            }
        }
    }
}

/// Returns the new MODE of satp or vsatp, shifted to its field: mostly the mode of the beginning, sometimes Bare,
/// sometimes another mode, which reads other tables for the same addresses.
fn mode(xlen: Xlen, [satp, given]: [u64; 2], number: u64) -> u64 {
    let shift = if xlen == Xlen::Rv32 { 31 } else { 60 };
    let mode = match (satp >> shift, number) {
        (_, 0) => 0,
        (_, 1) => {
            if xlen == Xlen::Rv32 {
                1
            } else {
                9
            }
        }
        _ => given >> shift,
    };
    mode << shift
}

trait Protects {
    fn protect(&mut self, value: u8) -> Option<RegisterWrite>;
}

impl Protects for Registers {
    /// Changes the rights of a PMP entry that is not locked. "When the PMP settings are modified, M-mode software must
    /// synchronize the PMP settings with the virtual memory system and any PMP or address-translation caches"
    /// ("Physical Memory Protection and Paging").
    fn protect(&mut self, value: u8) -> Option<RegisterWrite> {
        let index = usize::from(value >> 3).checked_rem(self.pmp.len())?;
        let entry = self.pmp.get_mut(index).filter(|entry| entry.cfg & 0x80 == 0)?;
        let rights = [0b111, 0b111, 0b111, 0b011, 0b001, 0b101, 0b100, 0];
        entry.cfg = entry.cfg & 0x18 | rights[usize::from(value & 0b111)];
        // RV64 has the even registers only.
        let (bytes, step) = if self.xlen == Xlen::Rv32 { (4, 1) } else { (8, 2) };
        let (number, entries) = (0..).zip(self.pmp.chunks(bytes)).nth(index / bytes)?;
        let configs = (0..).zip(entries).map(|(at, entry)| u64::from(entry.cfg) << (8 * at));
        Some(RegisterWrite::fenced(RegisterId(PMPCFG0.0 + number * step), configs.sum()))
    }
}

/// Returns the ASID field of satp or vsatp.
fn asid(xlen: Xlen, satp: u64) -> Asid {
    let asid = match xlen {
        Xlen::Rv32 => satp >> 22 & 0x1ff,
        Xlen::Rv64 => satp >> 44 & 0xffff,
    };
    Asid(u16::try_from(asid).unwrap_or(0))
}
