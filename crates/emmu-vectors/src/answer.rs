//! `Answer`: the result of an operation.

use crate::aarch64::FaultKind;
use crate::riscv;
use core::fmt;
use emmu_core::PhysAddr;

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An access within one 4 KiB page is allowed, and this is where its first byte is.
    Pa(PhysAddr),
    /// An access over several pages is allowed, and this is where its pieces are, lowest first.
    Pas(Vec<PagePiece>),
    /// CR3 was loaded. No vector expects that.
    Loaded,
    /// It faults.
    Fault(Fault),
    /// The subject does not model something that it takes: this. No vector expects that.
    NotModelled(String),
}

/// The part of an access that lies in one 4 KiB page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePiece {
    /// Where its first byte is.
    pub pa: PhysAddr,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A fault in the words of its architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// x86 #PF.
    PageFault {
        /// The error code.
        code: u64,
        /// CR2.
        addr: u64,
    },
    /// x86 #GP.
    GeneralProtection {
        /// The error code.
        code: u64,
    },
    /// RISC-V: `scause` and `stval`.
    RiscV(riscv::Fault),
    /// AArch64.
    AArch64(AArch64Fault),
    /// A fault that the vectors have no words for. No vector expects that.
    Other(String),
}

/// An AArch64 Instruction or Data Abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AArch64Fault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// At which level.
    pub level: u32,
    /// ESR_EL1, or `None` from a subject that does not form it.
    pub esr: Option<u64>,
    /// FAR_EL1.
    pub far: u64,
}

impl Answer {
    /// Returns true if `got` is the answer that `self` expects. The ESRs are compared only if both answers have one.
    #[must_use]
    pub fn agrees_with(&self, got: &Self) -> bool {
        match (self, got) {
            (Self::Fault(Fault::AArch64(expected)), Self::Fault(Fault::AArch64(got))) => {
                let same_esr =
                    expected.esr == got.esr || expected.esr.is_none() || got.esr.is_none();
                same_esr
                    && AArch64Fault { esr: None, ..*expected } == AArch64Fault { esr: None, ..*got }
            }
            _ => self == got,
        }
    }
}

impl From<riscv::Fault> for Fault {
    fn from(fault: riscv::Fault) -> Self {
        Self::RiscV(fault)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pa(pa) => write!(f, "pa {pa}"),
            Self::Pas(pieces) => {
                f.write_str("pas")?;
                pieces.iter().try_for_each(|piece| write!(f, " {}+{}", piece.pa, piece.bytes))
            }
            Self::Loaded => f.write_str("CR3 loaded"),
            Self::Fault(fault) => fault.fmt(f),
            Self::NotModelled(what) => write!(f, "not modelled: {what}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PageFault { code, addr } => write!(f, "page-fault code {code:#x} addr {addr:#x}"),
            Self::GeneralProtection { code } => write!(f, "general-protection code {code:#x}"),
            Self::RiscV(fault) => write!(f, "{} tval {:#x}", fault.exception, fault.tval),
            Self::AArch64(fault) => fault.fmt(f),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for AArch64Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} level {} far {:#x}", self.kind, self.level, self.far)?;
        match self.esr {
            Some(esr) => write!(f, " esr {esr:#x}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abort(esr: Option<u64>, far: u64) -> Answer {
        let kind = FaultKind::Permission;
        Answer::Fault(Fault::AArch64(AArch64Fault { kind, level: 3, esr, far }))
    }

    #[test]
    fn a_subject_without_esr_is_not_blamed_for_it() {
        assert!(abort(Some(0x9600_000f), 1).agrees_with(&abort(None, 1)));
        assert!(!abort(Some(0x9600_000f), 1).agrees_with(&abort(Some(0x9600_004f), 1)));
        assert!(!abort(Some(0x9600_000f), 1).agrees_with(&abort(None, 2)));
    }
}
