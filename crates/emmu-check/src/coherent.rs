//! Units whose tables and registers change under them, against what the manuals let a TLB remember.
//!
//! [`coherent`] plays a [`Script`] of accesses, table writes, register writes and invalidations on a unit with random
//! TLBs and walk caches, and keeps a ledger of its own: of every walk that the unit tells of, the entries that were
//! read, and under which root and address space. An invalidation strikes out what the manual says that it covers.
//! Then
//! * an access that walks from the root is answered as the reference model answers, and changes memory so;
//! * a walk that a walk cache shortens starts in a table to which entries on the ledger lead, and is answered as
//!   the model answers with those entries in place of what is in memory now;
//! * an access that hits is answered as the model answers with the entries of one walk on the ledger, *under the
//!   permission registers of now* (SUM, MXR, MPRV, WP, SMEP, SMAP, AC, PKRU, WXN, PAN, privilege), and only if no
//!   accessed or dirty flag is missing in them;
//! * so is a ticket that the unit repeats.
//!
//! A faulting walk puts nothing on the ledger: a unit that remembers entries that are not present, or not permitted
//! to be cached, is found out at the next access.
//!
//! The ledger is made of the model's own reads. It shares no code with `emmu-paging`, and is stricter than the
//! manuals in one respect: they let a processor fill its TLB at any time, whereas emmu's units say that they fill it
//! by accesses only, so that each hit must be due to one.
//!
//! [`twins_agree`] plays a script on two CPUs, one of which may remember the way to RAM, and finds no difference.

mod aarch64;
mod ledger;
mod manual;
mod riscv;
mod scenery;
mod script;
pub(crate) mod setup;
mod tape;
mod trial;
mod twins;
mod x86;

pub use manual::{Forgets, Manual, Turn};
pub use script::{Script, Step};
pub use tape::EntryRead;
pub use twins::twins_agree;

use core::fmt;
use emmu_oracle::generate::Case;
use thiserror::Error;
use trial::Trial;

/// Something that the unit did and the manual does not allow, at the end of what led to it.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("{what}, after\n  {}", .story.join("\n  "))]
pub struct Incoherent {
    /// What it was.
    pub what: String,
    /// What was done before, and it.
    pub story: Vec<String>,
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
    match Trial::switch_on(case, script.setup) {
        Some(mut trial) => trial.play(script.steps),
        // The model and the unit agree that there are no such registers: `agree` sees to that.
        None => Ok(()),
    }
}
