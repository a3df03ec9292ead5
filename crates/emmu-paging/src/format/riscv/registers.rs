//! The translation registers of a hart, and how a write of one is legalised.

use super::{RiscV, pmp::PMP_ENTRIES};
use bitflags::bitflags;
use emmu_core::{Invalidate, Privilege, RegisterError, RegisterId, RegisterInfo, Width, bit_range};

/// `satp`: root, ASID and mode.
pub const SATP: RegisterId = RegisterId(0x180);
/// `sstatus`: the supervisor's view of [`MSTATUS`], of which SUM and MXR matter here.
pub const SSTATUS: RegisterId = RegisterId(0x100);
/// `mstatus`: of it SUM, MXR, MPRV and MPP are kept.
pub const MSTATUS: RegisterId = RegisterId(0x300);
/// `menvcfg`: of it ADUE and PBMTE are kept. A 64-bit view also on RV32.
pub const MENVCFG: RegisterId = RegisterId(0x30a);

bitflags! {
    /// `mstatus` and `sstatus`, as far as translation goes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Status: u64 {
        /// Modify privilege: data accesses of machine mode are made as MPP says.
        const MPRV = 1 << 17;
        /// The previous privilege mode: 0 user, 1 supervisor, 3 machine.
        const MPP = bit_range(12, 11);
        /// Supervisor may access user memory.
        const SUM = 1 << 18;
        /// Executable pages are readable.
        const MXR = 1 << 19;
    }
}

bitflags! {
    /// `menvcfg`, as far as translation goes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EnvConfig: u64 {
        /// Svadu: hardware sets A and D; clear, a clear A or D faults (Svade).
        const ADUE = 1 << 61;
        /// Svpbmt is in force.
        const PBMTE = 1 << 62;
    }
}

bitflags! {
    /// Extensions that a hart may have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Extensions: u8 {
        /// Hardware update of A and D, if menvcfg.ADUE says so.
        const SVADU = 1 << 0;
        /// 64 KiB naturally aligned ranges.
        const SVNAPOT = 1 << 1;
        /// Page-based memory types, if menvcfg.PBMTE says so.
        const SVPBMT = 1 << 2;
        /// Sv48, besides Sv39.
        const SV48 = 1 << 3;
        /// Sv57, besides Sv39.
        const SV57 = 1 << 4;
    }
}

/// `pmpcfg0`; the others follow. On RV64 only the even ones exist, of eight bytes each.
pub const PMPCFG0: RegisterId = RegisterId(0x3a0);
/// `pmpaddr0`; the others follow.
pub const PMPADDR0: RegisterId = RegisterId(0x3b0);

const fn register(
    id: RegisterId,
    name: &'static str,
    privilege: Privilege,
    about: &'static str,
) -> RegisterInfo {
    RegisterInfo { id, name, privilege, about }
}

const fn pmp(first: RegisterId, index: u32, name: &'static str) -> RegisterInfo {
    let id = RegisterId(first.0 + index);
    register(id, name, Privilege::Machine, "physical memory protection")
}

pub(super) const ALL: &[RegisterInfo] = &[
    register(SATP, "satp", Privilege::Supervisor, "root table, ASID and translation mode"),
    register(SSTATUS, "sstatus", Privilege::Supervisor, "SUM, MXR"),
    register(MSTATUS, "mstatus", Privilege::Machine, "SUM, MXR, MPRV, MPP"),
    register(MENVCFG, "menvcfg", Privilege::Machine, "ADUE, PBMTE"),
    pmp(PMPCFG0, 0, "pmpcfg0"),
    pmp(PMPCFG0, 1, "pmpcfg1"),
    pmp(PMPCFG0, 2, "pmpcfg2"),
    pmp(PMPCFG0, 3, "pmpcfg3"),
    pmp(PMPADDR0, 0, "pmpaddr0"),
    pmp(PMPADDR0, 1, "pmpaddr1"),
    pmp(PMPADDR0, 2, "pmpaddr2"),
    pmp(PMPADDR0, 3, "pmpaddr3"),
    pmp(PMPADDR0, 4, "pmpaddr4"),
    pmp(PMPADDR0, 5, "pmpaddr5"),
    pmp(PMPADDR0, 6, "pmpaddr6"),
    pmp(PMPADDR0, 7, "pmpaddr7"),
    pmp(PMPADDR0, 8, "pmpaddr8"),
    pmp(PMPADDR0, 9, "pmpaddr9"),
    pmp(PMPADDR0, 10, "pmpaddr10"),
    pmp(PMPADDR0, 11, "pmpaddr11"),
    pmp(PMPADDR0, 12, "pmpaddr12"),
    pmp(PMPADDR0, 13, "pmpaddr13"),
    pmp(PMPADDR0, 14, "pmpaddr14"),
    pmp(PMPADDR0, 15, "pmpaddr15"),
];

/// A PMP register, by what it holds.
enum PmpRegister {
    Configs { first: usize, count: usize },
    Addr(usize),
}

impl RiscV {
    pub(super) fn read(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            SATP => Ok(self.satp),
            SSTATUS => Ok((self.mstatus & (Status::SUM | Status::MXR)).bits()),
            MSTATUS => Ok(self.mstatus.bits()),
            MENVCFG => Ok(self.menvcfg.bits()),
            _ => match self.pmp_register(id) {
                Some(PmpRegister::Configs { first, count }) => Ok(self.pmp.configs(first, count)),
                Some(PmpRegister::Addr(index)) => Ok(self.pmp.addr(index)),
                None => Err(RegisterError::Unknown { id }),
            },
        }
    }

    /// No write invalidates anything: ordering is SFENCE.VMA's alone.
    pub(super) fn write(
        &mut self,
        id: RegisterId,
        value: u64,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            SATP => self.write_satp(value),
            SSTATUS => {
                let view = Status::SUM | Status::MXR;
                self.mstatus = (self.mstatus - view) | (Status::from_bits_truncate(value) & view);
            }
            MSTATUS => self.write_mstatus(value),
            MENVCFG => self.write_menvcfg(value),
            _ => match self.pmp_register(id) {
                Some(PmpRegister::Configs { first, count }) => {
                    self.pmp.write_configs(first, count, value);
                }
                Some(PmpRegister::Addr(index)) => {
                    self.pmp.write_addr(index, value, if self.rv32 { 32 } else { 54 });
                }
                None => return Err(RegisterError::Unknown { id }),
            },
        }
        Ok(None)
    }

    /// Which PMP register has this number, on a hart of this width.
    fn pmp_register(&self, id: RegisterId) -> Option<PmpRegister> {
        let below = |first: RegisterId, count: usize| {
            let index = usize::try_from(id.0.checked_sub(first.0)?).ok()?;
            Some(index).filter(|&index| index < count)
        };
        if let Some(index) = below(PMPADDR0, PMP_ENTRIES) {
            return Some(PmpRegister::Addr(index));
        }
        let index = below(PMPCFG0, PMP_ENTRIES / 4)?;
        match (self.rv32, index % 2) {
            (false, 1) => None,
            (rv32, _) => {
                Some(PmpRegister::Configs { first: index * 4, count: if rv32 { 4 } else { 8 } })
            }
        }
    }

    /// `satp.MODE` is WARL: a write of an unsupported mode has no effect at all ("Supervisor Address
    /// Translation and Protection (satp) Register").
    pub(super) fn write_satp(&mut self, value: u64) {
        // spec: riscv-warl
        let value = if self.rv32 { value & Width::B4.mask() } else { value };
        if self.mode_of(value).is_some() {
            self.satp = value;
            self.derive();
        }
    }

    /// Fields of extensions that the hart lacks read as zero.
    pub(super) fn write_menvcfg(&mut self, value: u64) {
        let mut supported = EnvConfig::empty();
        supported.set(EnvConfig::ADUE, self.extensions.contains(Extensions::SVADU));
        supported.set(EnvConfig::PBMTE, self.extensions.contains(Extensions::SVPBMT));
        self.menvcfg = EnvConfig::from_bits_truncate(value) & supported;
        self.derive();
    }

    /// MPP is WARL: the value 2 is no privilege mode and changes nothing ("Privilege and Global Interrupt-Enable
    /// Stack in mstatus Register").
    pub(super) fn write_mstatus(&mut self, value: u64) {
        let mut status = Status::from_bits_truncate(value);
        if (status & Status::MPP).bits() >> 11 == 2 {
            status = (status - Status::MPP) | (self.mstatus & Status::MPP);
        }
        self.mstatus = status;
    }
}
