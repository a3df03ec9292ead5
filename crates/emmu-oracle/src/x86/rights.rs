//! 5.6, access rights, and 5.7, page-fault exceptions.

use super::walk::{Entry, Obstacle, Path};
use super::{Fault, Mode, Registers, is_user_mode, is_write};
use emmu_core::{Access, AccessFlags, AccessKind};

/// Figure 5-12: P, the fault was caused by a page-level protection violation and not by a not-present page.
const P: u32 = 1 << 0;
/// W/R: the access was a write.
const WR: u32 = 1 << 1;
/// U/S: it was a user-mode access.
const US: u32 = 1 << 2;
/// RSVD: a reserved bit was 1 in some entry.
const RSVD: u32 = 1 << 3;
/// I/D: it was an instruction fetch.
const ID: u32 = 1 << 4;
/// PK: there was a protection-key violation.
const PK: u32 = 1 << 5;

impl Registers {
    /// The exception of an access that has no translation.
    pub(super) fn explain(&self, obstacle: Obstacle, access: Access) -> Fault {
        match obstacle {
            Obstacle::NotPresent => self.page_fault(access, 0),
            Obstacle::Reserved => self.page_fault(access, P | RSVD),
            Obstacle::Hole(entry) => Fault::BusError { entry },
        }
    }

    /// 5.7: #PF with these error-code bits besides those that describe the access.
    fn page_fault(&self, access: Access, code: u32) -> Fault {
        let write = if is_write(access.kind) { WR } else { 0 };
        let user = if is_user_mode(access) { US } else { 0 };
        // I/D is set only if CR4.SMEP = 1, or CR4.PAE = 1 and IA32_EFER.NXE = 1.
        let described = self.smep() || (self.pae() && self.nxe());
        let fetch = if described && access.kind == AccessKind::Fetch { ID } else { 0 };
        Fault::PageFault { code: code | write | user | fetch, cr2: self.linear_address(access) }
    }

    /// 5.6.1, Determination of Access Rights, and 5.6.2, Protection Keys.
    pub(super) fn check_access_rights(&self, path: &Path, access: Access) -> Result<(), Fault> {
        let key_violated = self.violates_protection_key(path, access);
        let allowed = match access.kind {
            AccessKind::Load => self.may_read(path, access),
            AccessKind::Store | AccessKind::Amo => self.may_write(path, access),
            AccessKind::Fetch => self.may_fetch(path, access),
        };
        if allowed && !key_violated {
            return Ok(());
        }
        let key = if key_violated { PK } else { 0 };
        Err(self.page_fault(access, P | key))
    }

    fn may_read(&self, path: &Path, access: Access) -> bool {
        match (is_user_mode(access), is_user_address(path)) {
            // User-mode accesses: data may be read from any user-mode address, ...
            (true, true) => true,
            // ... and not from any supervisor-mode address.
            (true, false) => false,
            // Supervisor-mode accesses: from any supervisor-mode address; from user-mode ones if SMAP lets.
            (false, false) => true,
            (false, true) => self.smap_permits(access),
        }
    }

    fn may_write(&self, path: &Path, access: Access) -> bool {
        // R/W is 1 in every entry controlling the translation.
        let writable = path.entries.iter().all(|entry| entry.bit(1));
        match (is_user_mode(access), is_user_address(path)) {
            (true, true) => writable,
            (true, false) => false,
            // With CR0.WP = 0 supervisor-mode writes do not ask for R/W.
            (false, false) => writable || !self.wp(),
            (false, true) => (writable || !self.wp()) && self.smap_permits(access),
        }
    }

    fn may_fetch(&self, path: &Path, access: Access) -> bool {
        // For 32-bit paging or with NXE = 0, any; else XD is 0 in every entry. There, XD is reserved anyway.
        let executable = path.entries.iter().all(|entry| !entry.bit(63));
        match (is_user_mode(access), is_user_address(path)) {
            (true, true) => executable,
            (true, false) => false,
            (false, false) => executable,
            // With CR4.SMEP = 1, instructions may not be fetched from any user-mode address.
            (false, true) => executable && !self.smep(),
        }
    }

    /// With CR4.SMAP = 1, supervisor-mode data accesses to user-mode addresses need EFLAGS.AC = 1 and must
    /// be explicit.
    fn smap_permits(&self, access: Access) -> bool {
        !self.smap() || (self.ac && !access.flags.contains(AccessFlags::IMPLICIT))
    }

    /// 5.6.2: whether PKRU forbids a data access to a user-mode address.
    fn violates_protection_key(&self, path: &Path, access: Access) -> bool {
        let enabled = self.pke() && matches!(self.mode(), Mode::Level4 | Mode::Level5);
        if !enabled || access.kind == AccessKind::Fetch || !is_user_address(path) {
            return false;
        }
        let key = path.entries.last().map_or(0, protection_key);
        let access_disable = self.pkru >> (2 * key) & 1 == 1;
        let write_disable = self.pkru >> (2 * key + 1) & 1 == 1;
        // WD applies to user-mode writes, and to supervisor-mode ones if CR0.WP = 1.
        let write_checked = is_write(access.kind) && (is_user_mode(access) || self.wp());
        access_disable || (write_disable && write_checked)
    }

    fn wp(&self) -> bool {
        self.cr0 >> 16 & 1 == 1
    }
    fn pae(&self) -> bool {
        self.cr4 >> 5 & 1 == 1
    }
    fn smep(&self) -> bool {
        self.cr4 >> 20 & 1 == 1
    }
    fn smap(&self) -> bool {
        self.cr4 >> 21 & 1 == 1
    }
    fn pke(&self) -> bool {
        self.cr4 >> 22 & 1 == 1
    }
}

/// A user-mode address has U/S = 1 in every entry controlling its translation.
fn is_user_address(path: &Path) -> bool {
    path.entries.iter().all(|entry| entry.bit(2))
}

/// Bits 62:59 of the entry that maps the page.
fn protection_key(entry: &Entry) -> u64 {
    entry.bits >> 59 & 0xf
}
