//! Units whose tables and registers change under them, against what the manuals let a TLB remember.
//!
//! [`coherent`] plays a [`Script`] of accesses, table writes, register writes and invalidations on a unit of one stage
//! or of two, with random TLBs and walk caches, and keeps a ledger of its own: of every walk that the unit tells of,
//! the entries that were read, of which stage, and under which root, address space and virtual machine. An invalidation
//! strikes out what the manual says that it covers, and so does a page fault or an EPT violation on x86. Then
//! * an access that walks from the root is answered as the reference model answers, and changes memory so;
//! * a walk that a walk cache shortens starts in a table to which entries on the ledger lead, and is answered as
//!   the model answers with those entries in place of what is in memory now;
//! * an access that hits is answered as the model answers with the entries of one walk on the ledger, *under the
//!   permission registers of now* (SUM, MXR, MPRV, WP, SMEP, SMAP, AC, PKRU, WXN, PAN, privilege), and only if no
//!   accessed or dirty flag is missing in them;
//! * so is a ticket that the unit repeats.
//!
//! # Two stages
//!
//! Each guest-physical address that the first stage has translated is to the second stage what an access is to the only
//! one, and judged alike, with the second stage's items on the ledger. Given where these led, the first stage is judged
//! as if there were no other. A TLB of both stages holds the entries of the first together with those that the second
//! read for the address of the access, and is struck out by either's invalidations:
//!
//! | | first stage's walk caches | both stages' TLBs | second stage's |
//! |---|---|---|---|
//! | SFENCE.VMA in a guest, HFENCE.VVMA | all of ASID and VMID; none if an address is named | the page, or all | – |
//! | HFENCE.GVMA | – | those of VMID whose guest-physical address is in the page | leaf entries of the page, or all |
//! | MOV CR3, INVPCID, CR4.PGE | of the VPID, under any EPTRTA | likewise | – |
//! | INVLPG | of the VPID and PCID, under any EPTRTA | the page, of them or global | – |
//! | INVVPID | of the VPID; on the way to an address | likewise | – |
//! | INVEPT | of the EPTRTA | of the EPTRTA | of the EPTRTA |
//! | #PF | on the way to the address | the page | – |
//! | EPT violation | on the way, if the linear address was translated | the page, likewise | what is used for the address |
//! | TLBI VMALLE1, VAE1, VAAE1, ASIDE1, RVAE1 | of the VMID; on the way to an address | of the VMID | – |
//! | TLBI IPAS2E1 | – | – | on the way to the address, of the VMID |
//! | TLBI VMALLS12E1, ALLE1 | of the VMID, or all | likewise | likewise |
//!
//! So an answer may be made of entries of several moments: of a table of the first stage that a walk cache remembers,
//! of the page that the second stage remembers for that table's address, and of what is in memory now. That is what
//! processors do that cache the stages apart, as RISC-V says of two conceptual caches ("Hypervisor Memory-Management
//! Fence Instructions"), the Arm ARM of entries of stage 1 and of stage 2 alone (D8, "TLB maintenance"), and the SDM of
//! guest-physical and combined mappings ("Caching Translation Information"). The SDM's combined paging-structure-cache
//! entries hold physical addresses; emmu's hold guest-physical ones, and ask the second stage again. What comes of that
//! is what comes of a walk that read the guest's entry then and EPT's later: no manual says that a walk reads its
//! entries at one moment, and what is tagged and invalidated as combined mappings are is no wider.
//!
//! An entry that is one of a run (Svnapot, Contiguous) may stand for the others of it, at either stage and at both;
//! what an invalidation of one page leaves of that is the other pages. Guests with PAE paging do not write CR3.
//!
//! # What is kept
//!
//! An invalidation forgets what it must, and nothing else. The last accesses that came out well are made again by
//! copies of the unit as it was just before the invalidation and as it is just after it. What a TLB answered before, or
//! a walk cache shortened, it does so still, unless the manual lets the invalidation cover an item on the ledger by
//! which it can have been. A run goes as a whole if one of its pages is invalidated; and where HFENCE.GVMA names an
//! address, all that both stages made with the tables that it names, since no entry of a TLB knows by which
//! guest-physical page it came.
//!
//! # What changes, and what there is
//!
//! Scripts write the registers that software turns while there are translations: roots, address spaces, permissions,
//! paging on and off, `satp.MODE`, CR4.PCIDE. Behind those whose writes the manuals want a fence (PMP, `TCR_EL1`), all
//! is invalidated, and what is checked is that nothing of before is left. Some units forget more than they are asked
//! to, and some RISC-V units remember invalid entries, which stay on the ledger like leaves.
//!
//! # What goes on the ledger
//!
//! A faulting walk puts nothing on it: a unit that remembers entries that are not present, or not permitted to be
//! cached, is found out at the next access. It is made of the model's own reads. It shares no code with `emmu-paging`,
//! and is stricter than the manuals in one respect: they let a processor fill its TLB at any time, whereas emmu's units
//! say that they fill it by accesses only, so that each hit must be due to one.
//!
//! [`accelerator_agrees`] plays a script on two CPUs, one of which may remember the way to RAM, and finds no
//! difference.

mod aarch64;
mod accelerator;
mod coverage;
mod fixture;
mod hashed;
mod judge;
mod ledger;
mod manual;
mod mostly_allowed;
mod query;
mod replay;
mod riscv;
mod script;
pub(crate) mod setup;
mod trace;
mod trial;
mod x86;

pub use accelerator::accelerator_agrees;
pub use coverage::Coverage;
pub use manual::{FaultInvalidates, Manual, Operands, RegisterWrite, WalkCacheScope, WriteContext};
pub use mostly_allowed::MostlyAllowed;
pub use query::{Query, Space};
pub use replay::EntryRead;
pub use script::{Script, Step};

use crate::generate::Case;
use core::fmt;
use thiserror::Error;
use trial::Trial;

/// Something that the unit did and the manual does not allow, at the end of what led to it.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("{what}, after\n  {}", .history.join("\n  "))]
pub struct Incoherent {
    /// The answer that is not allowed.
    pub what: String,
    /// The steps before it, and the step itself.
    pub history: Vec<String>,
}

/// As it is displayed, since that is how quickcheck shows it.
impl fmt::Debug for Incoherent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Plays the script on a unit with the registers and tables of the case.
///
/// # Errors
/// The first answer that the manual does not allow.
pub fn coherent<A: Manual>(case: Case<A>, script: Script) -> Result<(), Incoherent> {
    coverage_of(case, script).map(|_| ())
}

/// Plays the script like [`coherent`], and counts its accesses, hits and walks.
///
/// # Errors
/// As [`coherent`].
pub fn coverage_of<A: Manual>(case: Case<A>, script: Script) -> Result<Coverage, Incoherent> {
    match Trial::switch_on(case, script.setup) {
        Some(mut trial) => trial.play(script.steps),
        // The model and the unit agree that there are no such registers: `agree` sees to that.
        None => Ok(Coverage::default()),
    }
}
