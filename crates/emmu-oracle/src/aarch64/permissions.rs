//! The permissions of an access.

use super::fault::Abort;
use super::{at_el0, bit, bits};
use emmu_core::{Access, AccessKind};

/// The permission fields that a walk met (`Permissions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Permissions {
    /// `AP[2:1]` of the block or page.
    ap: u64,
    uxn: bool,
    pxn: bool,
    /// `APTable` of all tables together.
    ap_table: u64,
    uxn_table: bool,
    pxn_table: bool,
}

/// The permissions: `S1AccessControls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccessControls {
    r: bool,
    w: bool,
    x: bool,
}

impl Permissions {
    /// `AArch64.S1ApplyTablePerms()`: what one table on the way forbids, all below it are forbidden.
    pub(super) fn apply_table(&mut self, descriptor: u64) {
        self.ap_table |= bits(descriptor, 62, 61);
        self.uxn_table |= bit(descriptor, 60) == 1;
        self.pxn_table |= bit(descriptor, 59) == 1;
    }

    /// `AArch64.S1ApplyOutputPerms()`. Where hardware manages the dirty state, `DBM` (bit 51) makes the
    /// effective `AP[2]` 0: the page is writable, though it may be clean. That counts for `WXN` and for the
    /// execution at EL1 of what EL0 can write as well.
    pub(super) fn apply_output(&mut self, descriptor: u64, hardware_dirty: bool) {
        self.ap = bits(descriptor, 7, 6);
        self.uxn = bit(descriptor, 54) == 1;
        self.pxn = bit(descriptor, 53) == 1;
        if hardware_dirty && bit(descriptor, 51) == 1 {
            self.ap &= 0b01;
        }
    }

    /// `AArch64.S1ComputePermissions()`, with `AArch64.S1DirectBasePermissions()`.
    pub(super) fn compute(&self, wxn: bool, pstate_pan: bool, access: Access) -> AccessControls {
        // Leaf permissions: reads and writes, privileged and unprivileged.
        let (mut pr, mut pw, mut ur, mut uw) = match self.ap {
            0b00 => (true, true, false, false),  // privileged access
            0b01 => (true, true, true, true),    // no limit
            0b10 => (true, false, false, false), // read-only, privileged access
            _ => (true, false, true, false),     // read-only
        };

        // Hierarchical permissions.
        if bit(self.ap_table, 0) == 1 {
            (ur, uw) = (false, false); // no unprivileged access
        }
        if bit(self.ap_table, 1) == 1 {
            (pw, uw) = (false, false); // read-only
        }

        // Locations writable by unprivileged cannot be executed by privileged.
        let px = !(self.pxn || self.pxn_table || uw);
        let ux = !(self.uxn || self.uxn_table);

        // PSTATE.PAN: no privileged data access where there is unprivileged access; fetches do not mind.
        let pan_access = access.kind != AccessKind::Fetch;
        if pan_access && pstate_pan && (ur || uw) {
            (pr, pw) = (false, false);
        }

        let (r, w, x) = if at_el0(access) { (ur, uw, ux) } else { (pr, pw, px) };

        // SCTLR_EL1.WXN: what can be written cannot be executed.
        AccessControls { r, w, x: x && !(wxn && w) }
    }
}

/// `AArch64.S1CheckPermissions()`: the read of an atomic access is checked before its write.
pub(super) fn s1_check_permissions(
    allowed: AccessControls,
    level: u32,
    access: Access,
) -> Result<(), Abort> {
    let (reads, writes) = match access.kind {
        AccessKind::Fetch if allowed.x => return Ok(()),
        AccessKind::Fetch => return Err(Abort::permission(level, false)),
        AccessKind::Load => (true, false),
        AccessKind::Store => (false, true),
        AccessKind::Amo => (true, true),
    };
    if reads && !allowed.r {
        return Err(Abort::permission(level, false));
    }
    if writes && !allowed.w {
        return Err(Abort::permission(level, true));
    }
    Ok(())
}
