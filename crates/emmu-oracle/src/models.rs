//! The reference models, put to the vectors.

mod heap;
mod textbook;

use crate::reference::{Reference, SparseMemory, translate_pieces};
use crate::{aarch64, riscv, x86};
use emmu_core::{Access, AccessKind};
use emmu_vectors::{
    AArch64Fault, AArch64Registers, Answer, Fault, Operation, PagePiece, Registers, RiscVRegisters,
    Subject, X86Registers,
};

/// All reference models of this crate as one [`Subject`], which takes every format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReferenceModels;

impl Subject for ReferenceModels {
    fn perform(
        &mut self,
        registers: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer {
        match (registers, operation) {
            (Registers::RiscV(registers), Operation::Access { access, .. }) => {
                perform(&riscv::Registers::from(registers), access, memory)
            }
            (Registers::X86(registers), Operation::Access { access, ac, .. }) => {
                let mut model = x86::Registers { ac, ..x86::Registers::from(*registers) };
                match model.load_pdptes(memory) {
                    Ok(pdptes) => model.pdptes = pdptes,
                    Err(fault) => return Answer::Fault(fault.into()),
                }
                perform(&model, access, memory)
            }
            (Registers::X86(registers), Operation::LoadCr3) => {
                match x86::Registers::from(*registers).load_pdptes(memory) {
                    Ok(_) => Answer::Loaded,
                    Err(fault) => Answer::Fault(fault.into()),
                }
            }
            (Registers::AArch64(registers), Operation::Access { access, pan, .. }) => {
                let model = aarch64::Registers { pan, ..aarch64::Registers::from(*registers) };
                perform(&model, access, memory)
            }
            (_, Operation::LoadCr3) => Answer::NotModelled("CR3 outside of x86".to_owned()),
        }
    }
}

/// Performs an access on one model.
fn perform<R>(model: &R, access: Access, memory: &mut SparseMemory) -> Answer
where
    R: Reference,
    Fault: From<R::Fault>,
{
    let crosses = Operation::Access { access, ac: false, pan: false }.crosses_pages();
    // Of a fetch, only the first byte is meant.
    let fetch = access.kind == AccessKind::Fetch;
    let access = if fetch { access.at(access.addr, 1) } else { access };
    let pieces = match translate_pieces(model, access, memory) {
        Ok(pieces) => pieces,
        Err(fault) => return Answer::Fault(fault.into()),
    };
    let piece = |(piece, outcome): &(Access, crate::Outcome)| PagePiece {
        pa: outcome.pa,
        bytes: u64::from(piece.size),
    };
    match pieces.first() {
        Some((_, outcome)) if !crosses => Answer::Pa(outcome.pa),
        _ => Answer::Pas(pieces.iter().map(piece).collect()),
    }
}

impl From<&RiscVRegisters> for riscv::Registers {
    /// The isa string tells XLEN and Svnapot; the PMP is open.
    fn from(registers: &RiscVRegisters) -> Self {
        let rv32 = registers.isa.starts_with("rv32");
        Self {
            xlen: if rv32 { riscv::Xlen::Rv32 } else { riscv::Xlen::Rv64 },
            satp: registers.satp,
            mstatus: registers.mstatus,
            menvcfg: registers.menvcfg,
            svnapot: registers.has_extension("svnapot"),
            pmp: Vec::new(),
        }
    }
}

impl From<&riscv::Registers> for RiscVRegisters {
    /// The isa string names XLEN and Svnapot. A vector has no PMP.
    fn from(registers: &riscv::Registers) -> Self {
        let isa = match (registers.xlen, registers.svnapot) {
            (riscv::Xlen::Rv32, _) => "rv32gc",
            (riscv::Xlen::Rv64, false) => "rv64gc",
            (riscv::Xlen::Rv64, true) => "rv64gc_svnapot",
        };
        let riscv::Registers { satp, mstatus, menvcfg, .. } = *registers;
        Self { satp, mstatus, menvcfg, isa: isa.to_owned() }
    }
}

impl From<X86Registers> for x86::Registers {
    /// EFLAGS.AC is 0, and the PDPTE registers are not loaded yet.
    fn from(registers: X86Registers) -> Self {
        Self {
            cr0: registers.cr0,
            cr3: registers.cr3,
            cr4: registers.cr4,
            efer: registers.efer,
            pkru: registers.pkru,
            ac: false,
            maxphyaddr: registers.maxphyaddr,
            pdptes: [0; 4],
        }
    }
}

impl From<x86::Registers> for X86Registers {
    /// EFLAGS.AC belongs to an operation, and the PDPTE registers are loaded with CR3.
    fn from(registers: x86::Registers) -> Self {
        let x86::Registers { cr0, cr3, cr4, efer, pkru, maxphyaddr, .. } = registers;
        Self { cr0, cr3, cr4, efer, pkru, maxphyaddr }
    }
}

impl From<AArch64Registers> for aarch64::Registers {
    /// PSTATE.PAN is 0; physical addresses have 48 bits.
    fn from(registers: AArch64Registers) -> Self {
        Self {
            ttbr0_el1: registers.ttbr0_el1,
            ttbr1_el1: registers.ttbr1_el1,
            tcr_el1: registers.tcr_el1,
            sctlr_el1: registers.sctlr_el1,
            ..Self::default()
        }
    }
}

impl From<aarch64::Registers> for AArch64Registers {
    /// PSTATE.PAN belongs to an operation. MAIR_EL1 bears on no answer.
    fn from(registers: aarch64::Registers) -> Self {
        let aarch64::Registers { ttbr0_el1, ttbr1_el1, tcr_el1, sctlr_el1, .. } = registers;
        Self { ttbr0_el1, ttbr1_el1, tcr_el1, sctlr_el1, mair_el1: 0 }
    }
}

impl From<x86::Fault> for Fault {
    fn from(fault: x86::Fault) -> Self {
        match fault {
            x86::Fault::PageFault { code, cr2 } => Self::PageFault { code: code.into(), addr: cr2 },
            x86::Fault::GeneralProtection => Self::GeneralProtection { code: 0 },
            x86::Fault::StackFault => Self::Other("stack fault, code 0x0".to_owned()),
            x86::Fault::BusError { entry } => Self::Other(format!("bus error at entry {entry}")),
        }
    }
}

impl From<aarch64::Fault> for Fault {
    fn from(fault: aarch64::Fault) -> Self {
        let aarch64::Fault { kind, level, esr, far, .. } = fault;
        Self::AArch64(AArch64Fault { kind, level, esr: Some(esr), far })
    }
}
