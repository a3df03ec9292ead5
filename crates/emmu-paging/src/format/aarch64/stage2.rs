//! Stage 2 of the EL1&0 translation regime (Arm ARM, DDI 0487, chapter D8, stage 2 translations; pseudocode
//! `AArch64.S2Translate`).
//!
//! ```text
//! block, page  54..53 XN | 52 Contiguous | 51 DBM | output address 47:n | 10 AF | 9..8 SH | 7..6 S2AP
//!              5..2 MemAttr | 0 1 (block) or 1 1 (page, level 3)
//! VTCR_EL2     22 HD | 21 HA | 18..16 PS | 15..14 TG0 | 7..6 SL0 | 5..0 T0SZ
//! VTTBR_EL2    63..48 VMID | 47..1 first table
//! ```
//! XN: 00 nobody is kept from executing, 01 EL1 is, 10 both are, 11 EL0 is (FEAT_XNX).

use super::{
    AArch64, Descriptor, anatomy,
    half::{Granule, Tcr, first_table},
    registers::system_el2,
    run_of,
};
use crate::{
    ConfigError, Paging, PagingConfig, SecondStageFormat,
    format::{Entry, Format, Mapping, ReadWord, Root, Route, Shape},
};
use bitflags::bitflags;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege, RegisterError,
    RegisterId, RegisterInfo, Vmid, Width, anatomy::Anatomy, bit_range, low_mask,
};

/// HCR_EL2: of it VM, which switches stage 2 on, is kept.
pub const HCR_EL2: RegisterId = system_el2(1, 1, 0);
/// VTTBR_EL2: the first table, and the VMID.
pub const VTTBR_EL2: RegisterId = system_el2(2, 1, 0);
/// VTCR_EL2: size, granule, first level and options.
pub const VTCR_EL2: RegisterId = system_el2(2, 1, 2);

const HCR_VM: u64 = 1 << 0;
/// Bits of HCR_EL2 that change the translation of EL1 and EL0.
const HCR_NOT_MODELLED: [(u32, &str); 4] = [
    (2, "HCR_EL2.PTW (protected table walks)"),
    (12, "HCR_EL2.DC (default cacheability)"),
    (27, "HCR_EL2.TGE (exceptions of EL0 to EL2)"),
    (34, "HCR_EL2.E2H (the host at EL2)"),
];

bitflags! {
    /// The rights that a descriptor gives.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct S2Permissions: u8 {
        /// S2AP\[0\]: readable.
        const R = 1 << 0;
        /// S2AP\[1\], or DBM where hardware manages dirty state: writable.
        const W = 1 << 1;
        /// Executable at EL0.
        const X_EL0 = 1 << 2;
        /// Executable at EL1.
        const X_EL1 = 1 << 3;
    }
}

impl S2Permissions {
    const EXECUTABLE: Self = Self::X_EL0.union(Self::X_EL1);

    fn of(descriptor: Descriptor, writable: bool) -> Self {
        // spec: arm-s2ap, arm-s2xn
        let executable = match descriptor.bits() >> 53 & 0b11 {
            0b00 => Self::EXECUTABLE,
            0b01 => Self::X_EL0,
            0b11 => Self::X_EL1,
            _ => Self::empty(),
        };
        let mut permissions = executable;
        permissions.set(Self::R, descriptor.contains(Descriptor::EL0));
        permissions.set(Self::W, writable);
        permissions
    }
}

/// Stage 2 of a processing element at EL1 or EL0. Has 48-bit addresses, 16-bit VMIDs, FEAT_XNX, FEAT_HAFDBS and
/// FEAT_TTST; no FEAT_LPA2 or FEAT_S2PIE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        try_from = "super::snapshot::Stage2Registers",
        into = "super::snapshot::Stage2Registers"
    )
)]
pub struct Stage2 {
    pub(super) hcr: u64,
    pub(super) vttbr: u64,
    pub(super) vtcr: Tcr,
    derived: Derived,
}

/// The facts that the registers decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Derived {
    granule: Granule,
    shape: Shape,
    top_level: u8,
    /// Log2 of the intermediate physical address space, if the registers agree with one another.
    input_bits: Option<u8>,
    /// The first table, or why it is not read.
    first: Result<PhysAddr, Cause>,
    too_wide: u64,
    /// Hardware sets the access flag.
    sets_access_flag: bool,
    /// Hardware manages dirty state.
    sets_dirty: bool,
}

impl Derived {
    const fn of(vtcr: Tcr, vttbr: u64) -> Self {
        let granule = vtcr.lower_granule();
        let input_bits = 64 - vtcr.field(5, 0);
        let levels = first_level(granule, vtcr.field(7, 6));
        let is_sound = levels != 0 && agrees(granule, levels, input_bits);
        let levels = if is_sound { levels } else { 1 };
        let shape = Shape::uniform(Width::B8, granule.page_bits(), granule.stride(), levels);
        let shape = if is_sound { shape.with_end(levels, input_bits) } else { shape };
        let output_bits = vtcr.physical_bits(18, 16);
        let table = first_table(vttbr, &shape, levels - 1);
        Self {
            granule,
            shape,
            top_level: levels - 1,
            input_bits: if is_sound { Some(input_bits) } else { None },
            first: if table.block(output_bits) != 0 { Err(Cause::AddressSize) } else { Ok(table) },
            too_wide: !low_mask(output_bits),
            sets_access_flag: vtcr.bit(21),
            sets_dirty: vtcr.bit(21) && vtcr.bit(22),
        }
    }
}

/// The levels of tables that SL0 asks for (`AArch64.S2StartLevel`); 0 for a reserved value.
const fn first_level(granule: Granule, sl0: u8) -> u8 {
    // spec: arm-s2-start
    match (granule, sl0) {
        (Granule::K4, 0) => 2,
        (Granule::K4, 1) => 3,
        (Granule::K4, 2) => 4,
        (Granule::K4, _) => 1,
        (Granule::K16 | Granule::K64, 0) => 1,
        (Granule::K16 | Granule::K64, 1) => 2,
        (Granule::K16 | Granule::K64, 2) => 3,
        (Granule::K16 | Granule::K64, _) => 0,
    }
}

/// Returns true if T0SZ is in range and suits the first level, of which up to 16 tables may be concatenated
/// (`AArch64.S2InvalidTxSZ`, `AArch64.S2InconsistentSL`).
const fn agrees(granule: Granule, levels: u8, input_bits: u8) -> bool {
    // spec: arm-s2-start
    let below = granule.page_bits() + (levels - 1) * granule.stride();
    let fits = below < input_bits && input_bits <= below + granule.stride() + 4;
    fits && 64 - granule.max_txsz() <= input_bits && input_bits <= 48
}

/// A processing element with both stages.
pub type AArch64Guest = Paging<AArch64, Paging<Stage2>>;

const fn register(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

const REGISTERS: &[RegisterInfo] = &[
    register(HCR_EL2, "hcr_el2", "VM"),
    register(VTTBR_EL2, "vttbr_el2", "first table of stage 2, VMID"),
    register(VTCR_EL2, "vtcr_el2", "size, granule, first level and options of stage 2"),
];

impl AArch64 {
    /// The processing element with stage 2 behind: `config` says what holds translations of both stages, `second`
    /// what holds translations of intermediate physical addresses.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn guest(
        self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<AArch64Guest, ConfigError> {
        Paging::two_stage(self, config, Paging::new(Stage2::new(), second)?)
    }
}

impl Default for Stage2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage2 {
    /// Stage 2 switched off.
    #[must_use]
    pub const fn new() -> Self {
        Self { hcr: 0, vttbr: 0, vtcr: Tcr(0), derived: Derived::of(Tcr(0), 0) }
    }

    const fn vmid(&self) -> u16 {
        self.vmid_of((self.vttbr >> 48) as u16)
    }

    /// Of a VMID what counts: without VTCR_EL2.VS the low eight bits.
    const fn vmid_of(&self, vmid: u16) -> u16 {
        if self.vtcr.bit(19) { vmid } else { vmid & 0xff }
    }

    fn is_clean(&self, descriptor: Descriptor) -> bool {
        // spec: arm-s2-dirty
        self.derived.sets_dirty
            && descriptor.contains(Descriptor::DBM)
            && !descriptor.contains(S2_WRITABLE)
    }

    fn block(&self, descriptor: Descriptor, level: u8, access: Access) -> Entry<S2Permissions> {
        let Derived { granule, shape, too_wide, input_bits, .. } = &self.derived;
        let page_bits = shape.page_bits(level);
        let frame = PhysAddr::new(descriptor.bits() & bit_range(47, page_bits.into()));
        if frame.raw() & too_wide != 0 {
            return Entry::Invalid(Cause::AddressSize);
        }
        let run = granule.contiguous_bits(level);
        let fits = page_bits + run <= input_bits.unwrap_or(0);
        let is_run = descriptor.contains(Descriptor::CONTIGUOUS) && fits;
        let (frame, bits) = run_of(frame, page_bits, if is_run { run } else { 0 }, access.addr);
        let clean = self.is_clean(descriptor);
        let writable = clean || descriptor.contains(S2_WRITABLE);
        Entry::Leaf(Mapping {
            frame,
            bits,
            permissions: S2Permissions::of(descriptor, writable),
            dirty: !clean,
            global: false,
            attributes: Attributes((descriptor.bits() >> 2 & 0xf) as u8),
        })
    }
}

/// S2AP\[1\], where stage 1 has AP\[2\] with the opposite sense.
pub(super) const S2_WRITABLE: Descriptor = Descriptor::READ_ONLY;

impl Format for Stage2 {
    type Permissions = S2Permissions;

    const REGISTERS: &'static [RegisterInfo] = REGISTERS;

    fn anatomy(&self) -> Anatomy {
        anatomy::STAGE_2
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            HCR_EL2 => Ok(self.hcr),
            VTTBR_EL2 => Ok(self.vttbr),
            VTCR_EL2 => Ok(self.vtcr.0),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    /// No write invalidates anything: that is TLBI's alone.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            HCR_EL2 => {
                for (bit, what) in HCR_NOT_MODELLED {
                    if value >> bit & 1 == 1 {
                        return Err(RegisterError::NotModelled { name: "hcr_el2", value, what });
                    }
                }
                self.hcr = value;
            }
            VTTBR_EL2 => self.vttbr = value,
            VTCR_EL2 if value >> 32 & 1 == 1 => {
                let what = "VTCR_EL2.DS (FEAT_LPA2, 52-bit addresses)";
                return Err(RegisterError::NotModelled { name: "vtcr_el2", value, what });
            }
            VTCR_EL2 => self.vtcr = Tcr(value),
            _ => return Err(RegisterError::Unknown { id }),
        }
        self.derived = Derived::of(self.vtcr, self.vttbr);
        Ok(None)
    }

    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        // spec: arm-s2-range
        if self.hcr & HCR_VM == 0 {
            return Ok(Route::Identity { access, bits: 48 });
        }
        match self.derived.input_bits {
            Some(bits) if access.addr.block(bits.into()) == 0 => {
                Ok(Route::Tables { access, asid: Asid(self.vmid()) })
            }
            _ => Err(Cause::NonCanonical),
        }
    }

    #[inline]
    fn root(&self, _: Access) -> Result<Root<S2Permissions>, Cause> {
        Ok(Root {
            table: self.derived.first?,
            level: self.derived.top_level,
            permissions: S2Permissions::all(),
        })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &self.derived.shape
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        access: Access,
        inherited: S2Permissions,
    ) -> Entry<S2Permissions> {
        let descriptor = Descriptor::from_bits_retain(raw);
        let granule = self.derived.granule;
        if !descriptor.contains(Descriptor::VALID) {
            return Entry::Invalid(Cause::Absent);
        }
        // spec: arm-block
        match (level, descriptor.contains(Descriptor::TABLE)) {
            (0, true) => self.block(descriptor, level, access),
            (_, true) => {
                let table = PhysAddr::new(raw & bit_range(47, granule.page_bits().into()));
                match table.raw() & self.derived.too_wide {
                    0 => Entry::Table { table, permissions: inherited },
                    _ => Entry::Invalid(Cause::AddressSize),
                }
            }
            (1.., false) if granule.has_blocks(level) => self.block(descriptor, level, access),
            _ => Entry::Invalid(Cause::Reserved),
        }
    }

    #[inline]
    fn permits(&self, permissions: S2Permissions, access: Access) -> Result<(), Cause> {
        // spec: arm-s2ap, arm-s2xn
        let needed = match (access.kind, access.privilege) {
            (AccessKind::Fetch, Privilege::User) => S2Permissions::X_EL0,
            (AccessKind::Fetch, _) => S2Permissions::X_EL1,
            (AccessKind::Load, _) => S2Permissions::R,
            (AccessKind::Store, _) => S2Permissions::W,
            (AccessKind::Amo, _) => S2Permissions::R | S2Permissions::W,
        };
        if permissions.contains(needed) { Ok(()) } else { Err(Cause::Permission) }
    }

    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<S2Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        let mut descriptor = Descriptor::from_bits_retain(raw);
        // spec: arm-af
        if !descriptor.contains(Descriptor::AF) && !self.derived.sets_access_flag {
            return Err(Cause::AccessFlag);
        }
        self.permits(mapping.permissions, access)?;
        // spec: arm-af-hardware, arm-s2-dirty
        descriptor |= Descriptor::AF;
        if access.kind.writes() && self.is_clean(descriptor) {
            descriptor |= S2_WRITABLE;
        }
        Ok(descriptor.bits())
    }
}

impl SecondStageFormat for Stage2 {
    #[inline]
    fn context(&self, _: Access) -> u32 {
        u32::from(self.vmid()) + 1
    }

    fn is_present(&self, context: u32) -> bool {
        context == u32::from(self.vmid()) + 1
    }

    fn is_of(&self, context: u32, Vmid(vmid): Vmid) -> bool {
        context == u32::from(self.vmid_of(vmid)) + 1
    }

    fn space_of(&self, tables: u64) -> Option<Asid> {
        Some(Asid(self.vmid_of(u16::try_from(tables).ok()?)))
    }

    /// An update of stage 1's descriptor reads it, too (`CreateAccDescTTEUpdate`).
    #[inline]
    fn walk_kind(&self, kind: AccessKind) -> AccessKind {
        if kind.writes() { AccessKind::Amo } else { kind }
    }

    fn rights(&self, permissions: S2Permissions) -> u8 {
        let read_write = permissions & (S2Permissions::R | S2Permissions::W);
        read_write.bits() | u8::from(permissions.intersects(S2Permissions::EXECUTABLE)) << 2
    }
}
