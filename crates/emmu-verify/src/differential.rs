//! Compares units with reference models on generated cases, access by access.
//!
//! [`agree`] runs a [`Case`] on one unit per [`Setting`], and compares with the model of the same registers
//! * the physical address of the first byte, or the exception in the architecture's own terms;
//! * memory afterwards: accessed and dirty bits may change, nothing else, and nothing at all if the access faults (but
//!   see below on two stages);
//! * the events: the entries read are those that the model reads, in the same order, except those that caches spare the
//!   unit; the entry of a fault was read, and the updates were made; the events of a second stage stand between the
//!   events of its beginning and its end;
//! * `peek`, which answers like `translate` and cannot write;
//! * the span: the model allows the same access to the last byte of the span, the page or block contains the whole
//!   span, and a unit without caches gives the largest possible span.
//!
//! [`spans_agree`] makes accesses that leave their page, through a CPU. [`fences_suffice`] changes entries of two
//! stages between accesses, each time followed by the narrowest sufficient fence, and lets virtual machines take turns.
//!
//! # Permitted differences
//!
//! The manuals let an implementation choose, and model and unit chose differently:
//! * AArch64 physical addresses: the unit has 48 bits, so the model gets 48 bits too ([`Architecture::implemented`]).
//! * Runs of entries that map one contiguous range (AArch64 Contiguous bit, RISC-V Svnapot): the model takes every
//!   entry for itself, the unit takes the run as one entry. Software has to make the entries of a run agree (Arm ARM
//!   D8.7.1; "Svnapot"); where they do not, the manuals leave the result open. So a span may reach to the end of a run,
//!   and [`Setting::Warm`] is only for cases whose runs are whole and have equal protection. Hardware may set the flags
//!   of a whole run in any one entry, and a cached run needs no flags: writes to a run are not compared then.
//! * Past the last address ([`Architecture::leaves_address_space`]) and in larger pages under PMP
//!   ([`Architecture::has_memory_protection`]) an access that leaves its 4 KiB page may be one or several.
//! * A fault past the first page of such an access: flags that its lower pieces set may stay set. They do, in both.
//! * Entries that overlap because tables are not aligned, as described formats allow: a cached entry becomes stale when
//!   an update of the other entry changes a part of it. On units with caches such an access is not made.
//! * Two stages: the second stage's flags are set for each guest-physical address that it allows, even if the access
//!   faults later; the number of addresses that it allows before the fault is found is open. The unit never sets flags
//!   of the first stage then. Of two refusals, of the update of a flag and of the access itself, either may be reported
//!   ([`Nested::other`](emmu_oracle::two_stage::Nested::other)).
//! * An entry of both stages that one of them changes
//!   ([`Nested::entangled`](emmu_oracle::two_stage::Nested::entangled)): the result of such an access is not compared,
//!   and units with caches do not make the access. [`Setting::Warm`] units do not make an access either if some entry
//!   of either stage says that it belongs to a run.

mod case_bus;
mod fences;
mod operation;
mod roles;
mod rules;
mod setting;
mod spanning;
mod trace;
mod trial;

pub(crate) use case_bus::CaseBus;
pub use fences::{Fenced, Step, fences_suffice};
pub(crate) use operation::perform;
pub use setting::Setting;
pub use spanning::spans_agree;

use crate::Architecture;
use crate::generate::Case;
use core::fmt::Debug;
use emmu_core::Access;
use thiserror::Error;
use trial::Trial;

/// An access on which unit and model do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting}, {place}: {mismatch}")]
pub struct Disagreement {
    /// The setting of the unit.
    pub setting: Setting,
    /// The number of the access in the case, and the access; or the switching on.
    pub place: String,
    /// The difference.
    pub mismatch: Mismatch,
}

/// An answer of the unit that differs from the answer of the model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: expected {expected}, got {got}")]
pub struct Mismatch {
    /// The kind of answer.
    pub what: &'static str,
    /// The answer of the model.
    pub expected: String,
    /// The answer of the unit.
    pub got: String,
}

impl Mismatch {
    fn at(self, setting: Setting, (number, access): (usize, Access)) -> Disagreement {
        Disagreement { setting, place: format!("access {number} ({access})"), mismatch: self }
    }
}

/// Compares two answers.
fn same<T: Debug + PartialEq>(what: &'static str, expected: &T, got: &T) -> Result<(), Mismatch> {
    if expected == got {
        return Ok(());
    }
    Err(Mismatch { what, expected: format!("{expected:x?}"), got: format!("{got:x?}") })
}

/// Runs the case on units without caches, with caches that are flushed before each access, and with caches that are
/// never flushed, and compares each access with the model.
///
/// # Errors
/// The first [`Disagreement`].
pub fn agree<A: Architecture>(case: Case<A>) -> Result<(), Disagreement> {
    let case = implemented(case);
    let whole_runs = run(&case, Setting::Uncached)?;
    run(&case, Setting::Flushed)?;
    run(&case, Setting::WarmPages)?;
    if whole_runs {
        run(&case, Setting::Warm)?;
    }
    Ok(())
}

/// Returns the case with registers that the unit can hold.
fn implemented<A: Architecture>(case: Case<A>) -> Case<A> {
    let memory = case.memory();
    Case { registers: case.registers.implemented(&memory), ..case }
}

/// Runs the case on one unit. Returns true if all runs of entries that it used were whole.
fn run<A: Architecture>(case: &Case<A>, setting: Setting) -> Result<bool, Disagreement> {
    let switched_on = Trial::switch_on(case, setting).map_err(|mismatch| {
        let place = "switching on".to_owned();
        Disagreement { setting, place, mismatch }
    })?;
    // If the model says that the registers cannot be switched on, there are no accesses to compare.
    let Some(mut trial) = switched_on else { return Ok(true) };
    for place in case.accesses.iter().copied().enumerate() {
        trial.access(place.1).map_err(|mismatch| mismatch.at(setting, place))?;
    }
    Ok(trial.whole_runs())
}
