//! Physical memory protection (RISC-V Privileged, "Physical Memory Protection").
//!
//! ```text
//! pmpcfg, one byte an entry   7 L | 6..5 zero | 4..3 A (0 off, 1 TOR, 2 NA4, 3 NAPOT) | 2 X | 1 W | 0 R
//! pmpaddr                     53..0 address bits 55..2 (RV32: 31..0 are 33..2)
//! ```

use bitflags::bitflags;
use emmu_core::{AccessKind, Cause, PhysAddr, Privilege, low_mask};

/// How many entries a hart with PMP has here.
pub const PMP_ENTRIES: usize = 16;

bitflags! {
    /// One byte of `pmpcfg`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PmpConfig: u8 {
        /// Reads are allowed.
        const R = 1 << 0;
        /// Writes are allowed.
        const W = 1 << 1;
        /// Fetches are allowed.
        const X = 1 << 2;
        /// Address matching: from the entry before up to this address.
        const TOR = 1 << 3;
        /// Address matching: four bytes.
        const NA4 = 2 << 3;
        /// Address matching: a naturally aligned power of two, 8 bytes or more.
        const NAPOT = 3 << 3;
        /// Locked until reset, and binding for machine mode too.
        const L = 1 << 7;
    }
}

/// The physical addresses that an entry matches, both ends included. Matches nothing if `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    first: u64,
    last: u64,
}

impl Region {
    const NONE: Self = Self { first: u64::MAX, last: 0 };

    fn overlaps(self, first: u64, last: u64) -> bool {
        self.first <= last && first <= self.last
    }

    fn contains(self, first: u64, last: u64) -> bool {
        self.first <= first && last <= self.last
    }
}

/// The PMP entries of a hart, if it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pmp {
    implemented: bool,
    configs: [PmpConfig; PMP_ENTRIES],
    addrs: [u64; PMP_ENTRIES],
    /// Derived from both.
    regions: [Region; PMP_ENTRIES],
}

impl Pmp {
    pub(super) const fn new(implemented: bool) -> Self {
        Self {
            implemented,
            configs: [PmpConfig::empty(); PMP_ENTRIES],
            addrs: [0; PMP_ENTRIES],
            regions: [Region::NONE; PMP_ENTRIES],
        }
    }

    /// The configuration and the address of each entry, if there are entries.
    #[cfg(feature = "serde")]
    pub(super) fn entries(&self) -> Option<[(u8, u64); PMP_ENTRIES]> {
        let entry = |index: usize| (self.configs[index].bits(), self.addrs[index]);
        self.implemented.then(|| core::array::from_fn(entry))
    }

    /// The entries that hold this, if entries can.
    #[cfg(feature = "serde")]
    pub(super) fn of(entries: &[(u8, u64); PMP_ENTRIES]) -> Option<Self> {
        let mut pmp = Self::new(true);
        for (index, &(_, addr)) in entries.iter().enumerate() {
            pmp.write_addr(index, addr, 54);
        }
        for (index, &(config, _)) in entries.iter().enumerate() {
            pmp.write_configs(index, 1, config.into());
        }
        (pmp.entries().as_ref() == Some(entries)).then_some(pmp)
    }

    /// The eight (RV64) or four (RV32) configuration bytes from `first` on.
    pub(super) fn configs(&self, first: usize, count: usize) -> u64 {
        let bytes = self.configs.iter().skip(first).take(count).rev();
        bytes.fold(0, |packed, config| packed << 8 | u64::from(config.bits()))
    }

    /// Writes to locked entries are ignored. W without R is reserved, and legalised to neither.
    pub(super) fn write_configs(&mut self, first: usize, count: usize, packed: u64) {
        let bytes = packed.to_le_bytes();
        for (config, byte) in self.configs.iter_mut().skip(first).take(count).zip(bytes) {
            let mut new = PmpConfig::from_bits_truncate(byte);
            if !new.contains(PmpConfig::R) {
                new -= PmpConfig::W;
            }
            // spec: riscv-pmp-lock
            if self.implemented && !config.contains(PmpConfig::L) {
                *config = new;
            }
        }
        self.derive();
    }

    pub(super) fn addr(&self, index: usize) -> u64 {
        self.addrs.get(index).copied().unwrap_or(0)
    }

    /// Ignored if the entry is locked, or is the lower end of a locked TOR entry.
    pub(super) fn write_addr(&mut self, index: usize, value: u64, bits: u32) {
        // spec: riscv-pmp-lock
        let locked = |config: PmpConfig| config.contains(PmpConfig::L);
        let next = self.configs.get(index + 1).copied().unwrap_or_default();
        let next_locks = locked(next) && matching(next) == PmpConfig::TOR;
        if self.implemented && !locked(self.configs[index]) && !next_locks {
            self.addrs[index] = value & low_mask(bits);
        }
        self.derive();
    }

    fn derive(&mut self) {
        for index in 0..PMP_ENTRIES {
            let below = index.checked_sub(1).map_or(0, |before| self.addrs[before]);
            self.regions[index] = region(matching(self.configs[index]), below, self.addrs[index]);
        }
    }

    /// How many bytes from `addr` on are granted alike, if the first `len` are granted: the entry with the
    /// lowest number that matches any byte must match them all, and decides. Machine mode heeds locked
    /// entries only; where nothing matches, it succeeds and others fail.
    #[inline]
    pub(super) fn grants(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        if self.implemented { self.check(addr, len, kind, privilege) } else { Ok(u64::MAX) }
    }

    fn check(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        let first = addr.raw();
        let last = first.saturating_add(len.saturating_sub(1));
        // spec: riscv-pmp-priority
        let decides = self.regions.iter().position(|region| region.overlaps(first, last));
        // spec: riscv-pmp-none, riscv-pmp-lock
        let granted = match decides {
            None => privilege == Privilege::Machine,
            Some(entry) => {
                let config = self.configs[entry];
                let bound = privilege != Privilege::Machine || config.contains(PmpConfig::L);
                self.regions[entry].contains(first, last) && (!bound || allows(config, kind))
            }
        };
        if granted { Ok(self.alike(first, decides)) } else { Err(Cause::Protection) }
    }

    /// Bytes from `first` on up to the end of the deciding entry, or to the next one of higher priority.
    fn alike(&self, first: u64, decides: Option<usize>) -> u64 {
        let end = decides.map_or(u64::MAX, |entry| self.regions[entry].last - first + 1);
        let before = &self.regions[..decides.unwrap_or(PMP_ENTRIES)];
        let starts = before.iter().filter(|region| region.first <= region.last);
        starts.filter_map(|region| region.first.checked_sub(first)).fold(end, u64::min)
    }
}

fn matching(config: PmpConfig) -> PmpConfig {
    config & PmpConfig::NAPOT
}

fn allows(config: PmpConfig, kind: AccessKind) -> bool {
    config.contains(match kind {
        AccessKind::Fetch => PmpConfig::X,
        AccessKind::Load => PmpConfig::R,
        AccessKind::Store => PmpConfig::W,
        AccessKind::Amo => PmpConfig::R | PmpConfig::W,
    })
}

/// The region of an entry whose `pmpaddr` is `addr` and that of the entry before is `below`.
fn region(matching: PmpConfig, below: u64, addr: u64) -> Region {
    // spec: riscv-pmp-match
    match matching {
        PmpConfig::TOR if below < addr => Region { first: below << 2, last: (addr << 2) - 1 },
        PmpConfig::NA4 => Region { first: addr << 2, last: addr << 2 | 3 },
        // The trailing ones, and the zero above them, are the bits that do not matter.
        PmpConfig::NAPOT => {
            let size = addr ^ (addr + 1);
            Region { first: (addr & !size) << 2, last: (addr | size) << 2 | 3 }
        }
        _ => Region::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Privilege = Privilege::Supervisor;

    fn pmp(entries: &[(PmpConfig, u64)]) -> Pmp {
        let mut pmp = Pmp::new(true);
        for (index, &(_, addr)) in entries.iter().enumerate() {
            pmp.write_addr(index, addr, 54);
        }
        for (index, &(config, _)) in entries.iter().enumerate() {
            pmp.write_configs(index, 1, config.bits().into());
        }
        pmp
    }

    fn load(pmp: &Pmp, addr: u64, len: u64) -> Result<u64, Cause> {
        pmp.grants(PhysAddr::new(addr), len, AccessKind::Load, S)
    }

    // spec: riscv-pmp-match
    #[test]
    fn a_napot_entry_matches_its_power_of_two() {
        let pmp = pmp(&[(PmpConfig::NAPOT | PmpConfig::R, 0x8000_0000 >> 2 | 0x1ff)]);
        assert_eq!(load(&pmp, 0x8000_0000, 8), Ok(0x1000));
        assert_eq!(load(&pmp, 0x8000_0ff8, 8), Ok(8));
        assert_eq!(load(&pmp, 0x8000_1000, 1), Err(Cause::Protection));
        assert_eq!(load(&pmp, 0x7fff_ffff, 1), Err(Cause::Protection));
    }

    // spec: riscv-pmp-match
    #[test]
    fn a_napot_entry_of_ones_matches_everything() {
        let pmp = pmp(&[(PmpConfig::NAPOT | PmpConfig::R, low_mask(54))]);
        assert_eq!(load(&pmp, 0, 8), Ok(1 << 57));
        assert!(load(&pmp, (1 << 56) - 8, 8).is_ok());
    }

    // spec: riscv-pmp-match
    #[test]
    fn tor_reaches_from_the_entry_before() {
        let pmp =
            pmp(&[(PmpConfig::empty(), 0x1000 >> 2), (PmpConfig::TOR | PmpConfig::R, 0x3000 >> 2)]);
        assert_eq!(load(&pmp, 0x1000, 4), Ok(0x2000));
        assert_eq!(load(&pmp, 0xffc, 4), Err(Cause::Protection));
        assert_eq!(load(&pmp, 0x3000, 4), Err(Cause::Protection));
    }

    // spec: riscv-pmp-match, riscv-pmp-priority
    #[test]
    fn the_lowest_numbered_match_decides_and_must_match_every_byte() {
        let all = (PmpConfig::NAPOT | PmpConfig::R, low_mask(54));
        let pmp = pmp(&[(PmpConfig::NA4, 0x2000 >> 2), all]);
        assert_eq!(load(&pmp, 0x2000, 4), Err(Cause::Protection), "denied by entry 0");
        assert_eq!(load(&pmp, 0x1ffe, 4), Err(Cause::Protection), "a partial match fails");
        assert_eq!(load(&pmp, 0x1ff8, 8), Ok(8), "granted up to the entry of higher priority");
        assert!(load(&pmp, 0x2004, 4).is_ok());
    }

    // spec: riscv-pmp-lock, riscv-pmp-none
    #[test]
    fn machine_mode_heeds_locked_entries_only() {
        let machine =
            |pmp: &Pmp| pmp.grants(PhysAddr::new(0x2000), 4, AccessKind::Load, Privilege::Machine);
        assert!(machine(&pmp(&[(PmpConfig::NA4, 0x2000 >> 2)])).is_ok());
        assert!(machine(&pmp(&[(PmpConfig::NA4 | PmpConfig::L, 0x2000 >> 2)])).is_err());
        assert!(machine(&pmp(&[])).is_ok());
        assert_eq!(load(&pmp(&[]), 0x2000, 4), Err(Cause::Protection));
    }

    // spec: riscv-pmp-lock
    #[test]
    fn a_locked_entry_and_the_lower_end_of_a_locked_range_cannot_be_written() {
        let locked = PmpConfig::TOR | PmpConfig::L | PmpConfig::R;
        let mut pmp = pmp(&[(PmpConfig::empty(), 4), (locked, 8)]);
        pmp.write_addr(0, 0, 54);
        pmp.write_addr(1, 0, 54);
        pmp.write_configs(1, 1, 0);
        assert_eq!((pmp.addr(0), pmp.addr(1)), (4, 8));
        assert_eq!(pmp.configs(1, 1), u64::from(locked.bits()));
    }

    #[test]
    fn without_pmp_everything_is_granted() {
        assert_eq!(load(&Pmp::new(false), 0, 8), Ok(u64::MAX));
    }
}
