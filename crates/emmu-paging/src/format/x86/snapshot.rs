//! Processors in snapshots: their registers, without what these come to.

use super::{Cr0, Cr4, Efer, Ept, EptRights, Permissions, X86};
use crate::format::snapshot::as_numbers;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

as_numbers! {
    Permissions: u8,
    EptRights: u8,
    Cr0: u64,
    Cr4: u64,
    Efer: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "X86")]
pub(super) struct Processor {
    max_phys_bits: u8,
    cr0: Cr0,
    cr3: u64,
    cr4: Cr4,
    efer: Efer,
    pkru: u32,
    ac: bool,
    pdptes: [u64; 4],
}

impl From<X86> for Processor {
    fn from(processor: X86) -> Self {
        let X86 { max_phys_bits, cr0, cr3, cr4, efer, pkru, ac, pdptes, .. } = processor;
        Self { max_phys_bits, cr0, cr3, cr4, efer, pkru, ac, pdptes }
    }
}

impl TryFrom<Processor> for X86 {
    type Error = &'static str;

    fn try_from(processor: Processor) -> Result<Self, &'static str> {
        let Processor { max_phys_bits, cr0, cr3, cr4, efer, pkru, ac, pdptes } = processor;
        let reset = Self::new(max_phys_bits);
        if reset.max_phys_bits != max_phys_bits {
            return Err("max_phys_bits: expected 32 to 52");
        }
        if efer.contains(Efer::LMA) != (efer.contains(Efer::LME) && cr0.contains(Cr0::PG)) {
            return Err("efer: LMA is not what LME and CR0.PG make it");
        }
        let mut processor = Self { cr0, cr3, cr4, efer, pkru, ac, pdptes, ..reset };
        processor.derive();
        Ok(processor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Ept")]
pub(super) struct Pointers {
    max_phys_bits: u8,
    eptp: u64,
    vpid: u16,
    roots: Vec<u64>,
}

impl From<Ept> for Pointers {
    fn from(Ept { max_phys_bits, eptp, vpid, roots, .. }: Ept) -> Self {
        Self { max_phys_bits, eptp, vpid, roots }
    }
}

impl TryFrom<Pointers> for Ept {
    type Error = &'static str;

    /// Written again, the pointer in force finds its first table among those seen.
    fn try_from(pointers: Pointers) -> Result<Self, &'static str> {
        let Pointers { max_phys_bits, eptp, vpid, roots } = pointers;
        let seen = roots.len();
        let mut ept = Self::new(max_phys_bits);
        (ept.vpid, ept.roots) = (vpid, roots);
        ept.write_eptp(eptp).map_err(|_| "eptp: a value that the register cannot hold")?;
        if ept.roots.len() != seen || seen >= usize::from(u16::MAX) {
            return Err("roots: the first table of eptp is not among them, or they are too many");
        }
        Ok(ept)
    }
}
