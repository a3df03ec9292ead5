//! The walk from VTTBR_EL2 to a block or page, and what that allows.

use super::params::S2Params;
use crate::Memory;
use crate::aarch64::walk::{
    DescriptorType, WalkFault, decode_descriptor_type, leaf_base, next_table_base,
};
use crate::aarch64::{FaultKind, at_el0, bit, bits};
use crate::two_stage::Visit;
use emmu_core::{Access, AccessKind, PhysAddr};

/// Where a walk ended well.
pub(super) struct Walked {
    /// The block or page descriptor.
    pub(super) descriptor: u64,
    /// Where it stands.
    pub(super) descriptor_address: PhysAddr,
    /// Its level.
    pub(super) level: u32,
}

/// `AArch64.S2Walk()`, and what `AArch64.S2Translate()` checks before it.
pub(super) fn s2_walk(
    params: &S2Params,
    ipa: u64,
    memory: &dyn Memory,
) -> Result<Walked, WalkFault> {
    if params.txsz_faults() || params.invalid_sl() || params.inconsistent_sl() {
        return Err((FaultKind::Translation, 0));
    }
    if params.ipa_is_out_of_range(ipa) {
        return Err((FaultKind::Translation, 0));
    }
    let mut level = params.start_level();
    let mut address = params.first_entry_address(ipa);
    if params.oa_out_of_range(address) {
        return Err((FaultKind::AddressSize, 0));
    }
    loop {
        let descriptor = memory
            .read64(PhysAddr::new(address))
            .map_err(|_| (FaultKind::ExternalAbortOnWalk, level))?;
        match decode_descriptor_type(descriptor, params.granule, level) {
            DescriptorType::Invalid => return Err((FaultKind::Translation, level)),
            DescriptorType::Leaf => return finish(params, descriptor, address, level),
            DescriptorType::Table => {
                let table = next_table_base(descriptor, params.granule);
                address = params.entry_address(level + 1, ipa, table);
                if params.oa_out_of_range(address) {
                    return Err((FaultKind::AddressSize, level));
                }
                level += 1;
            }
        }
    }
}

/// After the loop: the output address is checked before the access flag.
fn finish(
    params: &S2Params,
    descriptor: u64,
    address: u64,
    level: u32,
) -> Result<Walked, WalkFault> {
    if params.oa_out_of_range(leaf_base(descriptor, params.translation_size(level))) {
        return Err((FaultKind::AddressSize, level));
    }
    if bit(descriptor, 10) == 0 && !params.ha {
        return Err((FaultKind::AccessFlag, level));
    }
    Ok(Walked { descriptor, descriptor_address: PhysAddr::new(address), level })
}

/// Returns true if this is a write, so that hardware may have to mark the page dirty. A read of stage 1's walk
/// is an `AccessType_TTW`.
fn writes(used: Visit, kind: AccessKind) -> bool {
    match used {
        Visit::WalkRead => false,
        Visit::WalkUpdate => true,
        Visit::Access => matches!(kind, AccessKind::Store | AccessKind::Amo),
    }
}

/// The part of an access that is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Whole,
    /// The write of an atomic access, whose read is allowed.
    WriteAlone,
}

impl Walked {
    /// `StageOA()`.
    pub(super) fn output(&self, params: &S2Params, ipa: u64) -> PhysAddr {
        let size = params.translation_size(self.level);
        PhysAddr::new(leaf_base(self.descriptor, size) | bits(ipa, size - 1, 0))
    }

    /// `AArch64.S2CheckPermissions()`.
    pub(super) fn refuses(
        &self,
        params: &S2Params,
        used: Visit,
        access: Access,
    ) -> Option<Refused> {
        let (r, w) = self.read_write(params);
        let allowed = match (used, access.kind) {
            (Visit::WalkRead, _) => !self.is_protected(params) && r,
            (Visit::WalkUpdate, _) => !self.is_protected(params) && r && w,
            (Visit::Access, AccessKind::Fetch) => self.executable(access),
            (Visit::Access, AccessKind::Load) => r,
            (Visit::Access, AccessKind::Store) => w,
            (Visit::Access, AccessKind::Amo) if r && !w => return Some(Refused::WriteAlone),
            (Visit::Access, AccessKind::Amo) => r && w,
        };
        (!allowed).then_some(Refused::Whole)
    }

    /// `AArch64.S2DirectBasePermissions()`: S2AP. Where hardware manages the dirty state, DBM makes the effective
    /// `S2AP[1]` 1.
    fn read_write(&self, params: &S2Params) -> (bool, bool) {
        let dirty_managed = params.ha && params.hd && bit(self.descriptor, 51) == 1;
        (bit(self.descriptor, 6) == 1, bit(self.descriptor, 7) == 1 || dirty_managed)
    }

    /// XN\[1:0\], bits 54:53, for EL1 and for EL0.
    fn executable(&self, access: Access) -> bool {
        let (px, ux) = match bits(self.descriptor, 54, 53) {
            0b00 => (true, true),
            0b01 => (false, true),
            0b10 => (false, false),
            _ => (true, false),
        };
        if at_el0(access) { ux } else { px }
    }

    /// HCR_EL2.PTW: stage 1's walks may not read Device memory, which has `MemAttr[3:2]` = 0b00.
    fn is_protected(&self, params: &S2Params) -> bool {
        params.ptw && bits(self.descriptor, 5, 4) == 0
    }

    /// The descriptor as hardware leaves it: `AArch64.S2Translate()`, from `new_desc = descriptor` on.
    pub(super) fn updated(&self, params: &S2Params, used: Visit, kind: AccessKind) -> u64 {
        let mut updated = self.descriptor;
        if params.ha {
            updated |= 1 << 10; // AF
        }
        if params.ha && params.hd && bit(self.descriptor, 51) == 1 && writes(used, kind) {
            updated |= 1 << 7; // S2AP[1]
        }
        updated
    }
}
