//! Extended page tables: the second stage of VMX, after the Intel SDM, Volume 3C, chapter "VMX Support for Address
//! Translation" (30; 28 and 29 in older revisions), sections "The Extended Page Table Mechanism (EPT)" and
//! "Accessed and Dirty Flags for EPT", and section "Exit qualification" of chapter "VM Exits".
//!
//! ```text
//!               63   52 51    M M-1       12 11 10  9   8   7    6   5 3  2 1 0
//!              ┌───────┬───────┬────────────┬─────┬───┬───┬───┬──────┬────┬─┬─┬─┐
//! table        │ ignored│  rsvd │  address   │ ign │ign│ A │ 0 │    rsvd   │X│W│R│
//! page         │ ignored│  rsvd │  address   │ ign │ D │ A │ 1*│ IPAT │type│X│W│R│
//!              └───────┴───────┴────────────┴─────┴───┴───┴───┴──────┴────┴─┴─┴─┘
//!              * ignored in an EPT PTE
//! ```
//!
//! Modelled: 4-level and 5-level EPT with pages of 4 KiB, 2 MiB and 1 GiB below guests in any paging mode, or with
//! paging off; EPT violations with their exit qualification, EPT misconfigurations; accessed and dirty flags of both
//! stages; loads of PDPTEs. Not modelled: mode-based execute control, sub-page permissions, supervisor shadow-stack
//! control, guest-paging verification, HLAT, advanced exit information, page-modification logging, memory types.
//!
//! # Where the manual leaves a choice
//!
//! * An EPT violation by a read-modify-write operation, as the update of a guest's flags is one, sets bit 0 of the exit
//!   qualification beside bit 1, which is "implementation-specific".
//! * An access that faults, or exits, changes no entry at either stage.
//! * The guest's flags are set when its whole walk is done and permits the access, before that reaches the page; in
//!   the order of the walk.
//! * A guest-physical address beyond 48 bits with 4-level EPT is an EPT violation whose entries allow nothing.

mod guest;
mod walk;

use crate::reference::{Memory, Outcome, Reference, Write};
use crate::two_stage::{Beyond, Nested, Scratch, TwoStage, Visit, on_scratch};
use emmu_core::{Access, PhysAddr, VirtAddr};
use guest::Guest;
use thiserror::Error;

/// The registers and VM-execution controls that translation depends on, in VMX non-root operation.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_oracle::reference::SparseMemory;
/// use emmu_oracle::x86::ept::{Fault, Registers};
/// use emmu_oracle::{Reference, TwoStage, x86};
///
/// // A guest without paging, on a 4-level EPT at 0x1000: write-back, accessed and dirty flags on.
/// let guest = x86::Registers::without_paging(40);
/// let registers = Registers { guest, eptp: 0x1000 | 1 << 6 | 3 << 3 | 6, ..Registers::default() };
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x1000), 0x2007);
/// memory.write64(PhysAddr::new(0x2000), 0x4000_00b1); // 1 GiB, to read
///
/// let nested = registers.nested(Access::load(VirtAddr::new(0x1234), 4), &memory);
/// assert_eq!(nested.reads.len(), 2);
/// assert_eq!(nested.answer.map(|outcome| outcome.pa), Ok(PhysAddr::new(0x4000_1234)));
///
/// let exit = registers.translate(Access::store(VirtAddr::new(0x1234), 4), &memory).unwrap_err();
/// let qualification = 1 << 8 | 1 << 7 | 0b001 << 3 | 0b010;
/// assert_eq!(exit, Fault::EptViolation { qualification, gpa: 0x1234, linear: Some(0x1234) });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Those of the guest. MAXPHYADDR is that of the processor, and so of both stages.
    pub guest: super::Registers,
    /// The extended-page-table pointer: memory type 2:0, page-walk length minus 1 in 5:3, accessed and dirty flags 6,
    /// address from 12 up.
    pub eptp: u64,
    /// The control "enable EPT". Without it, guest-physical addresses are physical.
    pub enable_ept: bool,
    /// True if the processor supports execute-only translations (`IA32_VMX_EPT_VPID_CAP` bit 0).
    pub execute_only: bool,
    /// The virtual-processor identifier. It tells what is cached apart, and is ignored here.
    pub vpid: u16,
}

impl Default for Registers {
    /// A guest without paging on an EPT at 0 without accessed and dirty flags, with execute-only translations.
    fn default() -> Self {
        let guest = super::Registers::without_paging(52);
        Self { guest, eptp: 3 << 3 | 6, enable_ept: true, execute_only: true, vpid: 0 }
    }
}

/// The VM exit that a refused access causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An exception that the guest gets.
    Exception(super::Fault),
    /// A VM exit: EPT violation, basic exit reason 48.
    EptViolation {
        /// The exit qualification: bits 2:0 the access, 5:3 what the entries allow, 7 whether there is a linear
        /// address, 8 whether the guest-physical address is its translation.
        qualification: u64,
        /// The guest-physical address.
        gpa: u64,
        /// The guest-linear address.
        linear: Option<u64>,
    },
    /// A VM exit: EPT misconfiguration, basic exit reason 49.
    EptMisconfiguration {
        /// The guest-physical address.
        gpa: u64,
    },
    /// Nothing answered the read of a table entry of either stage at this address.
    BusError {
        /// Where the entry should be, in host memory.
        entry: PhysAddr,
    },
    /// There is no guest: VM entry fails with such an EPTP.
    InvalidEptp(InvalidEptp),
}

impl From<super::Fault> for Fault {
    fn from(fault: super::Fault) -> Self {
        Self::Exception(fault)
    }
}

/// Why VM entry refuses an EPTP: "Checks on VMX Controls", "VM-Execution Control Fields".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum InvalidEptp {
    /// Bits 2:0 are neither 0, uncacheable, nor 6, write-back.
    #[error("EPTP: memory type {0}, expected 0 or 6")]
    MemoryType(u64),
    /// Bits 5:3 are neither 3, for four levels, nor 4, for five.
    #[error("EPTP: page-walk length minus 1 is {0}, expected 3 or 4")]
    WalkLength(u64),
    /// One of bits 11:7 or of those from MAXPHYADDR up is set.
    #[error("EPTP: reserved bits {0:#x} are set")]
    Reserved(u64),
}

impl Reference for Registers {
    type Fault = Fault;

    /// Translates the first byte, as the guest's [`Reference::translate`] does.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        self.nested(access, memory).answer
    }

    fn check_whole(&self, access: Access) -> Result<(), Fault> {
        Ok(self.guest.check_whole(access)?)
    }
}

impl TwoStage for Registers {
    fn nested(&self, access: Access, memory: &dyn Memory) -> Nested<Fault> {
        on_scratch(memory, |scratch| match self.check_eptp() {
            Ok(()) => Guest::new(self, scratch).translate(access),
            Err(invalid) => Err(Fault::InvalidEptp(invalid).into()),
        })
    }

    fn first_stage(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Fault>,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| Guest::new(self, scratch).over(second).translate(access))
    }

    fn second_stage(
        &self,
        access: Access,
        (gpa, visit): (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| Guest::new(self, scratch).second(access, gpa, visit))
    }
}

impl Registers {
    /// Checks if VM entry accepts the EPTP.
    ///
    /// # Errors
    /// The first [`InvalidEptp`], in the order of the manual's list.
    pub fn check_eptp(&self) -> Result<(), InvalidEptp> {
        let (memory_type, walk_length) = (self.eptp & 7, self.eptp >> 3 & 7);
        let reserved = self.eptp & (0b1111_1000_0000 | u64::MAX << self.guest.m());
        if !self.enable_ept {
            Ok(())
        } else if memory_type != 0 && memory_type != 6 {
            Err(InvalidEptp::MemoryType(memory_type))
        } else if walk_length != 3 && walk_length != 4 {
            Err(InvalidEptp::WalkLength(walk_length))
        } else if reserved != 0 {
            Err(InvalidEptp::Reserved(reserved))
        } else {
            Ok(())
        }
    }

    /// The four PDPTEs that a MOV to CR3 of a guest with PAE paging loads, through EPT, and the EPT entries whose accessed
    /// flags it sets. In any other paging mode none are loaded, and the registers keep their contents.
    ///
    /// # Errors
    /// The exception or VM exit of the instruction.
    pub fn load_pdptes(&self, memory: &dyn Memory) -> Result<([u64; 4], Vec<Write>), Fault> {
        let scratch = Scratch::new(memory);
        let pdptes = Guest::new(self, &scratch).load_pdptes()?;
        Ok((pdptes, scratch.changes()))
    }

    /// The guest-physical address that the tables in `guest`, guest-physical memory, lead a load to. For generators.
    #[must_use]
    pub fn guest_physical(&self, va: VirtAddr, guest: &dyn Memory) -> Option<PhysAddr> {
        // Neither SMAP nor protection keys.
        let lenient = super::Registers { cr4: self.guest.cr4 & !(3 << 21), ..self.guest };
        lenient.translate(Access::load(va, 1), guest).ok().map(|outcome| outcome.pa)
    }

    /// Where a guest-physical byte stands, whatever rights there are. For generators.
    #[must_use]
    pub fn host_of(&self, gpa: PhysAddr, memory: &dyn Memory) -> Option<PhysAddr> {
        Guest::new(self, &Scratch::new(memory)).host_of(gpa)
    }
}
