//! Checks units whose tables and registers change against the rules of the manuals about cached translations.
//!
//! [`coherent`] plays a [`Script`] of accesses, table writes, register writes and invalidations on a unit of one stage
//! or of two, with random TLBs and walk caches. It keeps a ledger of its own: for every walk that the unit reports, the
//! ledger holds the entries that were read, their stage, and the root, address space and virtual machine under which
//! they were read. An invalidation removes the items that the manual says it covers, and so does a page fault or an EPT
//! violation on x86. Then
//! * an access that walks from the root gets the answer of the reference model, and makes the same changes in memory;
//! * a walk that a walk cache shortens starts in a table to which entries on the ledger lead, and gets the answer that
//!   the model gives if it reads those entries in place of the ones in memory now;
//! * an access that hits gets the answer that the model gives with the entries of one walk on the ledger, *under the
//!   permission registers of now* (SUM, MXR, MPRV, WP, SMEP, SMAP, AC, PKRU, WXN, PAN, privilege), and only if no
//!   accessed or dirty flag is missing in these entries;
//! * a ticket that the unit repeats follows the same rule as a hit.
//!
//! # Two stages
//!
//! The second stage translates each guest-physical address that the first stage uses. Its translations are judged by
//! the same rules, with the second stage's items on the ledger. Given their results, the first stage is judged as if
//! there were no other. A TLB of both stages holds the entries of the first stage together with those that the second
//! stage read for the address of the access, and the invalidations of either stage remove it:
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
//! So an answer may come from entries of several moments: from a table of the first stage that a walk cache holds, from
//! the page that the second stage has cached for that table's address, and from memory as it is now. Processors that
//! cache the stages apart answer so, as RISC-V says of two conceptual caches ("Hypervisor Memory-Management Fence
//! Instructions"), the Arm ARM of entries of stage 1 and of stage 2 alone (D8, "TLB maintenance"), and the SDM of
//! guest-physical and combined mappings ("Caching Translation Information"). The SDM's combined paging-structure-cache
//! entries hold physical addresses; emmu's hold guest-physical ones, and ask the second stage again. The result is that
//! of a walk that read the guest's entry first and EPT's later: no manual says that a walk reads its entries at one
//! moment. Since these entries are tagged and invalidated as combined mappings are, they allow no more than those.
//!
//! An entry of a run (Svnapot, Contiguous) may stand for the other entries of the run, at either stage and at both. An
//! invalidation of one page leaves the other pages of the run. Guests with PAE paging do not write CR3.
//!
//! # Entries that stay
//!
//! An invalidation drops the entries that it names, and no others. Copies of the unit as it was just before the
//! invalidation and as it is just after it repeat the last successful accesses. A TLB that hit before must hit again,
//! and a walk cache that shortened a walk must shorten it again, unless the manual lets the invalidation cover an item
//! on the ledger that can explain it. A run goes as a whole if one of its pages is invalidated. Where HFENCE.GVMA names
//! an address, all translations of both stages go that were made with the tables that it names, since a TLB entry does
//! not record its guest-physical page.
//!
//! # Registers and units
//!
//! Scripts write the registers that software changes while translations are cached: roots, address spaces, permissions,
//! paging on and off, `satp.MODE`, CR4.PCIDE. After writes for which the manuals want a fence (PMP, `TCR_EL1`),
//! everything is invalidated, and the check is that no earlier entry is left. Some units drop more entries than an
//! invalidation names, and some RISC-V units cache invalid entries, which stay on the ledger like leaves.
//!
//! # Contents of the ledger
//!
//! A faulting walk adds no translation to the ledger. So a unit that caches entries that are not present, or that may
//! not be cached, is found out at the next access. The ledger is made of the model's own reads. It shares no code with
//! `emmu-paging`, and is stricter than the manuals in one respect: they let a processor fill its TLB at any time,
//! whereas emmu's units say that they fill it by accesses only, so that each hit must be due to an access.
//!
//! [`accelerator_agrees`] plays a script on two CPUs, one of which has the accelerator, and finds no difference.

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

/// An action of the unit that the manual does not allow, with the steps that led to it.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("{what}, after\n  {}", .history.join("\n  "))]
pub struct Incoherent {
    /// The answer that is not allowed.
    pub what: String,
    /// The steps before it, and the step itself.
    pub history: Vec<String>,
}

/// Shows the displayed text, because quickcheck reports findings by `Debug`.
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
