//! The hypervisor extension: a hart's own translation, and the first ("VS") stage of its guests (RISC-V Privileged,
//! chapter "H" Extension for Hypervisor Support, "Two-Stage Address Translation").
//!
//! ```text
//! vsatp      as satp
//! vsstatus   19 MXR | 18 SUM, of a guest
//! henvcfg    62 PBMTE | 61 ADUE, of a guest, as far as menvcfg has them
//! mstatus    39 MPV: MPRV makes accesses as in a guest
//! ```

use super::{
    EnvConfig, Extensions, MENVCFG, MSTATUS, Permissions, RiscV, RiscVException, SSTATUS, Status,
    anatomy, gstage::GStage, registers,
};
use crate::{
    ConfigError, Paging, PagingConfig, WalkCacheReach,
    format::{Entry, Format, Mapping, ReadWord, Root, Route, Shape},
};
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Cause, Fault, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, anatomy::Anatomy,
};

/// `vsstatus`: SUM and MXR of a guest.
pub const VSSTATUS: RegisterId = RegisterId(0x200);
/// `vsatp`: root, ASID and mode of a guest.
pub const VSATP: RegisterId = RegisterId(0x280);
/// `henvcfg`: ADUE and PBMTE of a guest. A 64-bit view also on RV32.
pub const HENVCFG: RegisterId = RegisterId(0x60a);
/// `mstatus.MPV`, on RV32 in `mstatush`: MPRV makes data accesses in a virtual machine.
pub const MSTATUS_MPV: u64 = 1 << 39;

/// A hart with the hypervisor extension: the stage that virtual addresses go through, its own or, for accesses
/// with [`AccessFlags::GUEST`], a guest's. [`RiscVH::hart`] puts the second stage behind it.
///
/// Where a trap, a return, `hlv` or `hsv` changes the virtualisation mode, the CPU says so by the flag.
///
/// ```
/// use emmu_core::{Access, AccessFlags, Bus, PhysAddr, TranslationUnit, VirtAddr, Width};
/// use emmu_memory::Memory;
/// use emmu_paging::{PagingConfig, format::riscv::{HGATP, Pte, RiscVH}};
///
/// let mut memory = Memory::ram(1 << 30);
/// let none = PagingConfig::default();
/// let mut hart = RiscVH::rv64().hart(&none, &none)?;
/// hart.write_register(HGATP, 8 << 60 | 4, &mut memory, &mut ())?;      // Sv39x4, root table at 0x4000
///
/// // Guest-physical 0x4000_0000, a gigabyte, is physical 0; with vsatp Bare it is virtual as well.
/// let leaf = Pte::to(PhysAddr::new(0), Pte::V | Pte::R | Pte::U | Pte::A);
/// memory.write(PhysAddr::new(0x4008), Width::B8, leaf)?;
/// let load = Access::load(VirtAddr::new(0x4000_1000), 8).with_flags(AccessFlags::GUEST);
/// assert_eq!(hart.translate(load, &mut memory, &mut ())?.addr, PhysAddr::new(0x1000));
///
/// let store = Access { kind: emmu_core::AccessKind::Store, ..load };
/// let fault = hart.translate(store, &mut memory, &mut ()).unwrap_err();
/// let exception = hart.format().exception(&fault);
/// assert_eq!((exception.cause, exception.htval), (23, 0x4000_1000 >> 2)); // store guest-page fault
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "super::snapshot::Stages", into = "super::snapshot::Stages")
)]
pub struct RiscVH {
    pub(super) own: RiscV,
    /// Under vsatp, vsstatus and henvcfg as they come to be.
    pub(super) guest: RiscV,
    pub(super) vsstatus: Status,
    pub(super) henvcfg: EnvConfig,
    pub(super) mpv: bool,
}

/// A hart with both stages.
pub type RiscVHart = Paging<RiscVH, Paging<GStage>>;

const fn register(id: RegisterId, name: &'static str, about: &'static str) -> RegisterInfo {
    RegisterInfo { id, name, privilege: Privilege::Supervisor, about }
}

const REGISTERS: [RegisterInfo; registers::ALL.len() + 3] = {
    let mut all = [registers::ALL[0]; registers::ALL.len() + 3];
    let mut index = 0;
    while index < registers::ALL.len() {
        all[index] = registers::ALL[index];
        index += 1;
    }
    all[index] = register(VSATP, "vsatp", "root table, ASID and mode of a guest");
    all[index + 1] = register(VSSTATUS, "vsstatus", "SUM, MXR of a guest");
    all[index + 2] = register(HENVCFG, "henvcfg", "ADUE, PBMTE of a guest");
    all
};

impl RiscVH {
    /// A 64-bit hart with all [`Extensions`] and no PMP, all stages in Bare mode.
    #[must_use]
    pub const fn rv64() -> Self {
        Self::of(RiscV::rv64())
    }

    /// A 32-bit hart, whose only modes besides Bare are Sv32 and Sv32x4.
    #[must_use]
    pub const fn rv32() -> Self {
        Self::of(RiscV::rv32())
    }

    const fn of(own: RiscV) -> Self {
        let (vsstatus, henvcfg) = (Status::empty(), EnvConfig::empty());
        Self { own, guest: own, vsstatus, henvcfg, mpv: false }
    }

    /// Returns the hart with just these extensions, at all stages.
    #[must_use]
    pub fn with_extensions(self, extensions: Extensions) -> Self {
        Self {
            own: self.own.with_extensions(extensions),
            guest: self.guest.with_extensions(extensions),
            ..self
        }
    }

    /// Returns the hart with PMP, as [`RiscV::with_pmp`] does.
    #[must_use]
    pub const fn with_pmp(self) -> Self {
        Self { own: self.own.with_pmp(), ..self }
    }

    /// The hart with its second stage: `config` says what holds translations of both stages and of the first,
    /// `second` what holds translations of guest-physical addresses.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn hart(
        self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<RiscVHart, ConfigError> {
        Paging::two_stage(self, config, Paging::new(GStage::of(self.own), second)?)
    }

    /// The exception that a fault raises. Faults of the second stage's tables and rights are guest-page faults; what
    /// the bus or physical memory protection refuses is an access fault at either stage.
    #[must_use]
    pub fn exception(&self, fault: &Fault) -> RiscVException {
        // spec: riscv-h-cause
        let gva = self.guest_privilege(fault.access).is_some();
        let exception = RiscVException { gva, ..self.own.exception(fault) };
        match fault.guest {
            Some(guest) if exception.is_page_fault() => RiscVException {
                cause: exception.cause + (20 - 12),
                htval: guest.addr.raw() >> 2,
                tinst: if guest.walk { self.implicit(guest.kind) } else { 0 },
                ..exception
            },
            _ => exception,
        }
    }

    /// The pseudoinstruction of an implicit access for a guest's walk ("Transformed Instruction or
    /// Pseudoinstruction for mtinst or htinst").
    const fn implicit(&self, kind: AccessKind) -> u64 {
        // spec: riscv-h-tinst
        let read = if self.own.rv32 { 0x2000 } else { 0x3000 };
        if kind.writes() { read | 0x20 } else { read }
    }

    /// The stage whose registers count for this access.
    #[inline]
    fn stage(&self, access: Access) -> &RiscV {
        if access.flags.contains(AccessFlags::GUEST) { &self.guest } else { &self.own }
    }

    /// The privilege with which an access is made in a guest, if it is: by the flag, or by MPRV with MPV and MPP
    /// below machine mode, which the flag overrides ("Hypervisor Virtual-Machine Load and Store Instructions").
    #[inline]
    fn guest_privilege(&self, access: Access) -> Option<Privilege> {
        // spec: riscv-h-mprv
        if access.flags.contains(AccessFlags::GUEST) {
            return Some(access.privilege);
        }
        let modified = access.kind != AccessKind::Fetch && self.own.mstatus.contains(Status::MPRV);
        if !(self.mpv && modified) {
            return None;
        }
        Some(self.own.effective_privilege(access))
            .filter(|&privilege| privilege != Privilege::Machine)
    }

    /// Brings the guest's stage in line with the registers: MXR of the hart holds at all stages, and a guest has
    /// no more of menvcfg than the hart.
    pub(super) fn derive(&mut self) {
        // spec: riscv-h-mxr
        self.guest = self
            .guest
            .with_mstatus(self.vsstatus | self.own.mstatus & Status::MXR)
            .with_menvcfg(self.henvcfg & self.own.menvcfg);
    }
}

impl Format for RiscVH {
    type Permissions = Permissions;

    /// "Supervisor Memory-Management Fence Instruction": after an invalid entry is made valid, a page fault may occur
    /// until `SFENCE.VMA` is executed.
    const MAY_CACHE_INVALID: bool = true;

    const REGISTERS: &'static [RegisterInfo] = &REGISTERS;

    fn anatomy(&self) -> Anatomy {
        anatomy::HYPERVISOR
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match id {
            VSATP => Ok(self.guest.satp),
            VSSTATUS => Ok(self.vsstatus.bits()),
            HENVCFG => Ok((self.henvcfg & self.own.menvcfg).bits()),
            MSTATUS if self.mpv => Ok(self.own.read(id)? | MSTATUS_MPV),
            _ => self.own.read(id),
        }
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        match id {
            VSATP => self.guest.write_satp(value),
            VSSTATUS => {
                self.vsstatus = Status::from_bits_truncate(value) & (Status::SUM | Status::MXR);
            }
            HENVCFG => self.henvcfg = EnvConfig::from_bits_truncate(value),
            _ => {
                self.own.write(id, value)?;
                if id == MSTATUS {
                    self.mpv = value & MSTATUS_MPV != 0;
                }
            }
        }
        self.derive();
        Ok(None)
    }

    /// A guest's addresses with vsatp Bare are guest-physical, whatever their size: the second stage judges.
    #[inline]
    fn route(&self, access: Access) -> Result<Route, Cause> {
        let Some(privilege) = self.guest_privilege(access) else {
            return self.own.route(access);
        };
        let flags = access.flags | AccessFlags::GUEST;
        let access = access.with_privilege(privilege).with_flags(flags);
        // spec: riscv-h-bare
        match self.guest.is_bare() {
            true => Ok(Route::Identity { access, bits: if self.own.rv32 { 32 } else { 64 } }),
            false => self.guest.through_tables(access),
        }
    }

    #[inline]
    fn root(&self, access: Access) -> Result<Root<Permissions>, Cause> {
        self.stage(access).root(access)
    }

    #[inline]
    fn shape(&self, access: Access) -> &Shape {
        self.stage(access).shape(access)
    }

    #[inline]
    fn decode(
        &self,
        raw: u64,
        level: u8,
        access: Access,
        inherited: Permissions,
    ) -> Entry<Permissions> {
        self.stage(access).decode(raw, level, access, inherited)
    }

    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        self.stage(access).permits(permissions, access)
    }

    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.stage(access).admit(raw, mapping, access)
    }

    fn implemented(&self, asid: Asid) -> Asid {
        self.own.implemented(asid)
    }

    fn walk_cache_reach(scope: Invalidate) -> WalkCacheReach {
        RiscV::walk_cache_reach(scope)
    }

    #[inline]
    fn grants(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        self.own.grants(addr, len, kind, privilege)
    }
}

/// Returns true if a register write matters at the second stage too: MXR, ADUE, PBMTE, and PMP.
pub(super) fn is_shared(id: RegisterId) -> bool {
    let pmp = registers::PMPCFG0.0..registers::PMPADDR0.0 + 16;
    matches!(id, MSTATUS | SSTATUS | MENVCFG) || pmp.contains(&id.0)
}
