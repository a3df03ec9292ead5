//! Units against reference models, on generated cases, access by access.
//!
//! [`agree`] runs a [`Case`] on one unit per [`Setting`] and compares with the model of the same registers
//! * the physical address of the first byte, or the exception in the architecture's own terms;
//! * memory afterwards: accessed and dirty bits, and nothing else, and nothing at all if the access faults (but see
//!   below on two stages);
//! * what was told to the probe: the entries read are those that the model reads, in its order, of which caches spare the
//!   unit some; the entry of a fault was read, the updates were made; what a second stage does is between the events
//!   that say so;
//! * `peek`, which answers like `translate` and has nothing to write with;
//! * the span: the model allows the same access to its last byte, no page or block ends before it does, and for a
//!   unit without caches no larger one would do.
//!
//! [`spans_agree`] makes accesses that leave their page, through a CPU. [`fences_suffice`] changes entries of two
//! stages between accesses, each time behind a fence that is just enough, and lets virtual machines take turns.
//!
//! # Where they may differ
//!
//! The manuals let an implementation choose, and model and unit chose differently:
//! * AArch64 physical addresses: the unit has 48 bits, so the model gets as many ([`Architecture::implemented`]).
//! * Runs of entries that map one contiguous range (AArch64 Contiguous bit, RISC-V Svnapot): the model takes every
//!   entry for itself, the unit the run for one. Software has to see to it that they say the same (Arm ARM D8.7.1;
//!   "Svnapot"), and where they do not, what comes of it is left open. So a span may reach to the end of a run, and
//!   [`Setting::Warm`] is only for cases whose runs are whole and protected alike. Of a whole run hardware may set the
//!   flags in any one entry, and a cached run needs none: what is written then is not compared.
//! * Past the last address ([`Architecture::leaves_address_space`]) and in larger pages under PMP
//!   ([`Architecture::has_memory_protection`]) an access that leaves its 4 KiB page may be one or several.
//! * A fault past the first page of such an access: flags that its lower pieces set may stay set. They do, in both.
//! * Entries that overlap because tables are not aligned, as described formats let them be: one that is cached, and of
//!   which an update of the other changes a part, is stale. On units that remember something such an access is not made.
//! * Two stages: the second one's flags are set for each guest-physical address that it lets pass, even if the access
//!   comes to a fault later; how many it lets pass before the fault is found is open. The unit never sets flags of the
//!   first stage then. Of two refusals, of the update of a flag and of the access itself, either may be reported
//!   ([`Nested::other`](emmu_oracle::two_stage::Nested::other)).
//! * An entry of both stages that one of them changes
//!   ([`Nested::entangled`](emmu_oracle::two_stage::Nested::entangled)): what comes of such an access is not compared, and
//!   where something is cached it is not made. Nor is an access on [`Setting::Warm`] units where some entry of either
//!   stage says that it is one of a run.

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
    /// How the unit was set up.
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
    /// Of which answer.
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

/// Runs the case on units without caches, with caches that are flushed before each access, and with caches that
/// stay, and compares each access with the model.
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

/// The case with registers that the unit can hold.
fn implemented<A: Architecture>(case: Case<A>) -> Case<A> {
    let memory = case.memory();
    Case { registers: case.registers.implemented(&memory), ..case }
}

/// Runs the case on one unit. Returns whether all runs of entries that it used were whole.
fn run<A: Architecture>(case: &Case<A>, setting: Setting) -> Result<bool, Disagreement> {
    let switched_on = Trial::switch_on(case, setting).map_err(|mismatch| {
        let place = "switching on".to_owned();
        Disagreement { setting, place, mismatch }
    })?;
    // What cannot be switched on, because the model says so, is not put to any access.
    let Some(mut trial) = switched_on else { return Ok(true) };
    for place in case.accesses.iter().copied().enumerate() {
        trial.access(place.1).map_err(|mismatch| mismatch.at(setting, place))?;
    }
    Ok(trial.whole_runs())
}
