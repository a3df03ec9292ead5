//! The hypervisor extension: "Two-Stage Address Translation" and what belongs to it, after the RISC-V Instruction
//! Set Manual, Volume II, chapter "'H' Extension for Hypervisor Support", version 1.0.
//!
//! Modelled: VS-stage by `vsatp`, G-stage by `hgatp` (Sv32x4, Sv39x4, Sv48x4, Sv57x4), each of which can be Bare;
//! guest-page faults with what `htval` and `htinst` get; HLV, HLVX and HSV, as accesses with
//! [`AccessFlags::GUEST`]; MPRV with MPV; accessed and dirty bits at both stages; Svnapot and Svpbmt at both; PMP.
//! VSXLEN is HSXLEN. `hstatus` says who may use HLV, not how it translates, and is not here.
//!
//! # Where the manual leaves a choice
//!
//! * An access that faults changes no entry at either stage: bits A of the stages that it got through stay clear.
//! * An implicit read of a VS-level entry sets A, and never D, at G-stage.
//! * `htval` and `htinst` are never 0 for want of effort. `htinst` is 0 for explicit accesses, and the
//!   pseudoinstruction for all implicit ones, at guest-physical address 0 too.

mod guest;

use super::{Exception as OneStage, Xlen};
use crate::reference::{Memory, Outcome, Reference};
use crate::two_stage::{Beyond, Nested, Refusal, Scratch, Stage, TwoStage, Visit, on_scratch};
use core::fmt;
use emmu_core::{Access, AccessFlags, AccessKind, PhysAddr, Privilege, VirtAddr};
use guest::Guest;

/// The registers that translation depends on, with values that the hart could hold.
///
/// ```
/// use emmu_core::{Access, AccessFlags, PhysAddr, VirtAddr};
/// use emmu_oracle::reference::SparseMemory;
/// use emmu_oracle::riscv::{self, Xlen, hypervisor::{Exception, Registers}};
/// use emmu_oracle::{Reference, TwoStage};
///
/// // Sv39 on Sv39x4. G-stage: a gigapage that maps guest-physical 0 to host 0x8000_0000, from a root at 0x4000.
/// let hs = riscv::Registers::bare(Xlen::Rv64);
/// let hart = Registers { hgatp: 8 << 60 | 4, vsatp: 8 << 60 | 9, ..Registers::new(hs) };
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x4000), 0x2000_00df);
/// // VS-stage: a gigapage at 0, from a root at guest-physical 0x9000.
/// memory.write64(PhysAddr::new(0x8000_9000), 0xcf);
///
/// let load = Access::load(VirtAddr::new(0x1234), 4).with_flags(AccessFlags::GUEST);
/// let nested = hart.nested(load, &memory);
/// assert_eq!(nested.reads.len(), 3);
/// assert_eq!(nested.answer.map(|outcome| outcome.pa), Ok(PhysAddr::new(0x8000_1234)));
///
/// let beyond = Access { addr: VirtAddr::new(0x4000_0000), ..load };
/// let fault = hart.translate(beyond, &memory).unwrap_err();
/// assert_eq!(fault.exception, Exception::LoadPageFault);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Those of M-mode and HS-mode. They alone count for accesses with V = 0. Of `mstatus` MPV, bit 39, counts too
    /// (on RV32 it is bit 7 of `mstatush`, which is the upper half here), and MXR for both stages. `menvcfg` counts for
    /// G-stage.
    pub hs: super::Registers,
    /// `hgatp`: MODE (63:60, on RV32 31), VMID (57:44, 28:22), PPN. PPN bits 1:0 read as 0.
    pub hgatp: u64,
    /// `vsatp`, laid out as `satp`.
    pub vsatp: u64,
    /// `vsstatus`: SUM 18, MXR 19.
    pub vsstatus: u64,
    /// `henvcfg`: ADUE 61, PBMTE 62, each of which is 0 where it is 0 in `menvcfg`.
    pub henvcfg: u64,
}

/// The exceptions of translation, with their `scause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exception {
    /// `scause` 1.
    InstructionAccessFault = 1,
    /// `scause` 5.
    LoadAccessFault = 5,
    /// `scause` 7; of stores and AMOs.
    StoreAccessFault = 7,
    /// `scause` 12.
    InstructionPageFault = 12,
    /// `scause` 13.
    LoadPageFault = 13,
    /// `scause` 15; of stores and AMOs.
    StorePageFault = 15,
    /// `scause` 20.
    InstructionGuestPageFault = 20,
    /// `scause` 21.
    LoadGuestPageFault = 21,
    /// `scause` 23; of stores and AMOs.
    StoreGuestPageFault = 23,
}

impl Exception {
    /// All nine, in order of `scause`.
    pub const ALL: [Self; 9] = [
        Self::InstructionAccessFault,
        Self::LoadAccessFault,
        Self::StoreAccessFault,
        Self::InstructionPageFault,
        Self::LoadPageFault,
        Self::StorePageFault,
        Self::InstructionGuestPageFault,
        Self::LoadGuestPageFault,
        Self::StoreGuestPageFault,
    ];

    /// The exception code that `scause` gets.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// "Any exception is always reported for the original access type."
    const fn guest_page_fault(kind: AccessKind) -> Self {
        match kind {
            AccessKind::Fetch => Self::InstructionGuestPageFault,
            AccessKind::Load => Self::LoadGuestPageFault,
            AccessKind::Store | AccessKind::Amo => Self::StoreGuestPageFault,
        }
    }
}

impl From<OneStage> for Exception {
    fn from(exception: OneStage) -> Self {
        match exception {
            OneStage::InstructionAccessFault => Self::InstructionAccessFault,
            OneStage::LoadAccessFault => Self::LoadAccessFault,
            OneStage::StoreAccessFault => Self::StoreAccessFault,
            OneStage::InstructionPageFault => Self::InstructionPageFault,
            OneStage::LoadPageFault => Self::LoadPageFault,
            OneStage::StorePageFault => Self::StorePageFault,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InstructionAccessFault => "instruction-access-fault",
            Self::LoadAccessFault => "load-access-fault",
            Self::StoreAccessFault => "store-access-fault",
            Self::InstructionPageFault => "instruction-page-fault",
            Self::LoadPageFault => "load-page-fault",
            Self::StorePageFault => "store-page-fault",
            Self::InstructionGuestPageFault => "instruction-guest-page-fault",
            Self::LoadGuestPageFault => "load-guest-page-fault",
            Self::StoreGuestPageFault => "store-guest-page-fault",
        })
    }
}

/// The registers that the trap handler sees, in HS-mode and M-mode alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The content of `scause`.
    pub exception: Exception,
    /// The content of `stval`: the virtual address of the access.
    pub tval: u64,
    /// `hstatus`.GVA: whether that is a guest virtual address.
    pub gva: bool,
    /// The content of `htval` (in M-mode `mtval2`): for a guest-page fault the guest-physical address, shifted
    /// right by 2 bits.
    pub tval2: u64,
    /// The content of `htinst` (`mtinst`): a pseudoinstruction if an implicit access to a VS-level table met a
    /// guest-page fault, and otherwise 0.
    pub tinst: u64,
}

/// An implicit memory access for VS-stage address translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Implicit {
    /// Of an entry.
    Read,
    /// To update its bits A and D.
    Write,
}

impl Implicit {
    fn of(visit: Visit) -> Option<Self> {
        match visit {
            Visit::WalkRead => Some(Self::Read),
            Visit::WalkUpdate => Some(Self::Write),
            Visit::Access => None,
        }
    }

    fn visit(self) -> Visit {
        match self {
            Self::Read => Visit::WalkRead,
            Self::Write => Visit::WalkUpdate,
        }
    }

    fn kind(self) -> AccessKind {
        match self {
            Self::Read => AccessKind::Load,
            Self::Write => AccessKind::Store,
        }
    }

    /// "Special pseudoinstruction values for guest-page faults", where entries have 32 bits with VSXLEN = 32 and 64 else.
    fn pseudoinstruction(self, xlen: Xlen) -> u64 {
        match (xlen, self) {
            (Xlen::Rv32, Self::Read) => 0x2000,
            (Xlen::Rv32, Self::Write) => 0x2020,
            (Xlen::Rv64, Self::Read) => 0x3000,
            (Xlen::Rv64, Self::Write) => 0x3020,
        }
    }
}

impl Reference for Registers {
    type Fault = Fault;

    /// Translates and checks PMP for all bytes of `access`, which must not leave its 4 KiB page.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        self.nested(access, memory).answer
    }
}

impl TwoStage for Registers {
    fn nested(&self, access: Access, memory: &dyn Memory) -> Nested<Fault> {
        on_scratch(memory, |scratch| self.translate_over(None, access, scratch))
    }

    fn first_stage(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Fault>,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| self.translate_over(Some(second), access, scratch))
    }

    fn second_stage(
        &self,
        access: Access,
        (gpa, visit): (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Fault> {
        let privilege = self.guest_privilege(access).unwrap_or(access.privilege);
        on_scratch(memory, |scratch| {
            Guest::new(self, access, privilege, scratch).g_stage(gpa, Implicit::of(visit))
        })
    }
}

impl Registers {
    /// A hart with both stages Bare, and these registers of M-mode and HS-mode.
    #[must_use]
    pub fn new(hs: super::Registers) -> Self {
        Self { hs, hgatp: 0, vsatp: 0, vsstatus: 0, henvcfg: 0 }
    }

    /// Returns true if the access is made as though V = 1.
    #[must_use]
    pub fn is_of_guest(&self, access: Access) -> bool {
        self.guest_privilege(access).is_some()
    }

    /// The nominal privilege mode with which an access is made as though V = 1; none if V = 0.
    fn guest_privilege(&self, access: Access) -> Option<Privilege> {
        if access.flags.contains(AccessFlags::GUEST) {
            // MPRV does not affect HLV, HLVX and HSV, and is 0 while V = 1. There is no M-mode with V = 1.
            return Some(access.privilege.min(Privilege::Supervisor));
        }
        // "Effect of MPRV on the translation and protection of explicit memory accesses": with MPRV = 1 and MPV = 1,
        // loads and stores are made as in VU-mode or VS-mode; with MPP = 3 (M) MPV is ignored.
        let mpv = self.hs.mstatus >> 39 & 1 == 1;
        let mprv = self.hs.mstatus >> 17 & 1 == 1;
        let privilege = self.hs.effective_privilege(access);
        let data = access.kind != AccessKind::Fetch;
        (mprv && mpv && data && privilege != Privilege::Machine).then_some(privilege)
    }

    /// Both stages if V = 1, of which the second may be another than G-stage; else the one.
    fn translate_over(
        &self,
        second: Option<Beyond<'_, Fault>>,
        access: Access,
        scratch: &Scratch<'_>,
    ) -> Result<Outcome, Refusal<Fault>> {
        let Some(privilege) = self.guest_privilege(access) else {
            return Ok(self.translate_for_host(access, scratch)?);
        };
        let guest = Guest::new(self, access, privilege, scratch);
        match second {
            Some(second) => guest.over(second).translate(),
            None => guest.translate(),
        }
    }

    /// V = 0: one stage, by the usual registers.
    fn translate_for_host(&self, access: Access, scratch: &Scratch<'_>) -> Result<Outcome, Fault> {
        let outcome = self.hs.translate(access, &scratch.tables(Stage::First));
        let outcome = outcome.map_err(|fault| Fault {
            exception: fault.exception.into(),
            tval: fault.tval,
            gva: false,
            tval2: 0,
            tinst: 0,
        })?;
        scratch.apply(Stage::First, &outcome.writes);
        Ok(outcome)
    }

    /// The guest-physical address that the tables in `guest`, guest-physical memory, lead a load to. For generators:
    /// what A, D, X, and G-stage say does not matter.
    #[must_use]
    pub fn guest_physical(&self, va: VirtAddr, guest: &dyn Memory) -> Option<PhysAddr> {
        let vs = self.vs_level();
        let lenient = super::Registers { mstatus: 3 << 18, menvcfg: vs.menvcfg | 1 << 61, ..vs };
        let modes = [Privilege::Supervisor, Privilege::User];
        modes.into_iter().find_map(|mode| {
            let outcome = lenient.translate(Access::load(va, 1).with_privilege(mode), guest);
            outcome.ok().map(|outcome| outcome.pa)
        })
    }

    /// Where a guest-physical byte stands. For generators: what A, D, and PMP say does not matter.
    #[must_use]
    pub fn host_of(&self, gpa: PhysAddr, memory: &dyn Memory) -> Option<PhysAddr> {
        let menvcfg = self.hs.menvcfg | 1 << 61;
        let hs = super::Registers { mstatus: 1 << 19, menvcfg, pmp: Vec::new(), ..self.hs.clone() };
        let lenient = Self { hs, ..self.clone() };
        let scratch = Scratch::new(memory);
        let any = Access::load(VirtAddr::new(0), 1);
        Guest::new(&lenient, any, Privilege::User, &scratch).host_of(gpa)
    }

    /// VS-stage as one stage that knows no other: `vsatp` instead of `satp`, `vsstatus` and `henvcfg`. Setting MXR at
    /// HS-level overrides both stages. PMP applies to supervisor physical addresses, which these are not.
    fn vs_level(&self) -> super::Registers {
        let (sum, mxr) = (1 << 18, 1 << 19);
        super::Registers {
            xlen: self.hs.xlen,
            satp: self.vsatp,
            mstatus: self.vsstatus & (sum | mxr) | self.hs.mstatus & mxr,
            menvcfg: self.henvcfg & self.hs.menvcfg,
            svnapot: self.hs.svnapot,
            pmp: Vec::new(),
        }
    }

    /// G-stage as one stage: `hgatp` instead of `satp`, whose root is aligned to 16 KiB. MXR makes executable pages
    /// readable for explicit loads; `menvcfg` counts for it as it does for HS-mode.
    fn g_level(&self, explicit: bool) -> super::Registers {
        let mxr = if explicit { self.hs.mstatus & 1 << 19 } else { 0 };
        super::Registers { satp: self.hgatp & !3, mstatus: mxr, ..self.hs.clone() }
    }
}

/// The fields of a guest-page fault at a guest-physical address.
fn guest_page_fault(
    access: Access,
    tval: u64,
    gpa: PhysAddr,
    implicit: Option<Implicit>,
    xlen: Xlen,
) -> Fault {
    Fault {
        exception: Exception::guest_page_fault(access.kind),
        tval,
        gva: true,
        tval2: gpa.raw() >> 2,
        tinst: implicit.map_or(0, |implicit| implicit.pseudoinstruction(xlen)),
    }
}
