//! The runner: any manager against the records.

use super::{Fact, Manager, Op, Placed, Record, Search, State, Subject};
use crate::{Report, VectorError};
use core::fmt;
use std::collections::BTreeMap;

/// A step after which something else was so than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The record's number.
    pub id: u64,
    /// Which step, counted from 0, or `None` before the first.
    pub step: Option<(usize, Op)>,
    /// The first fact that is not so, or `None` if the subject gave up.
    pub expected: Option<Fact>,
    /// The fact that holds instead, or the error of the subject.
    pub got: Result<Fact, String>,
}

/// Performs all steps of one record and tells each mismatch.
pub fn check(
    record: &Record,
    subject: &mut (impl Subject + ?Sized),
    on_mismatch: &mut dyn FnMut(Mismatch),
) -> Report {
    let mut report = Report::default();
    let mut tell = |step, failure: Failure| {
        let Failure { expected, got } = failure;
        on_mismatch(Mismatch { id: record.id, step, expected, got });
    };
    let manager = match subject.build(&record.heap) {
        Ok(manager) => manager,
        Err(why) => {
            tell(None, Failure::from(why));
            return Report { failed: 1 + record.steps.len() as u64, ..report };
        }
    };
    let mut run = Run { manager, live: BTreeMap::new() };
    if let Err(failure) = run.compare(&record.initial, None) {
        report.failed += 1;
        tell(None, failure);
    }
    for (number, step) in record.steps.iter().enumerate() {
        match run.perform(step.op).map(|search| run.compare(&step.facts, search)) {
            None => report.skipped += 1,
            Some(Ok(())) => report.passed += 1,
            Some(Err(failure)) => {
                report.failed += 1;
                tell(Some((number, step.op)), failure);
            }
        }
    }
    report
}

/// Runs all records, tells each mismatch, and counts.
///
/// # Errors
/// The [`VectorError`] of the first line that is no record; the lines before it have run.
pub fn run(
    records: impl IntoIterator<Item = Result<Record, VectorError>>,
    subject: &mut (impl Subject + ?Sized),
    on_mismatch: &mut dyn FnMut(Mismatch),
) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for record in records {
        report += check(&record?, subject, on_mismatch);
    }
    Ok(report)
}

/// A fact that does not hold.
struct Failure {
    expected: Option<Fact>,
    got: Result<Fact, String>,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { expected: None, got: Err(why) }
    }
}

/// A record on its way.
struct Run {
    manager: Box<dyn Manager>,
    /// By slot: where it is, and what was asked for.
    live: BTreeMap<u64, (Placed, u64, u64)>,
}

/// The result of a step: a search for an allocation, `None` for a free.
type Done = Result<Option<Search>, String>;

impl Run {
    /// `None` if there is nothing to do.
    fn perform(&mut self, op: Op) -> Option<Done> {
        match op {
            Op::Allocate { slot, size, align } => {
                let done = self.manager.allocate(size, align);
                if let Ok(Search { found: Some(placed), .. }) = done {
                    self.live.insert(slot, (placed, size, align));
                }
                Some(done.map(Some))
            }
            Op::Free { slot } => {
                let (placed, size, align) = self.live.remove(&slot)?;
                Some(self.manager.free(placed.payload, size, align).map(|()| None))
            }
            Op::Skipped => None,
        }
    }

    /// Returns an error for the first fact that does not hold.
    fn compare(&mut self, facts: &[Fact], done: impl Into<Option<Done>>) -> Result<(), Failure> {
        let search = done.into().transpose()?.flatten();
        let state = self.manager.state()?;
        for expected in facts {
            let got = observe(expected, search, &state);
            if got != *expected {
                return Err(Failure { expected: Some(expected.clone()), got: Ok(got) });
            }
        }
        Ok(())
    }
}

/// Returns the observed fact of the same kind.
fn observe(fact: &Fact, search: Option<Search>, state: &State) -> Fact {
    let placed = search.and_then(|search| search.found);
    let free_bytes = state.free.iter().map(|(_, size)| size).sum();
    match fact {
        Fact::Payload(_) => Fact::Payload(placed.map(|placed| placed.payload)),
        Fact::Block(_) => Fact::Block(placed.map(|placed| placed.block)),
        Fact::Size(_) => Fact::Size(placed.map_or(0, |placed| placed.size)),
        Fact::Searched(_) => Fact::Searched(search.map_or(0, |search| search.searched)),
        Fact::Free(_) => Fact::Free(state.free.clone()),
        Fact::FreeBytes(_) => Fact::FreeBytes(free_bytes),
        Fact::UsedBytes(_) => Fact::UsedBytes(state.size.saturating_sub(free_bytes)),
        Fact::End(_) => Fact::End(state.end),
        Fact::Rover(_) => Fact::Rover(state.rover),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some((number, op)) => write!(f, "{}, op {number} ({op}): ", self.id)?,
            None => write!(f, "{}, at the start: ", self.id)?,
        }
        match (&self.expected, &self.got) {
            (Some(expected), Ok(got)) => write!(f, "expected {expected}, got {got}"),
            (_, Ok(got)) => write!(f, "got {got}"),
            (_, Err(why)) => write!(f, "{why}"),
        }
    }
}
