//! The translation registers of a hart, and how a write of one is legalised.

use super::RiscV;
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

const fn register(
    id: RegisterId,
    name: &'static str,
    privilege: Privilege,
    about: &'static str,
) -> RegisterInfo {
    RegisterInfo { id, name, privilege, about }
}

pub(super) const ALL: &[RegisterInfo] = &[
    register(SATP, "satp", Privilege::Supervisor, "root table, ASID and translation mode"),
    register(SSTATUS, "sstatus", Privilege::Supervisor, "SUM, MXR"),
    register(MSTATUS, "mstatus", Privilege::Machine, "SUM, MXR, MPRV, MPP"),
    register(MENVCFG, "menvcfg", Privilege::Machine, "ADUE, PBMTE"),
];

impl RiscV {
    pub(super) fn read(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            SATP => Ok(self.satp),
            SSTATUS => Ok((self.mstatus & (Status::SUM | Status::MXR)).bits()),
            MSTATUS => Ok(self.mstatus.bits()),
            MENVCFG => Ok(self.menvcfg.bits()),
            _ => Err(RegisterError::Unknown { id }),
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
            _ => return Err(RegisterError::Unknown { id }),
        }
        Ok(None)
    }

    /// `satp.MODE` is WARL: a write of an unsupported mode has no effect at all ("Supervisor Address
    /// Translation and Protection (satp) Register").
    pub(super) fn write_satp(&mut self, value: u64) {
        let value = if self.rv32 { value & Width::B4.mask() } else { value };
        if self.mode_of(value).is_some() {
            self.satp = value;
        }
    }

    /// Fields of extensions that the hart lacks read as zero.
    pub(super) fn write_menvcfg(&mut self, value: u64) {
        let mut supported = EnvConfig::empty();
        supported.set(EnvConfig::ADUE, self.extensions.contains(Extensions::SVADU));
        supported.set(EnvConfig::PBMTE, self.extensions.contains(Extensions::SVPBMT));
        self.menvcfg = EnvConfig::from_bits_truncate(value) & supported;
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
