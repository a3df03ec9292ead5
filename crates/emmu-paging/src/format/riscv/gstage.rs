//! The second ("G") stage of RISC-V guests: Sv32x4, Sv39x4, Sv48x4 and Sv57x4 (RISC-V Privileged, chapter "H"
//! Extension for Hypervisor Support, "Guest Physical Address Translation").
//!
//! ```text
//! hgatp, RV64   63..60 MODE | 57..44 VMID | 43..0 PPN, a multiple of 4
//! hgatp, RV32   31 MODE     | 28..22 VMID | 21..0 PPN, a multiple of 4
//! ```
//! Entries are those of the other stages. The root table is four times as large, for two more address bits.

use super::{Derived, Mode, Permissions, RiscV, anatomy, hypervisor::is_shared};
use crate::{
    SecondStageFormat,
    format::{Entry, Extent, Format, Mapping, ReadWord, Root, Route, Shape},
};
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, anatomy::Anatomy, bit_range, low_mask,
};

/// `hgatp`: root, VMID and mode of the second stage.
pub const HGATP: RegisterId = RegisterId(0x680);

/// The second stage of a hart. What it shares with the hart (mstatus.MXR, menvcfg, PMP) it has as well, and
/// [`Paging`](crate::Paging) writes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "super::snapshot::Guests", into = "super::snapshot::Guests")
)]
pub struct GStage {
    /// With what hgatp comes to in place of satp.
    pub(super) hart: RiscV,
    pub(super) hgatp: u64,
}

const REGISTERS: &[RegisterInfo] = &[RegisterInfo {
    id: HGATP,
    name: "hgatp",
    privilege: Privilege::Supervisor,
    about: "root table, VMID and mode of the second stage",
}];

impl GStage {
    /// The second stage of this hart, off.
    #[must_use]
    pub(super) fn of(hart: RiscV) -> Self {
        let mut stage = Self { hart, hgatp: 0 };
        stage.derive();
        stage
    }

    /// A write of an unsupported mode is not ignored as satp's is: here MODE stays, and the other fields are written.
    fn write_hgatp(&mut self, value: u64) {
        // spec: riscv-h-hgatp
        let (fields, mode) = match self.hart.rv32 {
            true => (bit_range(28, 22) | bit_range(21, 2), 1 << 31),
            false => (bit_range(57, 44) | bit_range(43, 2), bit_range(63, 60)),
        };
        let mode = match self.hart.mode_of(value) {
            Some(_) => value & mode,
            None => self.hgatp & mode,
        };
        self.hgatp = mode | value & fields;
        self.derive();
    }

    pub(super) fn derive(&mut self) {
        let mode = self.hart.mode_of(self.hgatp).unwrap_or(Mode::Bare);
        let (bits, ppn) = match mode {
            Mode::Bare if self.hart.rv32 => (34, 0),
            Mode::Bare => (56, 0),
            Mode::Sv32 => (34, self.hgatp & low_mask(22)),
            Mode::Levels(levels) => (12 + 9 * levels + 2, self.hgatp & low_mask(44)),
        };
        self.hart.satp = self.hgatp;
        self.hart.derive();
        self.hart.derived = Derived {
            shape: mode.shape().with_end(mode.levels(), bits),
            extent: Extent::unsigned(bits.into()),
            table: PhysAddr::new(ppn << 12),
            asid: Asid(self.vmid()),
            ..self.hart.derived
        };
    }

    fn vmid(&self) -> u16 {
        let vmid = self.hgatp >> if self.hart.rv32 { 22 } else { 44 };
        u16::try_from(vmid & self.vmid_mask()).unwrap_or(0)
    }

    /// VMIDMAX ones.
    const fn vmid_mask(&self) -> u64 {
        low_mask(if self.hart.rv32 { 7 } else { 14 })
    }
}

impl Format for GStage {
    type Permissions = Permissions;

    /// "Supervisor Memory-Management Fence Instruction": after an invalid entry is made valid, a page fault may occur
    /// until `SFENCE.VMA` is executed.
    const MAY_CACHE_INVALID: bool = true;

    const REGISTERS: &'static [RegisterInfo] = REGISTERS;

    fn anatomy(&self) -> Anatomy {
        anatomy::G_STAGE
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            HGATP => Ok(self.hgatp),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            HGATP => self.write_hgatp(value),
            _ if is_shared(id) => {
                self.hart.write(id, value)?;
                self.derive();
            }
            _ => return Err(RegisterError::Unknown { id }),
        }
        Ok(None)
    }

    /// Only a guest's accesses are translated here. An address that is too wide for the mode is a guest-page fault,
    /// and one that is too wide for the bus, with mode Bare, an access fault.
    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        // spec: riscv-h-width
        if !access.flags.contains(AccessFlags::GUEST) {
            return Ok(Route::Identity { access, bits: 64 });
        }
        match (self.hart.derived.extent.has(access.addr), self.hart.is_bare()) {
            (true, true) => Ok(Route::Identity { access, bits: 56 }),
            (true, false) => Ok(Route::Tables { access, asid: self.hart.derived.asid }),
            (false, true) => Err(Cause::AddressSize),
            (false, false) => Err(Cause::NonCanonical),
        }
    }

    #[inline]
    fn root(&self, access: Access) -> Result<Root<Permissions>, Cause> {
        self.hart.root(access)
    }

    #[inline]
    fn shape(&self, access: Access) -> &Shape {
        self.hart.shape(access)
    }

    /// G is ignored.
    #[inline]
    fn decode(&self, raw: u64, level: u8, access: Access, _: Permissions) -> Entry<Permissions> {
        match self.hart.decode(raw, level, access, Permissions::empty()) {
            Entry::Leaf(mapping) => Entry::Leaf(Mapping { global: false, ..mapping }),
            entry => entry,
        }
    }

    /// Every access counts as one of user mode. MXR is for explicit accesses only: a guest's walk reads what is
    /// readable.
    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        // spec: riscv-h-user, riscv-h-mxr
        let is_walk = access.flags.contains(AccessFlags::IMPLICIT);
        if is_walk && access.kind.reads() && !permissions.contains(Permissions::R) {
            return Err(Cause::Permission);
        }
        self.hart.permits(permissions, access.with_privilege(Privilege::User))
    }

    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        self.hart.admit(raw, mapping, access.with_privilege(Privilege::User))
    }

    #[inline]
    fn grants(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        self.hart.grants(addr, len, kind, privilege)
    }
}

impl SecondStageFormat for GStage {
    /// "Conceptually, an implementation might contain two address-translation caches: one that maps guest virtual addresses
    /// to guest physical addresses, and another that maps guest physical addresses to supervisor physical addresses.
    /// HFENCE.GVMA need not flush the former cache" ("Hypervisor Memory-Management Fence Instructions").
    const WALK_CACHES_APART: bool = true;

    #[inline]
    fn context(&self, access: Access) -> u32 {
        match access.flags.contains(AccessFlags::GUEST) {
            true => u32::from(self.hart.derived.asid.0) + 1,
            false => 0,
        }
    }

    fn is_present(&self, context: u32) -> bool {
        context == 0
    }

    /// Bits above VMIDMAX are ignored ("Hypervisor Memory-Management Fence Instructions").
    fn space_of(&self, tables: u64) -> Option<Asid> {
        // spec: riscv-h-vmid
        u16::try_from(tables & self.vmid_mask()).ok().map(Asid)
    }

    fn rights(&self, permissions: Permissions) -> u8 {
        (permissions & (Permissions::R | Permissions::W | Permissions::X)).bits() >> 1
    }

    /// The memory type of the guest's entry counts unless it is that of the physical address ("Svpbmt").
    fn attributes(&self, first: Attributes, second: Attributes) -> Attributes {
        if first == Attributes::default() { second } else { first }
    }
}
