//! The registers. Where the architecture gives no number, the number is emmu's.

use core::fmt;
use emmu_core::{Access, AccessFlags, AccessKind, Privilege, RegisterId, RegisterInfo};

/// ES. A write is MOV to the register: its low 16 bits are the selector.
pub const ES: RegisterId = RegisterId(0x1_0010);
/// CS. A write is a far jump to a code segment.
pub const CS: RegisterId = RegisterId(0x1_0011);
/// SS.
pub const SS: RegisterId = RegisterId(0x1_0012);
/// DS.
pub const DS: RegisterId = RegisterId(0x1_0013);
/// FS.
pub const FS: RegisterId = RegisterId(0x1_0014);
/// GS.
pub const GS: RegisterId = RegisterId(0x1_0015);
/// LDTR. A write is LLDT.
pub const LDTR: RegisterId = RegisterId(0x1_0016);
/// The base of the GDTR, a linear address.
pub const GDTR_BASE: RegisterId = RegisterId(0x1_0017);
/// The limit of the GDTR: the last valid byte of the table, 16 bits.
pub const GDTR_LIMIT: RegisterId = RegisterId(0x1_0018);
/// `IA32_EFER.LMA` as segmentation sees it: 1 in IA-32e mode. The paging unit has its own, and an embedder keeps the
/// two alike.
pub const LMA: RegisterId = RegisterId(0x1_0019);
/// `IA32_FS_BASE`, by its MSR index.
pub const FS_BASE: RegisterId = RegisterId(0xc000_0100);
/// `IA32_GS_BASE`, by its MSR index.
pub const GS_BASE: RegisterId = RegisterId(0xc000_0101);

/// A segment register, numbered as instructions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SegmentRegister {
    /// String destinations.
    Es = 0,
    /// Fetches.
    Cs = 1,
    /// The stack segment: accesses through the stack pointer.
    Ss = 2,
    /// All other data.
    Ds = 3,
    /// As a prefix says.
    Fs = 4,
    /// As a prefix says.
    Gs = 5,
}

impl SegmentRegister {
    /// All six, by number.
    pub const ALL: [Self; 6] = [Self::Es, Self::Cs, Self::Ss, Self::Ds, Self::Fs, Self::Gs];

    /// Through which register an access is made: fetches through CS, data through the one its flags name, or
    /// through DS.
    #[must_use]
    #[inline]
    pub fn of(access: Access) -> Self {
        let named = |register: &Self| access.flags.intersects(register.flags());
        match access.kind {
            AccessKind::Fetch => Self::Cs,
            _ => *[Self::Fs, Self::Gs, Self::Es, Self::Cs, Self::Ss]
                .iter()
                .find(|register| named(register))
                .unwrap_or(&Self::Ds),
        }
    }

    /// The flags of data accesses through it; none stand for DS.
    #[must_use]
    pub const fn flags(self) -> AccessFlags {
        match self {
            Self::Es => AccessFlags::ES,
            Self::Cs => AccessFlags::CS,
            Self::Ss => AccessFlags::STACK,
            Self::Ds => AccessFlags::empty(),
            Self::Fs => AccessFlags::FS,
            Self::Gs => AccessFlags::GS,
        }
    }

    /// Its number as a register of the unit.
    #[must_use]
    pub const fn id(self) -> RegisterId {
        RegisterId(ES.0 + self as u32)
    }

    /// The register of this number.
    #[must_use]
    pub fn of_id(id: RegisterId) -> Option<Self> {
        Self::ALL.into_iter().find(|register| register.id() == id)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Cs => "cs",
            Self::Ss => "ss",
            Self::Ds => "ds",
            Self::Fs => "fs",
            Self::Gs => "gs",
        }
    }
}

impl fmt::Display for SegmentRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

const fn segment(register: SegmentRegister, about: &'static str) -> RegisterInfo {
    let (id, name) = (register.id(), register.name());
    RegisterInfo { id, name, privilege: Privilege::User, about }
}

const fn system(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

pub(super) static REGISTERS: [RegisterInfo; 12] = [
    segment(SegmentRegister::Es, "selector of string destinations"),
    segment(SegmentRegister::Cs, "selector of code; its RPL is the current privilege level"),
    segment(SegmentRegister::Ss, "selector of the stack"),
    segment(SegmentRegister::Ds, "selector of data"),
    segment(SegmentRegister::Fs, "selector of a further segment"),
    segment(SegmentRegister::Gs, "selector of a further segment"),
    system(LDTR, "ldtr", "selector of the local descriptor table"),
    system(GDTR_BASE, "gdtr_base", "linear address of the global descriptor table"),
    system(GDTR_LIMIT, "gdtr_limit", "last byte of the global descriptor table"),
    system(LMA, "lma", "IA32_EFER.LMA: 1 in IA-32e mode"),
    system(FS_BASE, "fs_base", "base of FS"),
    system(GS_BASE, "gs_base", "base of GS"),
];
