//! x86: 32-bit, PAE, 4-level and 5-level paging (Intel SDM Vol. 3A, chapter 5 "Paging", December 2024).
//!
//! ```text
//! 4- and 5-level   63 | 62..59 | 58..52  | 51..M    | M-1 ............ 12 | 11..9 | 8 7  6 5 4   3   2   1   0
//!                  XD | key    | ignored | reserved | table or page       | ign.  | G PS D A PCD PWT U/S R/W P
//! PAE              63 | 62..M  reserved             | as above
//! 32-bit                                 31 ........................... 12 | 11..9 | as above
//! 32-bit, 4 MiB    31..22 page 31:22 | 21 reserved | 20..13 page 39:32 | 12 PAT | as above
//! ```
//! Bit 7 of an entry at level 0, and bit 12 of a larger page, is PAT. M is MAXPHYADDR.

mod anatomy;
mod ept;
mod exception;
mod reason;
mod registers;
mod rights;
#[cfg(feature = "serde")]
mod snapshot;

pub use anatomy::{BITS32, LEVEL4, LEVEL5, PAE};
pub use ept::{EPTP, Ept, EptEntry, EptRights, ExitQualification, VPID, VmExit, X86Guest};
pub use exception::{PageFaultCode, X86Exception};
pub use registers::{CR0, CR3, CR3_NO_FLUSH, CR4, Cr0, Cr4, EFER, Efer, PKRU, RFLAGS, RFLAGS_AC};

use super::{
    Entry, Extent, Format, LEVEL_SLOTS, Mapping, Plan, ReadWord, Root, Route, Shape, slot,
};
use crate::WalkCacheReach;
use bitflags::bitflags;
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, VirtAddr, anatomy::Anatomy, bit_range, low_mask,
};

bitflags! {
    /// The bits of a paging-structure entry.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Pte: u64 {
        /// Present.
        const P = 1 << 0;
        /// Writable.
        const RW = 1 << 1;
        /// Accessible to user mode.
        const US = 1 << 2;
        /// Page-level write-through.
        const PWT = 1 << 3;
        /// Page-level cache disable.
        const PCD = 1 << 4;
        /// Accessed.
        const A = 1 << 5;
        /// Dirty.
        const D = 1 << 6;
        /// Above level 0: a page, not a table.
        const PS = 1 << 7;
        /// Global.
        const G = 1 << 8;
        /// PAT of a larger page.
        const PAT_LARGE = 1 << 12;
        /// Execute-disable.
        const XD = 1 << 63;
    }
}

/// PAT of a 4 KiB page, where larger pages have PS.
const PAT_SMALL: Pte = Pte::PS;

bitflags! {
    /// The rights that all entries on the way leave, and the leaf's protection key in the high four bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Permissions: u8 {
        /// Every entry has R/W.
        const RW = 1 << 0;
        /// Every entry has U/S.
        const US = 1 << 1;
        /// Some entry has XD.
        const XD = 1 << 2;
        /// The protection key.
        const KEY = 0xf0;
    }
}

/// Which paging is in force (SDM 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Bits32,
    Pae,
    Level4,
    Level5,
}

impl Mode {
    const fn of(cr0: Cr0, cr4: Cr4, efer: Efer) -> Self {
        // spec: x86-modes
        match (cr4.contains(Cr4::PAE), efer.contains(Efer::LMA), cr4.contains(Cr4::LA57)) {
            _ if !cr0.contains(Cr0::PG) => Self::Off,
            (false, ..) => Self::Bits32,
            (true, false, _) => Self::Pae,
            (true, true, false) => Self::Level4,
            (true, true, true) => Self::Level5,
        }
    }

    /// The level plan; while paging is off, that of 32-bit paging.
    const fn plan(self) -> &'static Plan {
        match self {
            Self::Off | Self::Bits32 => &BITS32,
            Self::Pae => &PAE,
            Self::Level4 => &LEVEL4,
            Self::Level5 => &LEVEL5,
        }
    }

    const fn shape(self) -> Shape {
        self.plan().shape()
    }

    const fn top_level(self) -> u8 {
        // spec: x86-cr3
        self.plan().levels() - 1
    }

    const fn is_ia32e(self) -> bool {
        matches!(self, Self::Level4 | Self::Level5)
    }

    /// Linear addresses have 32 bits, or are canonical.
    const fn extent(self) -> Extent {
        match self {
            Self::Off | Self::Bits32 | Self::Pae => Extent::unsigned(32),
            Self::Level4 => Extent::sign_extended(48),
            Self::Level5 => Extent::sign_extended(57),
        }
    }
}

/// The facts that the registers decide, worked out when one is written and not at each access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Derived {
    mode: Mode,
    shape: Shape,
    extent: Extent,
    pcid: Asid,
    /// The protection key where entries have one.
    key: Permissions,
    /// The kinds of present entries, by level.
    entries: [Kinds; LEVEL_SLOTS],
}

/// How the present entries of one level are told apart, and which of their bits must be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds {
    /// An entry with one of these bits maps a page.
    page: Pte,
    reserved_in_page: u64,
    reserved_in_table: u64,
}

impl Kinds {
    /// While paging is off.
    const NOTHING: Self = Self { page: Pte::empty(), reserved_in_page: 0, reserved_in_table: 0 };
}

/// An x86 logical processor's paging registers.
///
/// The [`Attributes`] of a mapping are the PAT index (`PAT << 2 | PCD << 1 | PWT`, 0 to 7). Of two stages the index is that of
/// the first: the combination depends on the PAT, which is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "snapshot::Processor", into = "snapshot::Processor")
)]
pub struct X86 {
    cr0: Cr0,
    cr3: u64,
    cr4: Cr4,
    efer: Efer,
    pkru: u32,
    ac: bool,
    /// The four page-directory-pointer-table entries of PAE paging, loaded with CR3.
    pdptes: [u64; 4],
    max_phys_bits: u8,
    derived: Derived,
}

impl Default for X86 {
    fn default() -> Self {
        Self::new(52)
    }
}

impl X86 {
    /// A processor out of reset but in protected mode: paging off, and MAXPHYADDR `max_phys_bits` (32 to 52;
    /// others are taken as the nearest of these).
    #[must_use]
    pub const fn new(max_phys_bits: u8) -> Self {
        let max_phys_bits = match max_phys_bits {
            0..32 => 32,
            53.. => 52,
            bits => bits,
        };
        let derived = Derived {
            mode: Mode::Off,
            shape: Mode::Off.shape(),
            extent: Mode::Off.extent(),
            pcid: Asid(0),
            key: Permissions::empty(),
            entries: [Kinds::NOTHING; LEVEL_SLOTS],
        };
        Self {
            cr0: Cr0::PE,
            cr3: 0,
            cr4: Cr4::empty(),
            efer: Efer::empty(),
            pkru: 0,
            ac: false,
            pdptes: [0; 4],
            max_phys_bits,
            derived,
        }
    }

    /// Brings what is derived in line with the registers.
    fn derive(&mut self) {
        let mode = Mode::of(self.cr0, self.cr4, self.efer);
        let mut entries = [Kinds::NOTHING; LEVEL_SLOTS];
        for (level, kinds) in (0..).zip(&mut entries) {
            *kinds = Kinds {
                page: self.page_bit(mode, level),
                reserved_in_page: self.reserved(mode, level, true),
                reserved_in_table: self.reserved(mode, level, false),
            };
        }
        self.derived = Derived {
            mode,
            shape: mode.shape(),
            extent: mode.extent(),
            pcid: self.pcid(),
            key: if mode.is_ia32e() { Permissions::KEY } else { Permissions::empty() },
            entries,
        };
    }

    /// Physical-address bits that entries must leave clear: from MAXPHYADDR to 51.
    const fn reserved_phys(&self) -> u64 {
        bit_range(51, 0) & !low_mask(self.max_phys_bits as u32)
    }

    /// Returns true if the address exists: with 64-bit linear addresses every byte of data must be canonical
    /// before any is translated (SDM Vol. 1, 3.3.7.1). Of a fetch only the first byte is known to be wanted.
    fn has_all(&self, access: Access) -> bool {
        // spec: x86-canonical
        let last = access.addr.wrapping_add(u64::from(access.size).saturating_sub(1));
        let Derived { mode, extent, .. } = self.derived;
        let whole = mode.is_ia32e() && access.kind != AccessKind::Fetch;
        extent.has(access.addr) && (!whole || extent.has(last))
    }

    fn pcid(&self) -> Asid {
        let pcid = if self.cr4.contains(Cr4::PCIDE) { self.cr3 & 0xfff } else { 0 };
        #[expect(clippy::cast_possible_truncation, reason = "twelve bits are left")]
        Asid(pcid as u16)
    }

    /// The first table that the walk reads, or why there is none.
    #[inline]
    fn first_table(&self, addr: VirtAddr) -> Result<PhysAddr, Cause> {
        // spec: x86-cr3, x86-pae
        let root = match self.derived.mode {
            Mode::Pae => {
                let index = usize::try_from(addr.bits(30, 2)).unwrap_or(0);
                let pdpte = self.pdptes[index];
                if pdpte & Pte::P.bits() == 0 {
                    return Err(Cause::Absent);
                }
                pdpte
            }
            // Bits 63:32 of CR3 are ignored (table 5-3).
            Mode::Bits32 => self.cr3 & bit_range(31, 0),
            _ => self.cr3,
        };
        Ok(PhysAddr::new(root & bit_range(51, 12)))
    }

    /// The bit that makes a present entry of this level map a page.
    fn page_bit(&self, mode: Mode, level: u8) -> Pte {
        // spec: x86-page, x86-32bit
        match (mode, level) {
            (_, 0) => Pte::P,
            (Mode::Off | Mode::Bits32, _) if !self.cr4.contains(Cr4::PSE) => Pte::empty(),
            (_, 1 | 2) => Pte::PS,
            _ => Pte::empty(),
        }
    }

    /// The bits of a present entry that must be zero (SDM 5.3–5.5, "reserved").
    fn reserved(&self, mode: Mode, level: u8, is_page: bool) -> u64 {
        // spec: x86-reserved
        let xd = if self.efer.contains(Efer::NXE) { 0 } else { Pte::XD.bits() };
        let wide = xd | self.reserved_phys();
        match (mode, level, is_page) {
            (Mode::Off | Mode::Bits32, 1, true) => self.reserved_pse36(),
            (Mode::Off | Mode::Bits32, ..) => 0,
            (Mode::Pae, 1, true) => wide | bit_range(62, 52) | bit_range(20, 13),
            (Mode::Pae, ..) => wide | bit_range(62, 52),
            (_, 1, true) => wide | bit_range(20, 13),
            (_, 2, true) => wide | bit_range(29, 13),
            (_, 3.., _) => wide | Pte::PS.bits(),
            _ => wide,
        }
    }

    /// A 4 MiB page's physical address has min(40, MAXPHYADDR) bits, the high ones in bits 20:13; bit 21
    /// and those that are too many are reserved (SDM 5.3, table 5-4).
    fn reserved_pse36(&self) -> u64 {
        let width = u32::from(self.max_phys_bits.min(40));
        bit_range(21, width - 19)
    }

    #[inline]
    fn frame(&self, raw: u64, bits: u8) -> PhysAddr {
        // spec: x86-page, x86-32bit
        let address = bit_range(51, 12) & !low_mask(bits.into());
        let high = match (self.derived.mode, bits) {
            (Mode::Off | Mode::Bits32, 22) => (raw & bit_range(20, 13)) << (32 - 13),
            _ => 0,
        };
        PhysAddr::new(raw & address | high)
    }

    #[inline]
    fn page(&self, pte: Pte, bits: u8, permissions: Permissions) -> Entry<Permissions> {
        // spec: x86-memory-type
        let pat = if bits == 12 { PAT_SMALL } else { Pte::PAT_LARGE };
        let flag = |bit, value| if pte.contains(bit) { value } else { 0 };
        Entry::Leaf(Mapping {
            frame: self.frame(pte.bits(), bits),
            bits,
            permissions,
            dirty: pte.contains(Pte::D),
            global: pte.contains(Pte::G) && self.cr4.contains(Cr4::PGE),
            attributes: Attributes(flag(pat, 4) | flag(Pte::PCD, 2) | flag(Pte::PWT, 1)),
        })
    }
}

/// R/W and U/S are the AND of all entries, XD the OR (SDM 5.6.1).
#[inline]
fn combine(pte: Pte, inherited: Permissions) -> Permissions {
    // spec: x86-user, x86-wp, x86-xd
    let mut own = Permissions::XD;
    own.set(Permissions::RW, pte.contains(Pte::RW));
    own.set(Permissions::US, pte.contains(Pte::US));
    let xd = if pte.contains(Pte::XD) { Permissions::XD } else { Permissions::empty() };
    inherited & own | xd
}

/// The protection key.
#[inline]
fn key(pte: Pte) -> Permissions {
    Permissions::from_bits_truncate(((pte.bits() >> 59 & 0xf) as u8) << 4)
}

/// An implicit access of the processor is a supervisor access at any CPL (SDM Vol. 3A, 5.6.1).
fn effective(access: Access) -> Access {
    // spec: x86-implicit
    match access.flags.contains(AccessFlags::IMPLICIT) {
        true => access.with_privilege(Privilege::Supervisor),
        false => access,
    }
}

impl Format for X86 {
    type Permissions = Permissions;

    const REGISTERS: &'static [RegisterInfo] = registers::ALL;

    const REASONS: &'static [&'static str] = reason::OF_REGISTERS;

    const FAULTS_INVALIDATE: bool = true;

    fn anatomy(&self) -> Anatomy {
        anatomy::PAGING
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.read(id)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        read: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        self.write(id, value, read)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        let access = effective(access);
        if !self.has_all(access) {
            return Err(Cause::NonCanonical);
        }
        if self.derived.mode == Mode::Off {
            return Ok(Route::Identity { access, bits: 32 });
        }
        Ok(Route::Tables { access, asid: self.derived.pcid })
    }

    #[inline]
    fn root(&self, access: Access) -> Result<Root<Permissions>, Cause> {
        Ok(Root {
            table: self.first_table(access.addr)?,
            level: self.derived.mode.top_level(),
            permissions: Permissions::RW | Permissions::US,
        })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &self.derived.shape
    }

    #[inline]
    fn decode(&self, raw: u64, level: u8, _: Access, inherited: Permissions) -> Entry<Permissions> {
        let pte = Pte::from_bits_retain(raw);
        // spec: x86-present
        if !pte.contains(Pte::P) {
            return Entry::Invalid(Cause::Absent);
        }
        let kinds = &self.derived.entries[slot(level)];
        let is_page = pte.intersects(kinds.page);
        let reserved = if is_page { kinds.reserved_in_page } else { kinds.reserved_in_table };
        // spec: x86-reserved
        if raw & reserved != 0 {
            return Entry::Invalid(Cause::Reserved);
        }
        let permissions = combine(pte, inherited);
        if !is_page {
            return Entry::Table { table: PhysAddr::new(raw & bit_range(51, 12)), permissions };
        }
        self.page(
            pte,
            self.derived.shape.page_bits(level),
            permissions | key(pte) & self.derived.key,
        )
    }

    /// The key is checked first: #PF tells of it "even if R/W also would" forbid the access.
    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        let allowed = match access.privilege {
            Privilege::User => Self::user_may(permissions, access.kind),
            Privilege::Supervisor | Privilege::Machine => self.supervisor_may(permissions, access),
        };
        if !self.key_permits(permissions, access) {
            return Err(Cause::ProtectionKey);
        }
        if allowed { Ok(()) } else { Err(Cause::Permission) }
    }

    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        // spec: x86-accessed, x86-dirty
        let set = if access.kind.writes() { Pte::A | Pte::D } else { Pte::A };
        Ok(raw | set.bits())
    }

    /// The accessed flag is set in every entry that a translation used (SDM 5.8).
    #[inline]
    fn pass(&self, raw: u64) -> u64 {
        // spec: x86-accessed
        raw | Pte::A.bits()
    }

    /// "INVLPG also invalidates all entries in all paging-structure caches associated with the current PCID, regardless of
    /// the linear addresses to which they correspond", and so does what reaches further than it or is several of it. INVPCID
    /// of type 0 is for mappings "that would be used to translate the linear address" (SDM 5.10.4.1), and so is INVVPID of
    /// type 0 (30.4.3.1).
    fn walk_cache_reach(scope: Invalidate) -> WalkCacheReach {
        match scope {
            Invalidate::Page(_)
            | Invalidate::PageInAsid { global: true, .. }
            | Invalidate::Range { .. } => WalkCacheReach::All,
            _ => WalkCacheReach::OnTheWay,
        }
    }
}
