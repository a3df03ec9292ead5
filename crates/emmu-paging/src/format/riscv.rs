//! RISC-V: Bare, Sv32, Sv39, Sv48 and Sv57 (Privileged Architecture, version 20240411, chapters "Supervisor-Level
//! ISA", "Svnapot", "Svpbmt", "Svadu" and "Machine-Level ISA"). Steps are those of "Virtual Address Translation
//! Process" in texts where it has ten.
//!
//! ```text
//! Sv39, Sv48, Sv57     63 | 62  61 | 60..54 | 53 ........ 10 | 9 8 | 7 6 5 4 3 2 1 0
//!                       N | PBMT   |  zero  |      PPN       | RSW | D A G U X W R V
//! Sv32                                31 ............... 10 | 9 8 | 7 6 5 4 3 2 1 0
//!                                            PPN            | RSW | D A G U X W R V
//! satp, RV64           63..60 MODE | 59..44 ASID | 43..0 PPN
//! satp, RV32           31 MODE     | 30..22 ASID | 21..0 PPN
//! ```

mod anatomy;
mod exception;
mod gstage;
mod hypervisor;
mod pmp;
mod registers;
#[cfg(feature = "serde")]
mod snapshot;

pub use anatomy::{SV32, SV39, SV48, SV57};
pub use exception::RiscVException;
pub use gstage::{GStage, HGATP};
pub use hypervisor::{HENVCFG, MSTATUS_MPV, RiscVH, RiscVHart, VSATP, VSSTATUS};
pub use pmp::{PMP_ENTRIES, PmpConfig};
pub use registers::{
    EnvConfig, Extensions, MENVCFG, MSTATUS, PMPADDR0, PMPCFG0, SATP, SSTATUS, Status,
};

use anatomy::shape_of;
use pmp::Pmp;

use super::{Entry, Extent, Format, Mapping, ReadWord, Root, Route, Shape};
use crate::WalkCacheReach;
use bitflags::bitflags;
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege,
    RegisterError, RegisterId, RegisterInfo, anatomy::Anatomy, bit_range,
};

bitflags! {
    /// The bits of a page-table entry that RV32 and RV64 share.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Pte: u64 {
        /// Valid.
        const V = 1 << 0;
        /// Readable.
        const R = 1 << 1;
        /// Writable.
        const W = 1 << 2;
        /// Executable.
        const X = 1 << 3;
        /// Accessible to user mode.
        const U = 1 << 4;
        /// Mapped alike in every address space.
        const G = 1 << 5;
        /// Accessed.
        const A = 1 << 6;
        /// Dirty.
        const D = 1 << 7;
        /// Svnapot: part of a larger, naturally aligned range.
        const N = 1 << 63;
        /// Svpbmt: the memory type.
        const PBMT = bit_range(62, 61);
        /// Reserved, on RV64.
        const RESERVED = bit_range(60, 54);
    }
}

impl Pte {
    /// An entry that points to `addr`, a table or a page, with these bits.
    #[must_use]
    pub const fn to(addr: PhysAddr, bits: Self) -> u64 {
        addr.raw() >> 12 << 10 | bits.bits()
    }
}

bitflags! {
    /// The rights of a translation: the leaf's own bits, and G of any entry on the way.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Permissions: u8 {
        /// Readable.
        const R = 1 << 1;
        /// Writable.
        const W = 1 << 2;
        /// Executable.
        const X = 1 << 3;
        /// A user page.
        const U = 1 << 4;
        /// Global.
        const G = 1 << 5;
    }
}

/// `satp.MODE`, by the number of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bare,
    Sv32,
    Levels(u8),
}

impl Mode {
    const fn levels(self) -> u8 {
        match self {
            Self::Bare => 0,
            Self::Sv32 => 2,
            Self::Levels(levels) => levels,
        }
    }

    const fn shape(self) -> Shape {
        match self {
            Self::Sv32 => SV32.shape(),
            _ => shape_of(self.levels()),
        }
    }

    /// Addresses of Sv39 and larger are sign-extended.
    const fn extent(self) -> Extent {
        match self {
            Self::Bare => Extent::unsigned(64),
            Self::Sv32 => Extent::unsigned(32),
            Self::Levels(levels) => Extent::sign_extended(12 + 9 * levels as u32),
        }
    }
}

/// The facts that the registers decide, worked out when one is written and not at each access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Derived {
    mode: Mode,
    shape: Shape,
    extent: Extent,
    table: PhysAddr,
    top_level: u8,
    asid: Asid,
    /// Bits that any entry must have clear.
    reserved: Pte,
}

impl Derived {
    const BARE: Self = Self {
        mode: Mode::Bare,
        shape: Mode::Bare.shape(),
        extent: Mode::Bare.extent(),
        table: PhysAddr::ZERO,
        top_level: 0,
        asid: Asid(0),
        reserved: Pte::RESERVED.union(Pte::PBMT),
    };
}

/// A RISC-V hart's translation registers, and what the hart has. The [`Attributes`] of a mapping are PBMT (0 to 3); of
/// two stages they are combined as "Svpbmt" says.
///
/// Instructions and registers of machine level need [`Privilege::Machine`]; firmware that an embedder does
/// not run is replaced by the `with_…` methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "snapshot::Hart", into = "snapshot::Hart"))]
pub struct RiscV {
    rv32: bool,
    extensions: Extensions,
    satp: u64,
    mstatus: Status,
    menvcfg: EnvConfig,
    pmp: Pmp,
    derived: Derived,
}

impl RiscV {
    /// A 64-bit hart with all [`Extensions`] and no PMP, in Bare mode, with Svade in force.
    #[must_use]
    pub const fn rv64() -> Self {
        Self {
            rv32: false,
            extensions: Extensions::all(),
            satp: 0,
            mstatus: Status::empty(),
            menvcfg: EnvConfig::empty(),
            pmp: Pmp::new(false),
            derived: Derived::BARE,
        }
    }

    /// A 32-bit hart, whose only mode besides Bare is Sv32.
    #[must_use]
    pub const fn rv32() -> Self {
        Self { rv32: true, extensions: Extensions::SVADU, ..Self::rv64() }
    }

    /// Returns the hart with just these extensions.
    #[must_use]
    pub fn with_extensions(self, extensions: Extensions) -> Self {
        Self { extensions, ..self }.with_menvcfg(self.menvcfg).with_satp(self.satp)
    }

    /// Returns the hart with [`PMP_ENTRIES`] entries of physical memory protection, all off: only machine mode may
    /// access anything until they are written.
    #[must_use]
    pub const fn with_pmp(self) -> Self {
        Self { pmp: Pmp::new(true), ..self }
    }

    /// Returns the hart with this `satp`, if it is legal.
    #[must_use]
    pub fn with_satp(mut self, satp: u64) -> Self {
        self.write_satp(satp);
        self
    }

    /// Returns the hart with this `mstatus`.
    #[must_use]
    pub const fn with_mstatus(self, mstatus: Status) -> Self {
        Self { mstatus, ..self }
    }

    /// Returns the hart with this `menvcfg`, as far as its extensions go.
    #[must_use]
    pub fn with_menvcfg(mut self, menvcfg: EnvConfig) -> Self {
        self.write_menvcfg(menvcfg.bits());
        self
    }

    fn mode_of(&self, satp: u64) -> Option<Mode> {
        if self.rv32 {
            return Some(if satp >> 31 == 0 { Mode::Bare } else { Mode::Sv32 });
        }
        match satp >> 60 {
            0 => Some(Mode::Bare),
            8 => Some(Mode::Levels(3)),
            9 => self.extensions.contains(Extensions::SV48).then_some(Mode::Levels(4)),
            10 => self.extensions.contains(Extensions::SV57).then_some(Mode::Levels(5)),
            _ => None,
        }
    }

    /// Without translation an address is physical: of 32 bits on RV32, and of 56 on RV64, above which there
    /// is nothing to access.
    fn physical(&self, access: Access) -> Result<Route, Cause> {
        // spec: riscv-bare
        let (bits, beyond) = match self.rv32 {
            true => (32, Cause::NonCanonical),
            false => (56, Cause::AddressSize),
        };
        if access.addr.raw() >> bits != 0 {
            return Err(beyond);
        }
        Ok(Route::Identity { access, bits })
    }

    #[inline]
    fn is_bare(&self) -> bool {
        self.derived.mode == Mode::Bare
    }

    #[inline]
    fn through_tables(&self, access: Access) -> Result<Route, Cause> {
        // spec: riscv-sign
        if !self.derived.extent.has(access.addr) {
            return Err(Cause::NonCanonical);
        }
        Ok(Route::Tables { access, asid: self.derived.asid })
    }

    /// Brings what is derived in line with the registers.
    fn derive(&mut self) {
        let mode = self.mode_of(self.satp).unwrap_or(Mode::Bare);
        let ppn = self.satp & if self.rv32 { bit_range(21, 0) } else { bit_range(43, 0) };
        let mut reserved = Pte::RESERVED;
        reserved.set(Pte::N, !self.extensions.contains(Extensions::SVNAPOT));
        reserved.set(Pte::PBMT, !self.menvcfg.contains(EnvConfig::PBMTE));
        self.derived = Derived {
            mode,
            shape: mode.shape(),
            extent: mode.extent(),
            table: PhysAddr::new(ppn << 12),
            top_level: mode.levels().saturating_sub(1),
            asid: self.asid(),
            reserved,
        };
    }

    fn asid(&self) -> Asid {
        let asid = self.satp >> if self.rv32 { 22 } else { 44 };
        #[expect(clippy::cast_possible_truncation, reason = "an ASID has 16 bits at most")]
        self.implemented(Asid(asid as u16))
    }

    /// MPRV makes loads and stores, not fetches, use MPP's translation and protection ("Memory Privilege in
    /// mstatus Register"). The CPU clears it on a return to less than machine mode.
    #[inline]
    fn effective_privilege(&self, access: Access) -> Privilege {
        // spec: riscv-mprv
        let modified = access.kind != AccessKind::Fetch && self.mstatus.contains(Status::MPRV);
        match (self.mstatus & Status::MPP).bits() >> 11 {
            _ if !modified => access.privilege,
            0 => Privilege::User,
            1 => Privilege::Supervisor,
            _ => Privilege::Machine,
        }
    }
}

/// R, W, X, U and G as the entry itself has them.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low eight bits are the permissions")]
fn rights(pte: Pte) -> Permissions {
    Permissions::from_bits_truncate(pte.bits() as u8)
}

/// A leaf: its size and where it is. A misaligned superpage is a page fault (step 5).
#[inline]
fn leaf(pte: Pte, frame: PhysAddr, bits: u8, inherited: Permissions) -> Entry<Permissions> {
    // spec: riscv-5
    if frame.offset(bits.into()) != 0 {
        return Entry::Invalid(Cause::Misaligned);
    }
    let permissions = rights(pte) | inherited;
    Entry::Leaf(Mapping {
        frame,
        bits,
        permissions,
        dirty: pte.contains(Pte::D),
        global: permissions.contains(Permissions::G),
        attributes: Attributes(((pte & Pte::PBMT).bits() >> 61) as u8),
    })
}

impl Format for RiscV {
    type Permissions = Permissions;

    /// "Supervisor Memory-Management Fence Instruction": after an invalid entry is made valid, a page fault may occur
    /// until `SFENCE.VMA` is executed.
    const MAY_CACHE_INVALID: bool = true;

    const REGISTERS: &'static [RegisterInfo] = registers::ALL;

    fn anatomy(&self) -> Anatomy {
        anatomy::HART
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
        let access = access.with_privilege(self.effective_privilege(access));
        // spec: riscv-bare
        if access.privilege == Privilege::Machine || self.is_bare() {
            return self.physical(access);
        }
        self.through_tables(access)
    }

    /// Steps 1 and 2: a is satp.PPN × PAGESIZE, i is LEVELS − 1.
    #[inline]
    fn root(&self, _: Access) -> Result<Root<Permissions>, Cause> {
        // spec: riscv-1
        let Derived { table, top_level: level, .. } = self.derived;
        Ok(Root { table, level, permissions: Permissions::empty() })
    }

    #[inline]
    fn shape(&self, _: Access) -> &Shape {
        &self.derived.shape
    }

    #[inline]
    fn decode(&self, raw: u64, level: u8, _: Access, inherited: Permissions) -> Entry<Permissions> {
        let pte = Pte::from_bits_retain(raw);
        // Step 3.
        // spec: riscv-3
        if !pte.contains(Pte::V) {
            return Entry::Invalid(Cause::Absent);
        }
        // PPN, which has 22 bits in the 32-bit entries of Sv32.
        let addr = PhysAddr::new((raw & bit_range(53, 10)) << 2);
        // Step 4: a pointer, in which D, A, U, N and PBMT are reserved, and W without R by step 3.
        // spec: riscv-4
        if !pte.intersects(Pte::R | Pte::X) {
            let reserved = Pte::W | Pte::D | Pte::A | Pte::U | Pte::N | Pte::PBMT;
            if pte.intersects(self.derived.reserved | reserved) {
                return Entry::Invalid(Cause::Reserved);
            }
            return Entry::Table {
                table: addr,
                permissions: inherited | rights(pte) & Permissions::G,
            };
        }
        // Step 3 for a leaf. PBMT 3 is reserved with or without Svpbmt.
        // spec: riscv-3, riscv-svpbmt
        let write_only = pte & (Pte::R | Pte::W) == Pte::W;
        if write_only || pte.intersects(self.derived.reserved) || pte.contains(Pte::PBMT) {
            return Entry::Invalid(Cause::Reserved);
        }
        // "Svnapot": only 64 KiB, at level 0 and with ppn[3:0] = 1000, is defined.
        // spec: riscv-svnapot
        if pte.contains(Pte::N) {
            return match (level, addr.bits(12, 4)) {
                (0, 0b1000) => leaf(pte, addr.align_down(16), 16, inherited),
                _ => Entry::Invalid(Cause::Reserved),
            };
        }
        leaf(pte, addr, self.derived.shape.page_bits(level), inherited)
    }

    /// Steps 6 and 8, with SUM and MXR as mstatus has them now.
    #[inline]
    fn permits(&self, permissions: Permissions, access: Access) -> Result<(), Cause> {
        let is_fetch = access.kind == AccessKind::Fetch;
        // spec: riscv-6
        let privileged = match (access.privilege, permissions.contains(Permissions::U)) {
            (Privilege::User, user_page) => user_page,
            (_, false) => true,
            // SUM lets the supervisor at user data, never at user code.
            (_, true) => self.mstatus.contains(Status::SUM) && !is_fetch,
        };
        // spec: riscv-8
        let needed = match access.kind {
            AccessKind::Fetch => Permissions::X,
            // HLVX: the right to execute takes the place of the right to read.
            AccessKind::Load if access.flags.contains(AccessFlags::EXECUTABLE) => Permissions::X,
            AccessKind::Load => Permissions::R,
            AccessKind::Store => Permissions::W,
            AccessKind::Amo => Permissions::R | Permissions::W,
        };
        // No page is writable and executable but not readable, so that MXR concerns loads only.
        let readable = self.mstatus.contains(Status::MXR) && permissions.contains(Permissions::X);
        let granted = if readable { permissions | Permissions::R } else { permissions };
        if privileged && granted.contains(needed) { Ok(()) } else { Err(Cause::Permission) }
    }

    /// Rights first, then step 9: A, and D for a write, are set by hardware (Svadu) or fault (Svade).
    #[inline]
    fn admit(
        &self,
        raw: u64,
        mapping: &Mapping<Permissions>,
        access: Access,
    ) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        // spec: riscv-9-svade, riscv-9-svadu
        let needed = if access.kind.writes() { Pte::A | Pte::D } else { Pte::A };
        let pte = Pte::from_bits_retain(raw);
        if pte.contains(needed) || self.menvcfg.contains(EnvConfig::ADUE) {
            return Ok(raw | needed.bits());
        }
        Err(if pte.contains(Pte::A) { Cause::DirtyFlag } else { Cause::AccessFlag })
    }

    /// Bits above ASIDMAX are ignored ("Supervisor Memory-Management Fence Instruction").
    fn implemented(&self, Asid(asid): Asid) -> Asid {
        // spec: riscv-asid
        Asid(if self.rv32 { asid & 0x1ff } else { asid })
    }

    /// With an address in rs1, SFENCE.VMA is for "leaf page table entries corresponding to the virtual address" only
    /// ("Supervisor Memory-Management Fence Instruction"), and HFENCE.VVMA is "much the same" for a guest's. Of HFENCE.GVMA
    /// that is not said.
    fn walk_cache_reach(_: Invalidate) -> WalkCacheReach {
        WalkCacheReach::None
    }

    /// PMP checks the data and, as supervisor loads and stores, the walk's own reads and updates.
    #[inline]
    fn grants(
        &self,
        addr: PhysAddr,
        len: u64,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<u64, Cause> {
        self.pmp.grants(addr, len, kind, privilege)
    }
}
