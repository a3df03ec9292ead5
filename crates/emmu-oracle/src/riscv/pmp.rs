//! Physical Memory Protection, section 3.7.

use super::{Registers, Xlen};
use core::ops::Range;
use emmu_core::{AccessKind, Privilege};

/// One PMP entry.
///
/// ```text
///  7 6 5 4 3 2 1 0
/// ┌─┬───┬───┬─┬─┬─┐
/// │L│ 0 │ A │X│W│R│  A: 0 OFF, 1 TOR, 2 NA4, 3 NAPOT
/// └─┴───┴───┴─┴─┴─┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PmpEntry {
    /// `pmpicfg`. W without R is reserved, and no hart holds it.
    pub cfg: u8,
    /// `pmpaddri`: bits 33:2 of a physical address on RV32, bits 55:2 on RV64.
    pub addr: u64,
}

impl PmpEntry {
    fn read(self) -> bool {
        self.cfg & 1 != 0
    }
    fn write(self) -> bool {
        self.cfg & 2 != 0
    }
    fn execute(self) -> bool {
        self.cfg & 4 != 0
    }
    fn mode(self) -> u8 {
        self.cfg >> 3 & 3
    }
    fn locked(self) -> bool {
        self.cfg & 0x80 != 0
    }
}

impl Registers {
    /// 3.7.1.3, "Priority and Matching Logic", for the `size` bytes from `pa` on.
    pub(super) fn pmp_allows(
        &self,
        kind: AccessKind,
        privilege: Privilege,
        pa: u64,
        size: u64,
    ) -> bool {
        // No PMP entry is implemented.
        if self.pmp.is_empty() {
            return true;
        }
        let bytes = u128::from(pa)..u128::from(pa) + u128::from(size);
        // The lowest-numbered PMP entry that matches any byte of an access determines whether it succeeds.
        for (number, entry) in self.pmp.iter().enumerate() {
            let region = self.pmp_region(number);
            let any = region.start < bytes.end && bytes.start < region.end && !region.is_empty();
            if any {
                // It must match all bytes, or the access fails, irrespective of L, R, W and X.
                let all = region.start <= bytes.start && bytes.end <= region.end;
                return all && entry_allows(*entry, kind, privilege);
            }
        }
        // No entry matches: an M-mode access succeeds, any other fails.
        privilege == Privilege::Machine
    }

    /// 3.7.1.1, "Address Matching": the bytes that entry `number` matches; an empty range for none.
    fn pmp_region(&self, number: usize) -> Range<u128> {
        let entry = self.pmp[number];
        let addr = self.pmpaddr(entry);
        match entry.mode() {
            // OFF matches no addresses.
            0 => 0..0,
            // TOR: from the preceding address register, or 0 for entry 0, up to this one.
            1 => {
                let below = if number == 0 { 0 } else { self.pmpaddr(self.pmp[number - 1]) };
                below * 4..addr * 4
            }
            // NA4.
            2 => addr * 4..addr * 4 + 4,
            // NAPOT: yyyy...0 is 8 bytes, yyyy...01 is 16, yyyy...011 is 32, and so on.
            _ => {
                let mut size = 8;
                let mut rest = addr;
                while rest & 1 == 1 {
                    size *= 2;
                    rest >>= 1;
                }
                let base = addr * 4 / size * size;
                base..base + size
            }
        }
    }

    /// The address register, as wide as it is.
    fn pmpaddr(&self, entry: PmpEntry) -> u128 {
        match self.xlen {
            Xlen::Rv32 => u128::from(entry.addr & 0xffff_ffff),
            Xlen::Rv64 => u128::from(entry.addr & ((1 << 54) - 1)),
        }
    }
}

/// 3.7.1.2 and 3.7.1.3, for an entry that matches all bytes of the access.
fn entry_allows(entry: PmpEntry, kind: AccessKind, privilege: Privilege) -> bool {
    if privilege == Privilege::Machine && !entry.locked() {
        return true;
    }
    match kind {
        AccessKind::Fetch => entry.execute(),
        AccessKind::Load => entry.read(),
        AccessKind::Store => entry.write(),
        AccessKind::Amo => entry.read() && entry.write(),
    }
}
