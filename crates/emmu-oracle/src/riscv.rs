//! RISC-V: Bare, Sv32, Sv39, Sv48 and Sv57 with Svade, Svadu, Svnapot, Svpbmt and PMP, after the RISC-V
//! Instruction Set Manual, Volume II: Privileged Architecture (version 20240411 and later; chapter 3 on
//! machine mode is cited by number, those on supervisor mode, which moved since, by title).
//!
//! ```text
//!            63   62  61  60     54 53                       10 9   8 7 6 5 4 3 2 1 0
//!           ┌───┬──────┬─────────┬───────────────────────────┬─────┬─┬─┬─┬─┬─┬─┬─┬─┐
//! Sv39–Sv57 │ N │ PBMT │ reserved│        PPN (44 bits)      │ RSW │D│A│G│U│X│W│R│V│
//!           └───┴──────┴─────────┴───────────────────────────┴─────┴─┴─┴─┴─┴─┴─┴─┴─┘
//! Sv32                            31     PPN (22 bits)     10  (the same ten bits)
//! ```
//!
//! Two stages are in [`hypervisor`]. Not modelled: Smepmp, shadow stacks, pointer masking, physical memory
//! attributes other than a hole in the address map.

pub mod hypervisor;
mod pmp;
mod process;

pub use emmu_vectors::riscv::{Exception, Fault};
pub use pmp::PmpEntry;

use crate::reference::{Memory, Outcome, Reference};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege};

/// The width of the registers and of virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Xlen {
    /// 32 bits: `satp` selects Bare or Sv32; physical addresses have 34 bits.
    Rv32,
    /// 64 bits: `satp` selects Bare, Sv39, Sv48 or Sv57; physical addresses have 56 bits.
    Rv64,
}

/// The registers that translation depends on, with values that the hart could hold (after WARL
/// legalisation).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// The width of the registers.
    pub xlen: Xlen,
    /// `satp` ("Supervisor Address Translation and Protection Register"). Its MODE is never one that is reserved or not implemented; should it be, it
    /// counts as Bare. See [`legalize_satp`].
    pub satp: u64,
    /// `mstatus`, section 3.1.6: MPP 12:11, MPRV 17, SUM 18, MXR 19.
    pub mstatus: u64,
    /// `menvcfg`, section 3.1.18, as 64 bits on RV32 too: ADUE 61, PBMTE 62.
    pub menvcfg: u64,
    /// True if Svnapot is implemented.
    pub svnapot: bool,
    /// The PMP entries that are implemented, 0 first. None at all: there is no PMP, and nothing is forbidden.
    pub pmp: Vec<PmpEntry>,
}

impl Reference for Registers {
    type Fault = Fault;

    /// Translates and checks PMP for all bytes of `access`, which must not leave its 4 KiB page.
    ///
    /// A faulting access changes no entry, even if only PMP refuses the page it leads to: updates of D are
    /// exact ("Addressing and Memory Protection"), and that store never wrote the page.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        let fault = |exception| Fault { exception, tval: self.truncate(access.addr.raw()) };
        let privilege = self.effective_privilege(access);
        let outcome = match self.scheme(privilege) {
            None => self.without_paging(access),
            Some(scheme) => self.translation_process(scheme, access, privilege, memory),
        };
        let outcome = outcome.map_err(fault)?;
        if self.pmp_allows(access.kind, privilege, outcome.pa.raw(), u64::from(access.size)) {
            Ok(outcome)
        } else {
            Err(fault(Exception::access_fault(access.kind)))
        }
    }
}

/// One page-based virtual-memory system: "Sv32", "Sv39", "Sv48", "Sv57".
#[derive(Clone, Copy)]
struct Scheme {
    /// LEVELS.
    levels: u32,
    /// Bits in each `vpn[i]`.
    vpn_bits: u32,
    /// PTESIZE in bytes.
    pte_size: u8,
    /// True if incoming addresses have 2 more bits, and the root is four times as large: "Sv32x4" and so on.
    widened: bool,
}

const SV32: Scheme = Scheme { levels: 2, vpn_bits: 10, pte_size: 4, widened: false };
const SV39: Scheme = Scheme { levels: 3, vpn_bits: 9, pte_size: 8, widened: false };
const SV48: Scheme = Scheme { levels: 4, vpn_bits: 9, pte_size: 8, widened: false };
const SV57: Scheme = Scheme { levels: 5, vpn_bits: 9, pte_size: 8, widened: false };

impl Scheme {
    /// The scheme of guest-physical addresses that is a variation of this one.
    fn widened(self) -> Self {
        Self { widened: true, ..self }
    }
}

impl Registers {
    /// Bare, with nothing else switched on either.
    #[must_use]
    pub fn bare(xlen: Xlen) -> Self {
        Self { xlen, satp: 0, mstatus: 0, menvcfg: 0, svnapot: false, pmp: Vec::new() }
    }

    /// 3.1.6.3: with MPRV set, loads and stores are translated and protected as though the current privilege
    /// mode were MPP; instruction fetches are unaffected.
    fn effective_privilege(&self, access: Access) -> Privilege {
        let mprv = self.mstatus >> 17 & 1 == 1;
        if access.kind == AccessKind::Fetch || !mprv {
            return access.privilege;
        }
        match self.mstatus >> 11 & 3 {
            0 => Privilege::User,
            1 => Privilege::Supervisor,
            _ => Privilege::Machine,
        }
    }

    /// The scheme of `satp`.MODE. `satp` is active when the effective privilege mode is S or U.
    fn scheme(&self, privilege: Privilege) -> Option<Scheme> {
        if privilege == Privilege::Machine {
            return None;
        }
        match (self.xlen, self.mode()) {
            (Xlen::Rv32, 1) => Some(SV32),
            (Xlen::Rv64, 8) => Some(SV39),
            (Xlen::Rv64, 9) => Some(SV48),
            (Xlen::Rv64, 10) => Some(SV57),
            _ => None,
        }
    }

    /// `satp`.MODE.
    fn mode(&self) -> u64 {
        match self.xlen {
            Xlen::Rv32 => self.satp >> 31 & 1,
            Xlen::Rv64 => self.satp >> 60,
        }
    }

    /// Bare: the address is physical already. Beyond the physical address space there is nothing to access.
    fn without_paging(&self, access: Access) -> Result<Outcome, Exception> {
        let pa = self.truncate(access.addr.raw());
        if pa >= 1 << 56 {
            return Err(Exception::access_fault(access.kind));
        }
        Ok(Outcome { pa: PhysAddr::new(pa), page_bits: 64, writes: Vec::new() })
    }

    /// Addresses have XLEN bits.
    fn truncate(&self, addr: u64) -> u64 {
        match self.xlen {
            Xlen::Rv32 => addr & 0xffff_ffff,
            Xlen::Rv64 => addr,
        }
    }
}

/// Returns the content of `satp` after `value` is written to it over `old`, on a hart that implements all of
/// Sv32 or Sv39 to Sv57 with the widest ASID.
///
/// The manual on `satp`: "if satp is written with an unsupported MODE, the entire write has no effect; no fields in satp
/// are modified". MODE = Bare with other fields set is unspecified there; they are kept.
#[must_use]
pub const fn legalize_satp(xlen: Xlen, old: u64, value: u64) -> u64 {
    match xlen {
        Xlen::Rv32 => value & 0xffff_ffff,
        Xlen::Rv64 => match value >> 60 {
            0 | 8 | 9 | 10 => value,
            _ => old,
        },
    }
}
