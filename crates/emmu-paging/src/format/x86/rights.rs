//! Access rights (SDM 5.6).

use super::{Cr0, Cr4, Permissions, X86};
use emmu_core::{Access, AccessFlags, AccessKind, Privilege};

impl X86 {
    /// Protection keys restrict data accesses to user pages, by either privilege (SDM 5.6.2).
    #[inline]
    pub(super) fn key_permits(&self, permissions: Permissions, access: Access) -> bool {
        // spec: x86-pkru
        let applies = self.cr4.contains(Cr4::PKE)
            && self.derived.mode.is_ia32e()
            && permissions.contains(Permissions::US)
            && access.kind != AccessKind::Fetch;
        let rights = self.pkru >> ((permissions.bits() >> 4) * 2);
        let (no_access, no_write) = (rights & 1 != 0, rights & 2 != 0);
        let write_respects = access.privilege == Privilege::User || self.cr0.contains(Cr0::WP);
        !applies || !(no_access || no_write && access.kind.writes() && write_respects)
    }

    /// The rights of user accesses (SDM 5.6.1, "For accesses in user mode").
    #[inline]
    pub(super) fn user_may(permissions: Permissions, kind: AccessKind) -> bool {
        // spec: x86-user, x86-xd
        permissions.contains(Permissions::US)
            && match kind {
                AccessKind::Fetch => !permissions.contains(Permissions::XD),
                AccessKind::Load => true,
                AccessKind::Store | AccessKind::Amo => permissions.contains(Permissions::RW),
            }
    }

    /// The rights of supervisor accesses (SDM 5.6.1, "For supervisor-mode accesses").
    #[inline]
    pub(super) fn supervisor_may(&self, permissions: Permissions, access: Access) -> bool {
        let user_page = permissions.contains(Permissions::US);
        // spec: x86-smap, x86-implicit
        let guarded = user_page && self.cr4.contains(Cr4::SMAP);
        let lifted = self.ac && !access.flags.contains(AccessFlags::IMPLICIT);
        match access.kind {
            AccessKind::Fetch => {
                // spec: x86-smep, x86-xd
                let guarded = user_page && self.cr4.contains(Cr4::SMEP);
                !guarded && !permissions.contains(Permissions::XD)
            }
            AccessKind::Load => !guarded || lifted,
            // spec: x86-wp
            AccessKind::Store | AccessKind::Amo => {
                (!guarded || lifted)
                    && (permissions.contains(Permissions::RW) || !self.cr0.contains(Cr0::WP))
            }
        }
    }
}
