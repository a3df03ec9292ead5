//! The walk from the table base register to a block or page.

use super::fault::FaultKind;
use super::params::{FINAL_LEVEL, Granule, WalkParams, align};
use super::permissions::Permissions;
use super::{bit, bits};
use crate::Memory;
use emmu_core::PhysAddr;

/// Where a walk ended well.
pub(super) struct Walked {
    /// The block or page descriptor.
    pub(super) descriptor: u64,
    /// Where it stands.
    pub(super) descriptor_address: PhysAddr,
    /// Its level.
    pub(super) level: u32,
    /// The first byte of the block or page.
    pub(super) output_base: u64,
    /// Its permission bits and those of the tables above it.
    pub(super) permissions: Permissions,
}

/// A fault of the walk and its level.
pub(super) type WalkFault = (FaultKind, u32);

/// `AArch64.S1Walk()`.
pub(super) fn s1_walk(
    params: &WalkParams,
    va: u64,
    memory: &dyn Memory,
) -> Result<Walked, WalkFault> {
    if params.epd {
        return Err((FaultKind::Translation, 0));
    }
    let mut level = params.start_level();
    let mut permissions = Permissions::default();
    let mut address = params.entry_address(level, va, params.table_base());
    if params.oa_out_of_range(address) {
        return Err((FaultKind::AddressSize, 0));
    }
    loop {
        let descriptor = memory
            .read64(PhysAddr::new(address))
            .map_err(|_| (FaultKind::ExternalAbortOnWalk, level))?;
        match decode_descriptor_type(descriptor, params.granule, level) {
            DescriptorType::Invalid => return Err((FaultKind::Translation, level)),
            DescriptorType::Leaf => {
                permissions.apply_output(descriptor, params.ha && params.hd);
                return finish(params, descriptor, address, level, permissions);
            }
            DescriptorType::Table => {
                if !params.hpd {
                    permissions.apply_table(descriptor);
                }
                let table = next_table_base(descriptor, params.granule);
                address = params.entry_address(level + 1, va, table);
                if params.oa_out_of_range(address) {
                    return Err((FaultKind::AddressSize, level));
                }
                level += 1;
            }
        }
    }
}

/// `AArch64.S1Walk()`, after its loop: the output address is checked before the access flag.
fn finish(
    params: &WalkParams,
    descriptor: u64,
    address: u64,
    level: u32,
    permissions: Permissions,
) -> Result<Walked, WalkFault> {
    let output_base = leaf_base(descriptor, params.translation_size(level));
    if params.oa_out_of_range(output_base) {
        return Err((FaultKind::AddressSize, level));
    }
    let access_flag = bit(descriptor, 10);
    if access_flag == 0 && !params.ha {
        return Err((FaultKind::AccessFlag, level));
    }
    let descriptor_address = PhysAddr::new(address);
    Ok(Walked { descriptor, descriptor_address, level, output_base, permissions })
}

pub(super) enum DescriptorType {
    Invalid,
    Table,
    Leaf,
}

/// `AArch64.DecodeDescriptorType()`: bits 1:0, the level and the granule decide.
pub(super) fn decode_descriptor_type(
    descriptor: u64,
    granule: Granule,
    level: u32,
) -> DescriptorType {
    match bits(descriptor, 1, 0) {
        0b11 if level == FINAL_LEVEL => DescriptorType::Leaf, // a page
        0b11 => DescriptorType::Table,
        0b01 if granule.has_blocks_at(level) => DescriptorType::Leaf, // a block
        _ => DescriptorType::Invalid,
    }
}

/// `AArch64.NextTableBase()`: bits 47:m, where 2^m bytes is the granule; the bits below are RES0.
pub(super) fn next_table_base(descriptor: u64, granule: Granule) -> u64 {
    align(bits(descriptor, 47, 0), granule.bits())
}

/// `AArch64.LeafBase()`: bits 47:n, where 2^n bytes is the block or page; the bits below are RES0 or mean
/// something else.
pub(super) fn leaf_base(descriptor: u64, translation_size: u32) -> u64 {
    align(bits(descriptor, 47, 0), translation_size)
}
