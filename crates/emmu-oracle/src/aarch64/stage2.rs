//! Stage 2 of the EL1&0 regime: what EL2 makes of intermediate physical addresses.
//!
//! Source: Arm Architecture Reference Manual for A-profile, DDI 0487, revision K.a: part D8, and the shared
//! pseudocode `aarch64/translation`, above all `AArch64.S2Translate()`, `AArch64.S2Walk()`, and `AArch64.Abort()`.
//!
//! ```text
//! block, page  54 53 XN | 52 Contiguous | 51 DBM | output address 47:n | 10 AF | 9:8 SH | 7:6 S2AP | 5:2 MemAttr | 1:0
//! VTCR_EL2     22 HD | 21 HA | 19 VS | 18:16 PS | 15:14 TG0 | 7:6 SL0 | 5:0 T0SZ
//! VTTBR_EL2    63:48 VMID | 47:1 BADDR
//! HCR_EL2      2 PTW | 0 VM
//! ```
//!
//! Models: granules of 4, 16 and 64 KiB, first levels by SL0 with up to sixteen concatenated tables (FEAT_TTST: level 3
//! too with 4 KiB), T0SZ down to the size of physical addresses, PS, S2AP, XN\[1:0\] (FEAT_XNX), the access flag,
//! hardware management of access flag and dirty state, protected table walks (PTW); stage 1 on or off above it.
//!
//! Does not model, beside what stage 1 does not: HCR_EL2.DC, TGE and E2H, FEAT_S2FWB, FEAT_S2PIE and overlays, and the
//! syndrome of the instruction (ISV).
//!
//! # Where the manual leaves a choice
//!
//! Those of stage 1, where stage 2 has them too; and
//! * A T0SZ outside of its limits, an SL0 that is reserved or needs larger physical addresses, and one that does not suit
//!   T0SZ give a Translation fault at level 0, as the pseudocode has it.
//! * WnR tells of the instruction, as the pseudocode has it, also where stage 1's walk is refused: 1 for a store,
//!   0 for an atomic access.
//! * HPFAR_EL2 holds nothing for faults where it is UNKNOWN: Permission faults but those on stage 1's walk, and
//!   External aborts.

mod guest;
mod params;
mod walk;

use super::FaultKind;
use crate::reference::{Memory, Outcome, Reference};
use crate::two_stage::{Beyond, Nested, TwoStage, Visit, on_scratch};
use emmu_core::{Access, PhysAddr, Privilege, VirtAddr};
use guest::Guest;
use params::S2Params;

/// The registers that both stages of the EL1&0 regime depend on.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_oracle::aarch64::{FaultKind, stage2::{Fault, Registers}};
/// use emmu_oracle::{Reference, TwoStage, reference::SparseMemory};
///
/// // Stage 1 off; 4 KiB pages at stage 2, 30 bits, from one table of level 2 (SL0 = 0).
/// let registers = Registers {
///     hcr_el2: 1,
///     vtcr_el2: 34 | 0b101 << 16,
///     vttbr_el2: 0x8000,
///     ..Registers::default()
/// };
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x8000), 0x4000_0000 | 1 << 10 | 0b01 << 6 | 0b1111 << 2 | 1); // 2 MiB, to read
///
/// let read = Access::load(VirtAddr::new(0x1234), 4);
/// let nested = registers.nested(read, &memory);
/// assert_eq!(nested.reads.len(), 1);
/// assert_eq!(nested.answer.map(|outcome| outcome.pa), Ok(PhysAddr::new(0x4000_1234)));
///
/// let write = Access::store(VirtAddr::new(0x1234), 4);
/// let Err(Fault::Stage2(fault)) = registers.translate(write, &memory) else { panic!() };
/// assert_eq!((fault.kind, fault.level, fault.esr), (FaultKind::Permission, 2, 0x9200_004e));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Those of stage 1, and the size of physical addresses.
    pub el1: super::Registers,
    /// Hypervisor configuration: `VM` 0, `PTW` 2.
    pub hcr_el2: u64,
    /// Translation control: `T0SZ` 5:0, `SL0` 7:6, `TG0` 15:14, `PS` 18:16, `HA` 21, `HD` 22.
    pub vtcr_el2: u64,
    /// Translation table base: `BADDR` 47:1, `VMID` 63:48 (ignored here).
    pub vttbr_el2: u64,
}

/// The abort that a refused access takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An abort by stage 1, taken to EL1.
    Stage1(super::Fault),
    /// An abort by stage 2, taken to EL2.
    Stage2(Stage2Fault),
}

/// A Data Abort or Instruction Abort taken from EL0 or EL1 to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage2Fault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The lookup level that it is reported for, 0 to 3.
    pub level: u32,
    /// True if the walk of stage 1 was refused, and not the access itself: `ESR_EL2.ISS.S1PTW`, bit 7.
    pub s1ptw: bool,
    /// `ESR_EL2`, with `ISV` = 0.
    pub esr: u64,
    /// `FAR_EL2`: the virtual address as the program issued it, tag and all.
    pub far: u64,
    /// The intermediate physical address that was refused.
    pub ipa: PhysAddr,
    /// `HPFAR_EL2`: bits 47:12 of it from bit 4 up; none where the register is UNKNOWN.
    pub hpfar: Option<u64>,
}

impl Reference for Registers {
    type Fault = Fault;

    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        self.nested(access, memory).answer
    }
}

impl TwoStage for Registers {
    fn nested(&self, access: Access, memory: &dyn Memory) -> Nested<Fault> {
        on_scratch(memory, |scratch| Guest::new(self, access, scratch).translate())
    }

    fn first_stage(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Fault>,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| Guest::new(self, access, scratch).over(second).translate())
    }

    fn second_stage(
        &self,
        access: Access,
        (ipa, visit): (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| Guest::new(self, access, scratch).stage_2(ipa, visit))
    }
}

impl Registers {
    /// The intermediate physical address that the tables in `guest`, memory of such addresses, lead a load or fetch to.
    /// For generators: access flag and rights hardly matter.
    #[must_use]
    pub fn intermediate(&self, va: VirtAddr, guest: &dyn Memory) -> Option<PhysAddr> {
        let lenient =
            super::Registers { tcr_el1: self.el1.tcr_el1 | 1 << 39, pan: false, ..self.el1 };
        let accesses = [Access::load(va, 1), Access::load(va, 1).with_privilege(Privilege::User)];
        accesses.into_iter().find_map(|access| Some(lenient.mapping(access, guest).ok()?.pa))
    }

    /// Where a byte of an intermediate physical address stands, whatever rights there are. For generators.
    #[must_use]
    pub fn host_of(&self, ipa: PhysAddr, memory: &dyn Memory) -> Option<PhysAddr> {
        let mut params = S2Params::new(self);
        params.ha = true;
        if !params.vm {
            return Some(ipa);
        }
        let walked = walk::s2_walk(&params, ipa.raw(), memory).ok()?;
        Some(walked.output(&params, ipa.raw()))
    }
}
