//! Extended page tables: the second stage of x86 virtual machines (Intel SDM Vol. 3C, "The Extended Page-Table
//! Mechanism (EPT)").
//!
//! ```text
//! EPTP          51..12 table | 7 shadow stacks | 6 accessed and dirty flags | 5..3 levels - 1 | 2..0 memory type
//! table         51..12 table | 11 ignored | 10 ignored | 8 A |                      7..3 zero | 2 X | 1 W | 0 R
//! page          51..n  page  | 11 ignored | 10 ignored | 9 D | 8 A | 7 page | 6 IPAT | 5..3 memory type | 2 X | 1 W | 0 R
//! ```

use super::{X86, anatomy, reason};
use crate::{
    ConfigError, Paging, PagingConfig, SecondStageFormat,
    format::{Entry, Extent, Format, Mapping, ReadWord, Root, Route, Shape},
};
use alloc::vec::Vec;
use bitflags::bitflags;
use core::ops::RangeInclusive;
use emmu_core::{
    Access, AccessKind, Asid, Attributes, Cause, Fault, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, VirtAddr, Vmid, Width, anatomy::Anatomy, bit_range,
    low_mask,
};

/// The EPT pointer. Its number is 2_0000 and the encoding of the VMCS field. 0, which is no EPT pointer, switches
/// EPT off, as the VM-execution control "enable EPT" does.
pub const EPTP: RegisterId = RegisterId(0x2_201a);
/// The virtual-processor identifier, numbered likewise; 0 where VPIDs are not enabled.
pub const VPID: RegisterId = RegisterId(0x2_0000);

bitflags! {
    /// The bits of an EPT paging-structure entry.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EptEntry: u64 {
        /// Reads are allowed.
        const R = 1 << 0;
        /// Writes are allowed.
        const W = 1 << 1;
        /// Fetches are allowed.
        const X = 1 << 2;
        /// The memory type of a page.
        const MEMORY_TYPE = bit_range(5, 3);
        /// The guest's PAT is ignored.
        const IGNORE_PAT = 1 << 6;
        /// Above level 0: a page, not a table.
        const PAGE = 1 << 7;
        /// Accessed.
        const A = 1 << 8;
        /// Dirty.
        const D = 1 << 9;
    }
}

bitflags! {
    /// The rights that all entries on the way leave.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EptRights: u8 {
        /// Readable.
        const R = 1 << 0;
        /// Writable.
        const W = 1 << 1;
        /// Executable.
        const X = 1 << 2;
    }
}

/// The second stage of a logical processor in VMX non-root operation.
///
/// Has execute-only translations, accessed and dirty flags, and pages of 2 MiB and 1 GiB; has no mode-based execute
/// control, sub-page permissions or supervisor shadow stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "super::snapshot::Pointers", into = "super::snapshot::Pointers")
)]
pub struct Ept {
    pub(super) max_phys_bits: u8,
    pub(super) eptp: u64,
    pub(super) vpid: u16,
    /// The first tables seen so far: what guest-physical mappings are tagged with ("EPTRTA") is a place in here.
    pub(super) roots: Vec<u64>,
    /// The place of the first table in force.
    root: u16,
    shape: Shape,
    extent: Extent,
}

/// A logical processor in VMX non-root operation, with EPT.
pub type X86Guest = Paging<X86, Paging<Ept>>;

const REGISTERS: &[RegisterInfo] = &[
    RegisterInfo {
        id: EPTP,
        name: "eptp",
        privilege: Privilege::Supervisor,
        about: "first EPT table, levels, accessed and dirty flags; 0 switches EPT off",
    },
    RegisterInfo {
        id: VPID,
        name: "vpid",
        privilege: Privilege::Supervisor,
        about: "virtual-processor identifier",
    },
];

impl X86 {
    /// The processor in VMX non-root operation: `config` says what holds translations of both stages, `second` what
    /// holds translations of guest-physical addresses.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn guest(
        self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<X86Guest, ConfigError> {
        Paging::two_stage(self, config, Paging::new(Ept::new(self.max_phys_bits), second)?)
    }
}

impl Ept {
    /// EPT switched off, with this MAXPHYADDR.
    #[must_use]
    pub const fn new(max_phys_bits: u8) -> Self {
        Self {
            max_phys_bits,
            eptp: 0,
            vpid: 0,
            roots: Vec::new(),
            root: 0,
            shape: Shape::uniform(Width::B8, 12, 9, 4),
            extent: Extent::unsigned(48),
        }
    }

    /// The VM exit that a fault of the second stage causes; `None` if it is not that stage's, and the guest takes an
    /// exception, or the bus refused.
    #[must_use]
    pub fn exit(fault: &Fault) -> Option<VmExit> {
        // spec: ept-violation, ept-misconfiguration
        let guest = fault.guest?;
        match fault.cause {
            Cause::Reserved | Cause::Misaligned => {
                Some(VmExit::EptMisconfiguration { guest_physical: guest.addr })
            }
            Cause::Bus(_) => None,
            _ => Some(VmExit::EptViolation {
                qualification: ExitQualification::of(guest.kind, guest.rights, guest.walk).bits(),
                guest_linear: fault.addr,
                guest_physical: guest.addr,
            }),
        }
    }

    /// Returns the VM exit of a fault that a write of a control register met when it loaded the PDPTEs
    /// ([`RegisterError::Fault`]): there is no linear address then, and the loads count as reads ("Accessed and Dirty
    /// Flags for EPT").
    #[must_use]
    pub fn exit_of_load(fault: &Fault) -> Option<VmExit> {
        // spec: ept-violation
        let beyond = ExitQualification::LINEAR_VALID | ExitQualification::TRANSLATED;
        Some(match Self::exit(fault)? {
            VmExit::EptViolation { qualification, guest_physical, .. } => VmExit::EptViolation {
                qualification: qualification & !beyond.bits(),
                guest_linear: VirtAddr::ZERO,
                guest_physical,
            },
            other => other,
        })
    }

    const fn is_on(&self) -> bool {
        self.eptp != 0
    }

    /// Returns true if accessed and dirty flags are in use.
    const fn has_flags(&self) -> bool {
        self.eptp >> 6 & 1 == 1
    }

    const fn levels(&self) -> u8 {
        (self.eptp >> 3 & 0b111) as u8 + 1
    }

    /// As VM entry checks it ("VM-Execution Control Fields").
    pub(super) fn write_eptp(&mut self, value: u64) -> Result<Option<Invalidate>, RegisterError> {
        // spec: ept-eptp
        let name = "eptp";
        let refuse = |what| Err(RegisterError::Reserved { name, value, what });
        if value == 0 {
            self.eptp = 0;
            self.root = 0;
            return Ok(None);
        }
        match (value & 0b111, value >> 3 & 0b111) {
            (0 | 6, 3 | 4) => {}
            (0 | 6, _) => return refuse(reason::LEVELS),
            _ => return refuse(reason::MEMORY_TYPE),
        }
        if value >> 7 & 1 == 1 {
            let what = "bit 7 (supervisor shadow-stack control)";
            return Err(RegisterError::NotModelled { name, value, what });
        }
        if value & (bit_range(11, 8) | !low_mask(self.max_phys_bits.into())) != 0 {
            return refuse(reason::EPTP_BITS);
        }
        self.eptp = value;
        let bits = 12 + 9 * self.levels();
        self.shape = Shape::uniform(Width::B8, 12, 9, self.levels());
        self.extent = Extent::unsigned(bits.into());
        Ok(self.enter(value))
    }

    /// Gives the first table its place, and invalidates all if there is none left.
    fn enter(&mut self, eptp: u64) -> Option<Invalidate> {
        if let Some(place) = self.place(eptp) {
            self.root = place;
            return None;
        }
        let is_full = self.roots.len() >= usize::from(u16::MAX - 1);
        if is_full {
            self.roots.clear();
        }
        self.roots.push(table_of(eptp));
        self.root = u16::try_from(self.roots.len()).unwrap_or(u16::MAX);
        let all = Invalidate::SecondStage { tables: None, addr: None, combined: true };
        is_full.then_some(all)
    }

    /// The place of this pointer's table, from 1; 0 is for EPT switched off.
    fn place(&self, eptp: u64) -> Option<u16> {
        if eptp == 0 {
            return Some(0);
        }
        let at = self.roots.iter().position(|&root| root == table_of(eptp))?;
        u16::try_from(at + 1).ok()
    }

    /// The number under which both stages' translations are known: place and VPID, and never 0.
    fn number(root: u16, vpid: u16) -> u32 {
        (u32::from(root) << 16 | u32::from(vpid)).saturating_add(1)
    }

    /// Bits of a present entry that must be zero, or the memory types that are none.
    fn is_misconfigured(&self, entry: EptEntry, level: u8, is_page: bool) -> bool {
        // spec: ept-misconfiguration
        let write_only = entry & (EptEntry::R | EptEntry::W) == EptEntry::W;
        let too_wide = bit_range(51, 0) & !low_mask(self.max_phys_bits.into());
        let reserved = match (is_page, level) {
            (false, 3..) => bit_range(7, 3),
            (false, _) => bit_range(6, 3),
            (true, 0) => 0,
            (true, _) => bit_range(u32::from(self.shape.page_bits(level)) - 1, 12),
        };
        let memory_type = (entry & EptEntry::MEMORY_TYPE).bits() >> 3;
        write_only
            || entry.bits() & (reserved | too_wide) != 0
            || is_page && matches!(memory_type, 2 | 3 | 7)
    }
}

const fn table_of(eptp: u64) -> u64 {
    eptp & bit_range(51, 12)
}

impl Format for Ept {
    type Permissions = EptRights;

    const FAULTS_INVALIDATE: bool = true;

    const REGISTERS: &'static [RegisterInfo] = REGISTERS;

    const REASONS: &'static [&'static str] = reason::OF_EPT;

    fn anatomy(&self) -> Anatomy {
        if self.has_flags() { anatomy::EPT_WITH_FLAGS } else { anatomy::EPT }
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            EPTP => Ok(self.eptp),
            VPID => Ok(self.vpid.into()),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    /// No write invalidates anything: that is INVEPT's and INVVPID's. (VM entries and exits without VPIDs do; then
    /// it is for whoever plays them.)
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            EPTP => self.write_eptp(value),
            VPID => {
                let what = reason::VPID;
                self.vpid = u16::try_from(value).map_err(|_| RegisterError::Reserved {
                    name: "vpid",
                    value,
                    what,
                })?;
                Ok(None)
            }
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    /// A guest-physical address that has more bits than the tables is an EPT violation.
    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        if !self.is_on() {
            return Ok(Route::Identity { access, bits: 64 });
        }
        if !self.extent.has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        Ok(Route::Tables { access, asid: Asid(self.root) })
    }

    #[inline]
    fn root(&self, _: Access) -> Result<Root<EptRights>, Cause> {
        Ok(Root {
            table: PhysAddr::new(table_of(self.eptp)),
            level: self.levels() - 1,
            permissions: EptRights::all(),
        })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &self.shape
    }

    #[inline]
    fn decode(&self, raw: u64, level: u8, _: Access, inherited: EptRights) -> Entry<EptRights> {
        let entry = EptEntry::from_bits_retain(raw);
        // spec: ept-present
        if !entry.intersects(EptEntry::R | EptEntry::W | EptEntry::X) {
            return Entry::Invalid(Cause::Absent);
        }
        let is_page = level == 0 || level <= 2 && entry.contains(EptEntry::PAGE);
        if self.is_misconfigured(entry, level, is_page) {
            return Entry::Invalid(Cause::Reserved);
        }
        let address = PhysAddr::new(raw & bit_range(51, 12));
        let permissions = inherited & EptRights::from_bits_truncate((raw & 0b111) as u8);
        if !is_page {
            return Entry::Table { table: address, permissions };
        }
        let bits = self.shape.page_bits(level);
        Entry::Leaf(Mapping {
            frame: address.align_down(bits.into()),
            bits,
            permissions,
            dirty: !self.has_flags() || entry.contains(EptEntry::D),
            global: false,
            attributes: Attributes((raw >> 3 & 0b1111) as u8),
        })
    }

    #[inline]
    fn permits(&self, permissions: EptRights, access: Access) -> Result<(), Cause> {
        // spec: ept-violation
        let needed = match access.kind {
            AccessKind::Fetch => EptRights::X,
            AccessKind::Load => EptRights::R,
            AccessKind::Store => EptRights::W,
            AccessKind::Amo => EptRights::R | EptRights::W,
        };
        if permissions.contains(needed) { Ok(()) } else { Err(Cause::Permission) }
    }

    #[inline]
    fn admit(&self, raw: u64, mapping: &Mapping<EptRights>, access: Access) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        // spec: ept-flags
        if !self.has_flags() {
            return Ok(raw);
        }
        let dirty = if access.kind.writes() { EptEntry::D } else { EptEntry::empty() };
        Ok(raw | (EptEntry::A | dirty).bits())
    }

    #[inline]
    fn pass(&self, raw: u64) -> u64 {
        // spec: ept-flags
        if self.has_flags() { raw | EptEntry::A.bits() } else { raw }
    }
}

impl SecondStageFormat for Ept {
    /// Not linear mappings, which are made without EPT: INVEPT is for "guest-physical mappings and combined mappings".
    const CONTEXTS: RangeInclusive<u32> = (1 << 16) + 1..=u32::MAX;

    /// INVEPT has no address.
    const NAMES_PAGES: bool = false;

    fn tables(&self, _: Access) -> u64 {
        self.eptp
    }

    #[inline]
    fn context(&self, _: Access) -> u32 {
        Self::number(self.root, self.vpid)
    }

    /// "They are required to do so only for the current VPID (but, for combined mappings, all EP4TAs)" ("Operations
    /// that Invalidate Cached Mappings").
    fn is_present(&self, context: u32) -> bool {
        self.is_of(context, Vmid(self.vpid))
    }

    fn is_of(&self, context: u32, vmid: Vmid) -> bool {
        context.wrapping_sub(1) & 0xffff == u32::from(vmid.0)
    }

    fn space_of(&self, tables: u64) -> Option<Asid> {
        self.place(tables).map(Asid)
    }

    fn contexts_of(&self, Asid(place): Asid) -> RangeInclusive<u32> {
        Self::number(place, 0)..=Self::number(place, u16::MAX)
    }

    /// With accessed and dirty flags in use, all that a guest's walk does counts as a write.
    #[inline]
    fn walk_kind(&self, kind: AccessKind) -> AccessKind {
        // spec: ept-flags
        if self.has_flags() || kind.writes() { AccessKind::Amo } else { kind }
    }

    fn rights(&self, permissions: EptRights) -> u8 {
        permissions.bits()
    }
}

bitflags! {
    /// The exit qualification of an EPT violation (SDM Vol. 3C, "Exit Qualification for EPT Violations").
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ExitQualification: u64 {
        /// A data read.
        const READ = 1 << 0;
        /// A data write. A guest's walk with accessed and dirty flags is both.
        const WRITE = 1 << 1;
        /// A fetch.
        const FETCH = 1 << 2;
        /// The guest-physical address is readable.
        const READABLE = 1 << 3;
        /// The guest-physical address is writable.
        const WRITABLE = 1 << 4;
        /// The guest-physical address is executable.
        const EXECUTABLE = 1 << 5;
        /// The guest-linear address is valid.
        const LINEAR_VALID = 1 << 7;
        /// The access is to the translation of the linear address, not to an entry on the way.
        const TRANSLATED = 1 << 8;
    }
}

impl ExitQualification {
    fn of(kind: AccessKind, rights: u8, walk: bool) -> Self {
        let access = match kind {
            AccessKind::Fetch => Self::FETCH,
            AccessKind::Load => Self::READ,
            AccessKind::Store => Self::WRITE,
            AccessKind::Amo => Self::READ | Self::WRITE,
        };
        let granted = Self::from_bits_truncate(u64::from(rights) << 3);
        let what = if walk { Self::empty() } else { Self::TRANSLATED };
        access | granted | what | Self::LINEAR_VALID
    }
}

/// Why the virtual machine is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmExit {
    /// The entries do not allow the access; basic exit reason 48.
    EptViolation {
        /// The access that was tried, and the rights that the entries give: [`ExitQualification`].
        qualification: u64,
        /// The linear address that was accessed; 0 where there is none.
        guest_linear: VirtAddr,
        /// The guest-physical address that was refused.
        guest_physical: PhysAddr,
    },
    /// An entry means nothing; basic exit reason 49.
    EptMisconfiguration {
        /// The guest-physical address on the way to which it was met.
        guest_physical: PhysAddr,
    },
}
