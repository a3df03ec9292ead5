//! The anatomy of x86's tables: level plans, flags, root registers and instructions.

use super::{CR3, EPTP, EptEntry, Pte, X86};
use crate::format::{Plan, Shape};
use core::fmt;
use emmu_core::{
    Asid, Invalidate, Width,
    anatomy::{Anatomy, Dirty, Fences, Flags, Stale},
};

/// 32-bit paging, with pages of 4 MiB.
// spec: x86-modes
pub const BITS32: Plan =
    Plan::of::<X86>("x86-32", Shape::uniform(Width::B4, 12, 10, 2), 2).with_leaves_up_to(1);
/// PAE paging. Its PDPTEs are registers; the walk has the two levels below them.
pub const PAE: Plan = Plan::of::<X86>("x86-pae", Shape::uniform(Width::B8, 12, 9, 2), 2)
    .with_leaves_up_to(1)
    .with_address_bits(32);
/// 4-level paging.
pub const LEVEL4: Plan =
    Plan::of::<X86>("x86-64-4level", Shape::uniform(Width::B8, 12, 9, 4), 4).with_leaves_up_to(2);
/// 5-level paging.
pub const LEVEL5: Plan =
    Plan::of::<X86>("x86-64-5level", Shape::uniform(Width::B8, 12, 9, 5), 5).with_leaves_up_to(2);

const FENCES: Fences = Fences { name: "x86", narrowest, words };

/// The paging structures of linear addresses.
pub(super) const PAGING: Anatomy = Anatomy::new()
    .with_flags(Flags::new(Pte::A.bits(), Dirty::Flag(Pte::D.bits())))
    .with_roots(&[CR3])
    .with_fences(&FENCES);

/// The EPT paging structures, without accessed and dirty flags.
pub(super) const EPT: Anatomy = Anatomy::new().with_roots(&[EPTP]).with_fences(&FENCES);

/// The EPT paging structures, with flags in use.
pub(super) const EPT_WITH_FLAGS: Anatomy =
    EPT.with_flags(Flags::new(EptEntry::A.bits(), Dirty::Flag(EptEntry::D.bits())));

/// INVLPG drops all paging-structure caches of the PCID, and reaches global entries.
fn narrowest(stale: &Stale) -> Invalidate {
    let Stale { addr, asid, .. } = *stale;
    stale.space_or(Invalidate::PageInAsid { addr, asid, global: true })
}

fn words(scope: Invalidate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "invlpg [{addr}] (every pcid)"),
        Invalidate::PageInAsid { addr, asid: Asid(0), global: true } => {
            write!(f, "invlpg [{addr}]")
        }
        Invalidate::PageInAsid { addr, asid, global: true } => {
            write!(f, "invlpg [{addr}] (pcid {asid})")
        }
        Invalidate::PageInAsid { addr, asid, global: false } => {
            write!(f, "invpcid 0 (pcid {asid}, {addr})")
        }
        Invalidate::Asid(asid) => {
            write!(f, "invpcid 1 (pcid {asid}), or mov cr3 with bit 63 clear")
        }
        Invalidate::Range { addr, len, .. } => write!(f, "invlpg for {len:#x} bytes at {addr}"),
        Invalidate::NonGlobal => f.write_str("invpcid 3"),
        Invalidate::All => f.write_str("invpcid 2"),
        Invalidate::Guest { .. } => f.write_str("invvpid"),
        Invalidate::SecondStage { tables: Some(eptp), .. } => {
            write!(f, "invept 1 (eptp {eptp:#x})")
        }
        Invalidate::SecondStage { tables: None, .. } => f.write_str("invept 2"),
        _ => write!(f, "{scope:?}"),
    }
}
