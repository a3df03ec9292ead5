//! The anatomy of RISC-V's tables: level plans, flags, root registers and fences.

use super::{HENVCFG, HGATP, Pte, RiscV, SATP, VSATP, VSSTATUS};
use crate::format::{Plan, Shape};
use alloc::string::ToString;
use core::fmt;
use emmu_core::{
    Invalidate, Vmid, Width,
    anatomy::{Anatomy, Change, Dirty, Fences, Flags, Stale},
};

/// Sv32, of 32-bit harts.
// spec: riscv-sv32
pub const SV32: Plan =
    Plan::of::<RiscV>("riscv-sv32", Shape::uniform(Width::B4, 12, 10, 2), 2).with_leaves_up_to(1);
/// Sv39.
pub const SV39: Plan = plan("riscv-sv39", 3);
/// Sv48.
pub const SV48: Plan = plan("riscv-sv48", 4);
/// Sv57.
pub const SV57: Plan = plan("riscv-sv57", 5);

/// Every level can have leaf entries.
const fn plan(name: &'static str, levels: u8) -> Plan {
    Plan::of::<RiscV>(name, shape_of(levels), levels).with_leaves_up_to(levels - 1)
}

/// The shape of the modes of 64-bit harts.
pub(super) const fn shape_of(levels: u8) -> Shape {
    // spec: riscv-sv48-sv57
    Shape::uniform(Width::B8, 12, 9, levels)
}

/// A hart without the hypervisor extension.
pub(super) const HART: Anatomy = Anatomy::new()
    .with_flags(Flags::new(Pte::A.bits(), Dirty::Flag(Pte::D.bits())))
    .with_roots(&[SATP])
    .with_fences(&Fences { name: "RISC-V", narrowest, words });

/// The first stage of a hart with the hypervisor extension.
pub(super) const HYPERVISOR: Anatomy =
    HART.with_roots(&[SATP, VSATP]).with_owners(&[SATP], &[VSATP, VSSTATUS, HENVCFG]);

/// The second stage.
pub(super) const G_STAGE: Anatomy = HART.with_roots(&[HGATP]);

/// "Supervisor Memory-Management Fence Instruction": with an address, leaf entries only; with an address space, none that
/// are global. A hypervisor has other instructions for a guest than for itself.
fn narrowest(stale: &Stale) -> Invalidate {
    let asid = (!stale.is_global).then_some(stale.asid);
    let addr = (stale.change == Change::Leaf).then_some(stale.addr);
    match (stale.tables, asid, addr) {
        (Some(tables), ..) => {
            let vmid = Vmid(u16::try_from(tables).unwrap_or(0));
            Invalidate::Guest { vmid, asid, addr, keeps_global: false }
        }
        (None, Some(asid), Some(addr)) => Invalidate::PageInAsid { addr, asid, global: false },
        (None, None, Some(addr)) => Invalidate::Page(addr),
        (None, _, None) => stale.whole_space(),
    }
}

/// An operand, or `x0`.
struct Operand<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Operand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("x0"),
        }
    }
}

fn words(scope: Invalidate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "sfence.vma {addr}, x0"),
        Invalidate::PageInAsid { addr, asid, global } => {
            write!(f, "sfence.vma {addr}, {asid}{}", if global { ", and global" } else { "" })
        }
        Invalidate::Asid(asid) => write!(f, "sfence.vma x0, {asid}"),
        Invalidate::Range { addr, len, asid } => {
            write!(f, "sfence.vma for {len:#x} bytes at {addr}, {}", Operand(asid))
        }
        Invalidate::All | Invalidate::NonGlobal => f.write_str("sfence.vma x0, x0"),
        Invalidate::Guest { vmid, asid, addr, .. } => {
            write!(f, "hfence.vvma {}, {} (vmid {vmid})", Operand(addr), Operand(asid))
        }
        Invalidate::SecondStage { tables, addr, .. } => {
            // The instruction takes the address without its two low bits.
            let shifted = addr.map(|addr| format_args!("{addr} >> 2").to_string());
            write!(f, "hfence.gvma {}, {}", Operand(shifted), Operand(tables))
        }
        _ => write!(f, "{scope:?}"),
    }
}
