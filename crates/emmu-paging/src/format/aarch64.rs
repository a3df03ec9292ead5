//! AArch64: stage 1 of the EL1&0 translation regime with 4, 16 and 64 KiB granules (Arm ARM, DDI 0487, chapter D8
//! "The AArch64 Virtual Memory System Architecture", VMSAv8-64, 48-bit addresses).
//!
//! ```text
//! table        63 NSTable | 62..61 APTable | 60 UXNTable | 59 PXNTable |  next table 47:g  | 1 1
//! block, page  54 UXN | 53 PXN | 52 Contiguous | 51 DBM | output address 47:n | 11 nG | 10 AF | 9..8 SH
//!              7..6 AP[2:1] | 5 NS | 4..2 AttrIndx | 0 1 (block) or 1 1 (page, level 3)
//! ```
//! Arm numbers levels from the root down to 3; here level 0 is the last, so Arm's level is 3 − level.

mod anatomy;
mod exception;
mod half;
mod registers;
mod rights;
#[cfg(feature = "serde")]
mod snapshot;
mod stage2;

pub use anatomy::{K4, K16, K64};
pub use exception::{AArch64Exception, FaultStatus};
pub use registers::{MAIR_EL1, PAN, PAN_BIT, SCTLR_EL1, SCTLR_M, TCR_EL1, TTBR0_EL1, TTBR1_EL1};

pub use stage2::{AArch64Guest, HCR_EL2, S2Permissions, Stage2, VTCR_EL2, VTTBR_EL2};

use super::{Entry, Format, Mapping, ReadWord, Root, Route, Shape};
use bitflags::bitflags;
use emmu_core::{
    Access, Asid, Attributes, Cause, Invalidate, PhysAddr, RegisterError, RegisterId, RegisterInfo,
    VirtAddr, anatomy::Anatomy, bit_range, low_mask,
};
use half::{Half, Tcr};

bitflags! {
    /// The bits of a descriptor. Table and block descriptors use different ones.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Descriptor: u64 {
        /// Valid.
        const VALID = 1 << 0;
        /// A table, or at the last level a page; clear for a block.
        const TABLE = 1 << 1;
        /// AttrIndx, an index into MAIR_EL1.
        const ATTR_INDEX = bit_range(4, 2);
        /// AP\[1\]: accessible at EL0.
        const EL0 = 1 << 6;
        /// AP\[2\]: read-only.
        const READ_ONLY = 1 << 7;
        /// Access flag.
        const AF = 1 << 10;
        /// Not global.
        const NG = 1 << 11;
        /// Dirty bit modifier: writable, once hardware has cleared AP\[2\].
        const DBM = 1 << 51;
        /// One of a run of descriptors that map one contiguous range.
        const CONTIGUOUS = 1 << 52;
        /// Privileged execute-never.
        const PXN = 1 << 53;
        /// Unprivileged execute-never.
        const UXN = 1 << 54;
        /// Table: nothing below is executable at EL1.
        const PXN_TABLE = 1 << 59;
        /// Table: nothing below is executable at EL0.
        const UXN_TABLE = 1 << 60;
        /// Table: nothing below is accessible at EL0.
        const NO_EL0_TABLE = 1 << 61;
        /// Table: nothing below is writable.
        const READ_ONLY_TABLE = 1 << 62;
        /// All that a table descriptor withholds.
        const HIERARCHY = bit_range(62, 59);
        /// The bits of a descriptor that is writable, but clean.
        const CLEAN = Self::DBM.bits() | Self::READ_ONLY.bits();
    }
}

bitflags! {
    /// The rights that the descriptors on the way withhold, in the order of the hierarchical attributes 62:59.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Permissions: u8 {
        /// Not executable at EL1.
        const PXN = 1 << 0;
        /// Not executable at EL0.
        const UXN = 1 << 1;
        /// Not accessible at EL0.
        const NO_EL0 = 1 << 2;
        /// Not writable: AP\[2\] is set, and hardware may not clear it.
        const READ_ONLY = 1 << 3;
    }
}

/// The translation registers of a processing element at EL1.
///
/// Has 48-bit addresses, 16-bit ASIDs, FEAT_HAFDBS, FEAT_PAN, FEAT_HPDS and FEAT_TTST; no FEAT_LPA2,
/// FEAT_LVA, FEAT_E0PD or FEAT_PAN3, whose bits are refused. A reserved granule is taken for 4 KiB. Alignment, tags of
/// memory and branch targets are not checked: that is the CPU's.
///
/// The [`Attributes`] of a mapping are `AttrIndx` (0 to 7). Of two stages the index is that of the first: the
/// combination depends on MAIR_EL1, which is kept and not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "snapshot::Registers", into = "snapshot::Registers")
)]
pub struct AArch64 {
    ttbr0: u64,
    ttbr1: u64,
    tcr: Tcr,
    sctlr: u64,
    mair: u64,
    pan: bool,
    derived: Derived,
}

/// The facts that the registers decide, worked out when one is written and not at each access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Derived {
    /// Which of them an address is in, bit 55 says.
    lower: Half,
    upper: Half,
    asid: Asid,
    /// The address bits that output addresses must have clear.
    too_wide: u64,
    /// With dirty state managed by hardware, the bits of a descriptor that is writable and clean.
    clean: Option<Descriptor>,
}

impl Derived {
    const fn of(tcr: Tcr, ttbr0: u64, ttbr1: u64) -> Self {
        Self {
            lower: Half::lower(tcr, ttbr0),
            upper: Half::upper(tcr, ttbr1),
            asid: asid(tcr, ttbr0, ttbr1),
            too_wide: !low_mask(tcr.output_bits()),
            clean: if tcr.bit(39) && tcr.bit(40) { Some(Descriptor::CLEAN) } else { None },
        }
    }
}

/// TCR_EL1.A1 says which TTBR holds the ASID, and AS how wide it is.
const fn asid(tcr: Tcr, ttbr0: u64, ttbr1: u64) -> Asid {
    let ttbr = if tcr.bit(22) { ttbr1 } else { ttbr0 };
    let asid = (ttbr >> 48) as u16;
    Asid(if tcr.bit(36) { asid } else { asid & 0xff })
}

impl Default for AArch64 {
    fn default() -> Self {
        Self::new()
    }
}

impl AArch64 {
    /// A processing element out of reset: the MMU is off.
    #[must_use]
    pub const fn new() -> Self {
        let derived = Derived::of(Tcr(0), 0, 0);
        Self { ttbr0: 0, ttbr1: 0, tcr: Tcr(0), sctlr: 0, mair: 0, pan: false, derived }
    }

    /// Brings what is derived in line with the registers.
    fn derive(&mut self) {
        self.derived = Derived::of(self.tcr, self.ttbr0, self.ttbr1);
    }

    #[inline]
    fn half_of(&self, addr: VirtAddr) -> &Half {
        // spec: arm-half
        if addr.bits(55, 1) == 0 { &self.derived.lower } else { &self.derived.upper }
    }

    /// Returns true if hardware sets the access flag (HA).
    #[inline]
    fn sets_access_flag(&self) -> bool {
        self.tcr.bit(39)
    }

    #[inline]
    fn is_too_wide(&self, addr: PhysAddr) -> bool {
        // spec: arm-address-size
        addr.raw() & self.derived.too_wide != 0
    }

    /// Returns true if hardware is to clear AP\[2\] at the first write: it manages dirty state (HD, which needs HA),
    /// and DBM says so.
    #[inline]
    fn is_clean(&self, descriptor: Descriptor) -> bool {
        // spec: arm-dirty
        self.derived.clean.is_some_and(|clean| descriptor.contains(clean))
    }

    /// A table descriptor: its rights hold for all below, unless TCR_EL1.HPDn says that they do not count.
    #[inline]
    fn table(
        &self,
        descriptor: Descriptor,
        half: &Half,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let table =
            PhysAddr::new(descriptor.bits() & bit_range(47, half.granule.page_bits().into()));
        if self.is_too_wide(table) {
            return Entry::Invalid(Cause::AddressSize);
        }
        // spec: arm-hierarchy
        let permissions = inherited | of_table(descriptor & half.hierarchy);
        Entry::Table { table, permissions }
    }

    /// A block or page descriptor. With dirty state managed by hardware, DBM makes AP\[2\] count as clear.
    #[inline]
    fn leaf(
        &self,
        descriptor: Descriptor,
        level: u8,
        addr: VirtAddr,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let half = self.half_of(addr);
        let page_bits = half.shape.page_bits(level);
        let frame = PhysAddr::new(descriptor.bits() & bit_range(47, page_bits.into()));
        if self.is_too_wide(frame) {
            return Entry::Invalid(Cause::AddressSize);
        }
        let clean = self.is_clean(descriptor);
        let own = if clean { descriptor - Descriptor::READ_ONLY } else { descriptor };
        let contiguous = descriptor.contains(Descriptor::CONTIGUOUS);
        let run = if contiguous { half.contiguous_bits(level) } else { 0 };
        let (frame, bits) = run_of(frame, page_bits, run, addr);
        #[expect(clippy::cast_possible_truncation, reason = "three bits are left")]
        let attributes = Attributes(((descriptor & Descriptor::ATTR_INDEX).bits() >> 2) as u8);
        Entry::Leaf(Mapping {
            frame,
            bits,
            permissions: inherited | of_leaf(own),
            dirty: !clean,
            global: !descriptor.contains(Descriptor::NG),
            attributes,
        })
    }
}

/// The hierarchical attributes 62:59 of a table descriptor.
#[inline]
fn of_table(descriptor: Descriptor) -> Permissions {
    Permissions::from_bits_truncate((descriptor.bits() >> 59 & 0xf) as u8)
}

/// UXN and PXN, bits 54:53 of a leaf, and AP, bits 7:6, of which AP\[1\] allows instead of withholding.
#[inline]
fn of_leaf(descriptor: Descriptor) -> Permissions {
    // spec: arm-xn, arm-ap
    let never = descriptor.bits() >> 53 & 0b11;
    let ap = (descriptor.bits() >> 6 & 0b11) ^ 0b01;
    #[expect(clippy::cast_possible_truncation, reason = "four bits are left")]
    Permissions::from_bits_truncate((never | ap << 2) as u8)
}

/// The whole run that a contiguous descriptor is of, if it lies in it where the address does; the block
/// alone if the run is misprogrammed, which the architecture leaves open.
#[inline]
fn run_of(frame: PhysAddr, page_bits: u8, run: u8, addr: VirtAddr) -> (PhysAddr, u8) {
    // spec: arm-contiguous
    let (low, count) = (u32::from(page_bits), u32::from(run));
    if frame.bits(low, count) == addr.bits(low, count) {
        (frame.align_down(low + count), page_bits + run)
    } else {
        (frame, page_bits)
    }
}

impl Format for AArch64 {
    type Permissions = Permissions;

    const REGISTERS: &'static [RegisterInfo] = registers::ALL;

    fn anatomy(&self) -> Anatomy {
        anatomy::STAGE_1
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.read(id)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        self.write(id, value)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        let half = self.half_of(access.addr);
        if self.sctlr & SCTLR_M == 0 {
            let physical =
                |addr| Route::Identity { access: access.at(addr, access.size), bits: 48 };
            return half.physical(access.addr).map(physical);
        }
        match &half.tables {
            Some(tables) if tables.extent.has(access.addr) => {
                let access = access.at(half.untagged(access.addr), access.size);
                Ok(Route::Tables { access, asid: self.derived.asid })
            }
            _ => Err(Cause::NonCanonical),
        }
    }

    #[inline]
    fn root(&self, access: Access) -> Result<Root<Permissions>, Cause> {
        let half = self.half_of(access.addr);
        let tables = half.tables.as_ref().ok_or(Cause::NonCanonical)?;
        Ok(Root {
            table: tables.first?,
            level: tables.top_level,
            permissions: Permissions::empty(),
        })
    }

    #[inline]
    fn shape(&self, access: Access) -> &Shape {
        &self.half_of(access.addr).shape
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        access: Access,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let descriptor = Descriptor::from_bits_retain(raw);
        let addr = access.addr;
        let half = self.half_of(addr);
        // spec: arm-invalid
        if !descriptor.contains(Descriptor::VALID) {
            return Entry::Invalid(Cause::Absent);
        }
        // spec: arm-block
        match (level, descriptor.contains(Descriptor::TABLE)) {
            (0, true) => self.leaf(descriptor, level, addr, inherited),
            (_, true) => self.table(descriptor, half, inherited),
            (1.., false) if half.granule.has_blocks(level) => {
                self.leaf(descriptor, level, addr, inherited)
            }
            _ => Entry::Invalid(Cause::Reserved),
        }
    }

    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        if self.may(permissions, access) { Ok(()) } else { Err(Cause::Permission) }
    }

    /// The access flag comes before permissions (`AArch64.S1Translate`: "Access flag fault has higher priority");
    /// with hardware updates it is set once the access is known to be permitted.
    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        let mut descriptor = Descriptor::from_bits_retain(raw);
        // spec: arm-af
        if !descriptor.contains(Descriptor::AF) && !self.sets_access_flag() {
            return Err(Cause::AccessFlag);
        }
        self.permits(mapping.permissions, access)?;
        // spec: arm-af-hardware, arm-dirty
        descriptor |= Descriptor::AF;
        if access.kind.writes() && self.is_clean(descriptor) {
            descriptor -= Descriptor::READ_ONLY;
        }
        Ok(descriptor.bits())
    }

    /// TLBI takes VA\[55:12\], and the entries of a half are those of its sign-extended addresses.
    #[inline]
    fn untagged(&self, addr: VirtAddr) -> VirtAddr {
        // spec: arm-tbi
        VirtAddr::new((addr.raw() << 8).cast_signed().wrapping_shr(8).cast_unsigned())
    }
}
