//! AArch64: stage 1 of the EL1&0 translation regime with 4, 16 and 64 KiB granules (Arm ARM, DDI 0487, chapter D8
//! "The AArch64 Virtual Memory System Architecture", VMSAv8-64, 48-bit addresses).
//!
//! ```text
//! table        63 NSTable | 62..61 APTable | 60 UXNTable | 59 PXNTable |  next table 47:g  | 1 1
//! block, page  54 UXN | 53 PXN | 52 Contiguous | 51 DBM | output address 47:n | 11 nG | 10 AF | 9..8 SH
//!              7..6 AP[2:1] | 5 NS | 4..2 AttrIndx | 0 1 (block) or 1 1 (page, level 3)
//! ```
//! Arm numbers levels from the root down to 3; here level 0 is the last, so Arm's level is 3 − level.

mod exception;
mod registers;
mod rights;

pub use exception::{AArch64Exception, FaultStatus};
pub use registers::{MAIR_EL1, PAN, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1};

use super::{Entry, Format, Mapping, ReadWord, Root, Route, Shape};
use bitflags::bitflags;
use emmu_core::{
    Access, Asid, Attributes, Cause, Invalidate, PhysAddr, RegisterError, RegisterId, RegisterInfo,
    VirtAddr, Width, bit_range, low_mask,
};

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
    }
}

bitflags! {
    /// What the descriptors on the way leave of the rights.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Permissions: u8 {
        /// Accessible at EL0.
        const EL0 = 1 << 0;
        /// Writable: AP\[2\] is clear, or hardware may clear it.
        const WRITE = 1 << 1;
        /// Not executable at EL0.
        const UXN = 1 << 2;
        /// Not executable at EL1.
        const PXN = 1 << 3;
    }
}

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granule {
    K4,
    K16,
    K64,
}

impl Granule {
    const fn page_bits(self) -> u8 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// A table fills one granule with 8-byte descriptors.
    const fn stride(self) -> u8 {
        self.page_bits() - 3
    }

    /// The largest TxSZ, with FEAT_TTST.
    const fn max_txsz(self) -> u8 {
        match self {
            Self::K4 | Self::K16 => 48,
            Self::K64 => 47,
        }
    }

    /// Whether a block may stand at this level (D8.3.1, "Table descriptors, Block descriptors").
    const fn has_blocks(self, level: u8) -> bool {
        match self {
            Self::K4 => matches!(level, 1 | 2),
            Self::K16 | Self::K64 => level == 1,
        }
    }

    /// Log2 of the descriptors that a contiguous run has (D8.7.1, "The Contiguous bit").
    const fn contiguous_bits(self, level: u8) -> u8 {
        match (self, level) {
            (Self::K4, _) => 4,
            (Self::K16, 0) => 7,
            (Self::K16 | Self::K64, _) => 5,
        }
    }
}

/// One half of the address space: what TCR_EL1 and a TTBR say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    ttbr: u64,
    granule: Granule,
    txsz: u8,
    walk_disabled: bool,
    ignores_top_byte: bool,
    no_hierarchy: bool,
}

impl Half {
    /// Whether bits from the top (below a tag) down to the size of the half all equal bit 55.
    #[inline]
    fn has(&self, addr: VirtAddr) -> bool {
        let top = if self.ignores_top_byte { 55 } else { 63 };
        let outside = bit_range(top, 64 - u32::from(self.txsz));
        let upper = addr.bits(55, 1) == 1;
        addr.raw() & outside == if upper { outside } else { 0 }
    }

    /// The address without its tag: what caches go by.
    #[inline]
    fn untagged(&self, addr: VirtAddr) -> VirtAddr {
        let tag = bit_range(63, 56);
        match (self.ignores_top_byte, addr.bits(55, 1)) {
            (false, _) => addr,
            (true, 0) => VirtAddr::new(addr.raw() & !tag),
            (true, _) => VirtAddr::new(addr.raw() | tag),
        }
    }

    /// The address with the MMU off: without its tag it must fit the 48 bits that are implemented
    /// (`AArch64.S1DisabledOutput`).
    fn physical(&self, addr: VirtAddr) -> Result<PhysAddr, Cause> {
        let addr = if self.ignores_top_byte { addr.offset(56) } else { addr.raw() };
        if addr >> 48 == 0 { Ok(PhysAddr::new(addr)) } else { Err(Cause::AddressSize) }
    }

    fn levels(&self) -> u8 {
        (64 - self.txsz - self.granule.page_bits()).div_ceil(self.granule.stride())
    }

    fn shape(&self) -> Shape {
        let levels = self.levels();
        Shape::uniform(Width::B8, self.granule.page_bits(), self.granule.stride(), levels)
            .with_end(levels, 64 - self.txsz)
    }

    /// TTBRn_EL1.BADDR, aligned to the size of the first table.
    fn table(&self, shape: &Shape) -> PhysAddr {
        let top = self.levels() - 1;
        let index_bits = shape.table_bits(top) - shape.page_bits(top);
        PhysAddr::new(self.ttbr & bit_range(47, 0)).align_down(u32::from(index_bits) + 3)
    }
}

/// The translation registers of a processing element at EL1.
///
/// Has 48-bit addresses, 16-bit ASIDs, FEAT_HAFDBS, FEAT_PAN, FEAT_HPDS and FEAT_TTST; no FEAT_LPA2,
/// FEAT_LVA, FEAT_E0PD or FEAT_PAN3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AArch64 {
    ttbr0: u64,
    ttbr1: u64,
    tcr: u64,
    sctlr: u64,
    mair: u64,
    pan: bool,
}

impl AArch64 {
    /// A processing element out of reset: the MMU is off.
    #[must_use]
    pub const fn new() -> Self {
        Self { ttbr0: 0, ttbr1: 0, tcr: 0, sctlr: 0, mair: 0, pan: false }
    }

    #[inline]
    fn half_of(&self, addr: VirtAddr) -> Half {
        if addr.bits(55, 1) == 0 { self.lower_half() } else { self.upper_half() }
    }

    fn lower_half(&self) -> Half {
        Half {
            ttbr: self.ttbr0,
            granule: match self.tcr_field(15, 14) {
                0b01 => Granule::K64,
                0b10 => Granule::K16,
                _ => Granule::K4,
            },
            txsz: self.tcr_field(5, 0),
            walk_disabled: self.tcr_bit(7),
            ignores_top_byte: self.tcr_bit(37),
            no_hierarchy: self.tcr_bit(41),
        }
    }

    fn upper_half(&self) -> Half {
        Half {
            ttbr: self.ttbr1,
            granule: match self.tcr_field(31, 30) {
                0b01 => Granule::K16,
                0b11 => Granule::K64,
                _ => Granule::K4,
            },
            txsz: self.tcr_field(21, 16),
            walk_disabled: self.tcr_bit(23),
            ignores_top_byte: self.tcr_bit(38),
            no_hierarchy: self.tcr_bit(42),
        }
    }

    /// TCR_EL1.A1 says which TTBR holds the ASID, and AS how wide it is.
    fn asid(&self) -> Asid {
        let ttbr = if self.tcr_bit(22) { self.ttbr1 } else { self.ttbr0 };
        let asid = (ttbr >> 48) as u16;
        Asid(if self.tcr_bit(36) { asid } else { asid & 0xff })
    }

    /// Log2 of the physical address space: TCR_EL1.IPS, at most the 48 bits that are implemented.
    #[inline]
    fn output_bits(&self) -> u32 {
        match self.tcr_field(34, 32) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            _ => 48,
        }
    }

    /// Whether hardware sets the access flag (HA), and manages dirty state (HD, which needs HA).
    #[inline]
    fn sets_access_flag(&self) -> bool {
        self.tcr_bit(39)
    }

    #[inline]
    fn manages_dirty_state(&self) -> bool {
        self.sets_access_flag() && self.tcr_bit(40)
    }

    #[inline]
    fn tcr_bit(&self, bit: u32) -> bool {
        self.tcr >> bit & 1 != 0
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "no field has more than six bits")]
    fn tcr_field(&self, high: u32, low: u32) -> u8 {
        (self.tcr >> low & low_mask(high - low + 1)) as u8
    }

    fn is_too_wide(&self, addr: PhysAddr) -> bool {
        addr.block(self.output_bits()) != 0
    }

    /// A table descriptor: its rights hold for all below, unless TCR_EL1.HPDn says that they do not count.
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
        let counted = if half.no_hierarchy { Descriptor::empty() } else { descriptor };
        let mut permissions = inherited;
        permissions.remove(if counted.contains(Descriptor::NO_EL0_TABLE) {
            Permissions::EL0
        } else {
            Permissions::empty()
        });
        if counted.contains(Descriptor::READ_ONLY_TABLE) {
            permissions -= Permissions::WRITE;
        }
        if counted.contains(Descriptor::UXN_TABLE) {
            permissions |= Permissions::UXN;
        }
        if counted.contains(Descriptor::PXN_TABLE) {
            permissions |= Permissions::PXN;
        }
        Entry::Table { table, permissions }
    }

    /// A block or page descriptor. With dirty state managed by hardware, DBM makes AP\[2\] count as clear.
    fn leaf(
        &self,
        descriptor: Descriptor,
        level: u8,
        root: &Root<Permissions>,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let half = self.half_of(root.access.addr);
        let page_bits = root.shape.page_bits(level);
        let frame = PhysAddr::new(descriptor.bits() & bit_range(47, page_bits.into()));
        if self.is_too_wide(frame) {
            return Entry::Invalid(Cause::AddressSize);
        }
        let clean = self.is_clean(descriptor);
        let mut permissions = inherited;
        if !descriptor.contains(Descriptor::EL0) {
            permissions -= Permissions::EL0;
        }
        if descriptor.contains(Descriptor::READ_ONLY) && !clean {
            permissions -= Permissions::WRITE;
        }
        permissions.set(
            Permissions::UXN,
            inherited.contains(Permissions::UXN) || descriptor.contains(Descriptor::UXN),
        );
        permissions.set(
            Permissions::PXN,
            inherited.contains(Permissions::PXN) || descriptor.contains(Descriptor::PXN),
        );
        let contiguous = descriptor.contains(Descriptor::CONTIGUOUS);
        let run = if contiguous { half.granule.contiguous_bits(level) } else { 0 };
        let (frame, bits) = run_of(frame, page_bits, run, root.access.addr);
        #[expect(clippy::cast_possible_truncation, reason = "three bits are left")]
        let attributes = Attributes(((descriptor & Descriptor::ATTR_INDEX).bits() >> 2) as u8);
        let global = !descriptor.contains(Descriptor::NG);
        Entry::Leaf(Mapping { frame, bits, permissions, dirty: !clean, global, attributes })
    }

    /// Whether hardware is to clear AP\[2\] at the first write.
    #[inline]
    fn is_clean(&self, descriptor: Descriptor) -> bool {
        self.manages_dirty_state() && descriptor.contains(Descriptor::DBM | Descriptor::READ_ONLY)
    }
}

/// The whole run that a contiguous descriptor is of, if it lies in it where the address does; the block
/// alone if the run is misprogrammed, which the architecture leaves open.
fn run_of(frame: PhysAddr, page_bits: u8, run: u8, addr: VirtAddr) -> (PhysAddr, u8) {
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
    fn route(&self, access: Access) -> Result<Route<Permissions>, Cause> {
        let half = self.half_of(access.addr);
        if self.sctlr & registers::SCTLR_M == 0 {
            return half.physical(access.addr).map(|addr| Route::Identity { addr, bits: 48 });
        }
        if half.txsz < 16 || half.txsz > half.granule.max_txsz() || !half.has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        if half.walk_disabled {
            return Err(Cause::WalkDisabled);
        }
        let shape = half.shape();
        let table = half.table(&shape);
        if self.is_too_wide(table) {
            return Err(Cause::AddressSize);
        }
        Ok(Route::Walk(Root {
            table,
            level: half.levels() - 1,
            shape,
            asid: self.asid(),
            permissions: Permissions::EL0 | Permissions::WRITE,
            access: access.at(half.untagged(access.addr), access.size),
        }))
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        root: &Root<Permissions>,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        let descriptor = Descriptor::from_bits_retain(raw);
        let half = self.half_of(root.access.addr);
        if !descriptor.contains(Descriptor::VALID) {
            return Entry::Invalid(Cause::Absent);
        }
        match (level, descriptor.contains(Descriptor::TABLE)) {
            (0, true) => self.leaf(descriptor, level, root, inherited),
            (_, true) => self.table(descriptor, &half, inherited),
            (1.., false) if half.granule.has_blocks(level) => {
                self.leaf(descriptor, level, root, inherited)
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
        if !descriptor.contains(Descriptor::AF) && !self.sets_access_flag() {
            return Err(Cause::AccessFlag);
        }
        self.permits(mapping.permissions, access)?;
        descriptor |= Descriptor::AF;
        if access.kind.writes() && self.is_clean(descriptor) {
            descriptor -= Descriptor::READ_ONLY;
        }
        Ok(descriptor.bits())
    }
}
