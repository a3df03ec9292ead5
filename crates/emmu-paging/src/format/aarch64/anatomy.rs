//! The anatomy of AArch64's tables: level plans, flags, root registers and instructions.

use super::{
    Descriptor, HCR_EL2, TTBR0_EL1, TTBR1_EL1, VTCR_EL2, VTTBR_EL2, half::Granule,
    stage2::S2_WRITABLE,
};
use crate::format::Plan;
use core::fmt;
use emmu_core::{
    Invalidate,
    anatomy::{Anatomy, Dirty, Fences, Flags, Stale},
};

/// The granule of 4 KiB, with 48-bit addresses.
pub const K4: Plan = Granule::K4.plan("aarch64-4k-48");
/// The granule of 16 KiB, with 48-bit addresses.
pub const K16: Plan = Granule::K16.plan("aarch64-16k-48");
/// The granule of 64 KiB, with 48-bit addresses.
pub const K64: Plan = Granule::K64.plan("aarch64-64k-48");

const FENCES: Fences = Fences { name: "AArch64", narrowest, words };

/// Stage 1. A descriptor with DBM and AP\[2\] is writable and clean (Arm ARM D8.5).
pub(super) const STAGE_1: Anatomy = Anatomy::new()
    .with_flags(Flags::new(
        Descriptor::AF.bits(),
        Dirty::Right { mask: Descriptor::CLEAN.bits(), clean: Descriptor::CLEAN.bits() },
    ))
    .with_roots(&[TTBR0_EL1, TTBR1_EL1])
    .with_fences(&FENCES);

/// Stage 2. A descriptor with DBM and without S2AP\[1\] is writable and clean.
pub(super) const STAGE_2: Anatomy = STAGE_1
    .with_flags(Flags::new(
        Descriptor::AF.bits(),
        Dirty::Right {
            mask: Descriptor::DBM.union(S2_WRITABLE).bits(),
            clean: Descriptor::DBM.bits(),
        },
    ))
    .with_roots(&[VTTBR_EL2, VTCR_EL2, HCR_EL2]);

/// TLBI VAE1 applies to entries of all levels, and reaches global ones.
fn narrowest(stale: &Stale) -> Invalidate {
    let Stale { addr, asid, .. } = *stale;
    stale.space_or(Invalidate::PageInAsid { addr, asid, global: true })
}

fn words(scope: Invalidate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "tlbi vaae1, {addr}"),
        Invalidate::PageInAsid { addr, asid, global } => {
            let but = if global { "" } else { ", but not if it is global" };
            write!(f, "tlbi vae1, {addr} of asid {asid}{but}")
        }
        Invalidate::Asid(asid) => write!(f, "tlbi aside1, {asid}"),
        Invalidate::Range { addr, len, asid: None } => {
            write!(f, "tlbi rvaae1, {len:#x} bytes at {addr}")
        }
        Invalidate::Range { addr, len, asid: Some(asid) } => {
            write!(f, "tlbi rvae1, {len:#x} bytes at {addr} of asid {asid}")
        }
        Invalidate::All | Invalidate::NonGlobal => f.write_str("tlbi vmalle1"),
        Invalidate::Guest { .. } => f.write_str("tlbi vmalle1"),
        Invalidate::SecondStage { addr: Some(addr), combined, .. } => {
            let then = if combined { ", then tlbi vmalle1" } else { "" };
            write!(f, "tlbi ipas2e1, {addr}{then}")
        }
        Invalidate::SecondStage { tables: Some(_), .. } => f.write_str("tlbi vmalls12e1"),
        Invalidate::SecondStage { tables: None, .. } => f.write_str("tlbi alle1"),
        _ => write!(f, "{scope:?}"),
    }
}
