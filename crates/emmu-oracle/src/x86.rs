//! x86: 32-bit, PAE, 4-level and 5-level paging, after the Intel SDM, Volume 3A, chapter 5, "Paging"
//! (chapter 4 in revisions before 2024).
//!
//! Modelled are processors with PSE-36, PAT, 1-GByte pages and execute-disable. Not modelled: HLAT,
//! supervisor protection keys, shadow stacks, linear-address masking, memory types. What EPT makes of it for a guest is
//! in [`ept`].

pub mod ept;
mod rights;
mod walk;

use crate::reference::{Hole, Memory, Outcome, Reference, Write};
use emmu_core::{Access, AccessFlags, AccessKind, PhysAddr, Privilege};
use walk::Path;

/// The registers that translation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// CR0: WP 16, PG 31.
    pub cr0: u64,
    /// CR3. Bits 11:0 do not matter to a walk, whatever they mean.
    pub cr3: u64,
    /// CR4: PSE 4, PAE 5, LA57 12, SMEP 20, SMAP 21, PKE 22.
    pub cr4: u64,
    /// IA32_EFER: LME 8, NXE 11.
    pub efer: u64,
    /// PKRU: AD and WD of key i are bits 2i and 2i + 1.
    pub pkru: u32,
    /// EFLAGS.AC.
    pub ac: bool,
    /// MAXPHYADDR, 32 to 52; a value outside counts as the nearer end.
    pub maxphyaddr: u32,
    /// The PDPTE registers, which only PAE paging uses: see [`Registers::load_pdptes`].
    pub pdptes: [u64; 4],
}

/// The exception that a refused access raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// #PF.
    PageFault {
        /// The error code pushed: P 0, W/R 1, U/S 2, RSVD 3, I/D 4, PK 5.
        code: u32,
        /// The linear address, as CR2 gets it.
        cr2: u64,
    },
    /// #GP(0).
    GeneralProtection,
    /// #SS(0).
    StackFault,
    /// Nothing answered the read of a table entry at this address. The architecture leaves open what comes
    /// of it; a machine check is one possibility.
    BusError {
        /// Where the entry should be.
        entry: PhysAddr,
    },
}

/// The paging modes, 5.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// CR0.PG = 0: linear addresses are physical.
    Off,
    /// CR4.PAE = 0: 32-bit paging.
    Bits32,
    /// CR4.PAE = 1, IA32_EFER.LME = 0.
    Pae,
    /// CR4.PAE = 1, IA32_EFER.LME = 1, CR4.LA57 = 0.
    Level4,
    /// CR4.PAE = 1, IA32_EFER.LME = 1, CR4.LA57 = 1.
    Level5,
}

impl Registers {
    /// Paging off, and all else 0, on a processor with physical addresses of so many bits.
    #[must_use]
    pub fn without_paging(maxphyaddr: u32) -> Self {
        let (cr0, cr3, cr4, efer, pkru) = (0, 0, 0, 0, 0);
        Self { cr0, cr3, cr4, efer, pkru, ac: false, maxphyaddr, pdptes: [0; 4] }
    }

    /// Which paging mode is on.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let pg = self.cr0 >> 31 & 1 == 1;
        let pae = self.cr4 >> 5 & 1 == 1;
        let lme = self.efer >> 8 & 1 == 1;
        let la57 = self.cr4 >> 12 & 1 == 1;
        match (pg, pae, lme, la57) {
            (false, ..) => Mode::Off,
            (true, false, ..) => Mode::Bits32,
            (true, true, false, _) => Mode::Pae,
            (true, true, true, false) => Mode::Level4,
            (true, true, true, true) => Mode::Level5,
        }
    }

    /// MAXPHYADDR, which the manual calls M.
    fn m(&self) -> u32 {
        self.maxphyaddr.clamp(32, 52)
    }

    /// The linear address, which has 32 bits outside of 64-bit mode.
    fn linear_address(&self, access: Access) -> u64 {
        match self.mode() {
            Mode::Off | Mode::Bits32 | Mode::Pae => access.addr.raw() & 0xffff_ffff,
            Mode::Level4 | Mode::Level5 => access.addr.raw(),
        }
    }

    /// The four PDPTEs at CR3, as a MOV to CR3 (or one to CR0 or CR4 that turns PAE paging on or changes it)
    /// loads them: 5.4.1. In any other paging mode none are loaded, and the registers keep their contents.
    ///
    /// # Errors
    /// [`Fault::GeneralProtection`] if a PDPTE has both the P flag and a reserved bit set: bits 2:1, 8:5 and
    /// 63:MAXPHYADDR. [`Fault::BusError`] if there is no memory at CR3.
    pub fn load_pdptes(&self, memory: &dyn Memory) -> Result<[u64; 4], Fault> {
        if self.mode() != Mode::Pae {
            return Ok(self.pdptes);
        }
        let reserved = 0b110 | 0b1_1110_0000 | u64::MAX << self.m();
        let mut pdptes = [0; 4];
        for (number, pdpte) in (0..).zip(&mut pdptes) {
            let entry = PhysAddr::new((self.cr3 & 0xffff_ffe0) + 8 * number);
            *pdpte = memory.read64(entry).map_err(|Hole| Fault::BusError { entry })?;
            if *pdpte & 1 == 1 && *pdpte & reserved != 0 {
                return Err(Fault::GeneralProtection);
            }
        }
        Ok(pdptes)
    }
}

impl Reference for Registers {
    type Fault = Fault;

    /// Translates the first byte; an access that leaves its 4 KiB page has to be cut up, but *all* its bytes
    /// are checked to be canonical. A faulting access changes no entry.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        self.check_canonical(access)?;
        let linear = self.linear_address(access);
        let path = match self.mode() {
            Mode::Off => return Ok(identity(linear)),
            Mode::Bits32 => self.walk_32_bit(linear, memory),
            Mode::Pae => self.walk_pae(linear, memory),
            Mode::Level4 => self.walk_4_level(linear, memory),
            Mode::Level5 => self.walk_5_level(linear, memory),
        };
        let path = path.map_err(|obstacle| self.explain(obstacle, access))?;
        self.check_access_rights(&path, access)?;
        let offset = linear & ((1 << path.page_bits) - 1);
        Ok(Outcome {
            pa: PhysAddr::new(path.page | offset),
            page_bits: path.page_bits,
            writes: accessed_and_dirty(&path, access.kind),
        })
    }

    /// Data is checked as a whole. A fetch reads on only as long as the instruction goes on, so that of what is
    /// one fetch here each piece is checked in its turn.
    fn check_whole(&self, access: Access) -> Result<(), Fault> {
        match access.kind {
            AccessKind::Fetch => Ok(()),
            AccessKind::Load | AccessKind::Store | AccessKind::Amo => self.check_canonical(access),
        }
    }
}

impl Registers {
    /// SDM Vol. 1, 3.3.7.1: in 64-bit mode bits 63:47 (63:56 with 5-level paging) of every byte's address
    /// are the same; otherwise #GP(0), or #SS(0) for a reference through the stack.
    fn check_canonical(&self, access: Access) -> Result<(), Fault> {
        let top = match self.mode() {
            Mode::Level4 => 47,
            Mode::Level5 => 56,
            _ => return Ok(()),
        };
        let first = access.addr.raw();
        let last = first.wrapping_add(u64::from(access.size.saturating_sub(1)));
        let canonical = |addr: u64| addr >> top == 0 || addr >> top == u64::MAX >> top;
        if canonical(first) && canonical(last) {
            Ok(())
        } else if access.flags.contains(AccessFlags::STACK) && access.kind != AccessKind::Fetch {
            Err(Fault::StackFault)
        } else {
            Err(Fault::GeneralProtection)
        }
    }
}

/// With paging off linear addresses are physical.
fn identity(linear: u64) -> Outcome {
    Outcome { pa: PhysAddr::new(linear), page_bits: 64, writes: Vec::new() }
}

/// 5.6.1: an access is a user-mode access if CPL = 3, unless it is implicit.
fn is_user_mode(access: Access) -> bool {
    access.privilege == Privilege::User && !access.flags.contains(AccessFlags::IMPLICIT)
}

/// Returns true if paging treats the access as a write. A locked read-modify-write is a write from the start.
fn is_write(kind: AccessKind) -> bool {
    matches!(kind, AccessKind::Store | AccessKind::Amo)
}

/// 5.8: the accessed flag (bit 5) of every entry on the path; the dirty flag (bit 6) of the one that maps
/// the page, on a write. Only entries that change are written.
///
/// An entry can be on the path more than once, as several levels of it; it is written once, at the end.
fn accessed_and_dirty(path: &Path, kind: AccessKind) -> Vec<Write> {
    let mut writes = Vec::new();
    for entry in &path.entries {
        // The last entry maps the page; compare by address, because it may have served as a table too.
        let maps_page = path.entries.last().is_some_and(|leaf| leaf.addr == entry.addr);
        let dirty = if maps_page && is_write(kind) { 1 << 6 } else { 0 };
        let value = entry.bits | 1 << 5 | dirty;
        let write = Write { addr: PhysAddr::new(entry.addr), size: entry.size, value };
        if value != entry.bits && !writes.contains(&write) {
            writes.push(write);
        }
    }
    writes.sort();
    writes
}
