//! Access rights (Arm ARM D8.4, "Memory access control"; `AArch64.S1DirectBasePermissions`).

use super::{AArch64, Permissions, registers::SCTLR_WXN};
use emmu_core::{Access, AccessKind, Privilege};

/// The rights of one exception level.
#[derive(Clone, Copy)]
struct Rights {
    read: bool,
    write: bool,
    execute: bool,
}

impl AArch64 {
    #[inline]
    pub(super) fn may(&self, permissions: Permissions, access: Access) -> bool {
        let rights = match access.privilege {
            Privilege::User => self.at_el0(permissions),
            Privilege::Supervisor | Privilege::Machine => self.at_el1(permissions),
        };
        match access.kind {
            AccessKind::Fetch => rights.execute,
            AccessKind::Load => rights.read,
            AccessKind::Store => rights.write,
            AccessKind::Amo => rights.read && rights.write,
        }
    }

    #[inline]
    fn at_el0(&self, withheld: Permissions) -> Rights {
        // spec: arm-ap, arm-xn, arm-wxn
        let read = !withheld.contains(Permissions::NO_EL0);
        let write = read && !withheld.contains(Permissions::READ_ONLY);
        let never = withheld.contains(Permissions::UXN) || write && self.wxn();
        Rights { read, write, execute: !never }
    }

    /// Pages that EL0 can write are never executable at EL1; with PSTATE.PAN what EL0 can access is not for data
    /// accesses of EL1.
    #[inline]
    fn at_el1(&self, withheld: Permissions) -> Rights {
        let write = !withheld.contains(Permissions::READ_ONLY);
        let el0 = !withheld.contains(Permissions::NO_EL0);
        // spec: arm-ap, arm-xn, arm-wxn
        let never = withheld.contains(Permissions::PXN) || el0 && write || write && self.wxn();
        // spec: arm-pan
        let kept = !(self.pan && el0);
        Rights { read: kept, write: kept && write, execute: !never }
    }

    #[inline]
    fn wxn(&self) -> bool {
        self.sctlr & SCTLR_WXN != 0
    }
}
