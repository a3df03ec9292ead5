//! x86's segment registers in snapshots, with their hidden parts.

use super::X86Segments;
use crate::x86::{SegmentState, Selector, load::DescriptorTable};
use emmu_core::{is_sign_extended, low_mask};
use serde::Deserialize;

/// The snapshot as it is read. It may hold anything, and so may each segment register, so the values are
/// checked.
#[derive(Deserialize)]
#[serde(rename = "X86Segments")]
pub(super) struct Read {
    segments: [SegmentState; 6],
    gdt: DescriptorTable,
    ldtr: Selector,
    ldt: Option<DescriptorTable>,
    lma: bool,
}

impl TryFrom<Read> for X86Segments {
    type Error = &'static str;

    fn try_from(Read { segments, gdt, ldtr, ldt, lma }: Read) -> Result<Self, &'static str> {
        if !is_sign_extended(gdt.base, 57) {
            return Err("gdt: the base is not canonical");
        }
        if u64::from(gdt.limit) > low_mask(16) {
            return Err("gdt: the limit has 16 bits");
        }
        if ldtr.is_null() != ldt.is_none() {
            return Err("ldt: there is one exactly if its selector is not null");
        }
        Ok(Self { segments, gdt, ldtr, ldt, lma })
    }
}
