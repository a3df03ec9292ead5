//! The runner: any MMU against the textbook records.

use super::{Answer, Machine, Record};
use crate::{Report, VectorError};
use core::fmt;
use emmu_core::VirtAddr;

/// An MMU that is put to the records.
pub trait Subject {
    /// Returns true if the subject can model this machine. The runner counts the steps of other machines as skipped.
    fn takes(&self, machine: &Machine) -> bool {
        let _ = machine;
        true
    }

    /// A program's load of the byte at `va` on this machine, with cold caches: translation, then the bus.
    fn load(&mut self, machine: &Machine, va: VirtAddr) -> Answer;
}

/// A load that did not answer what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The record's number.
    pub id: u64,
    /// Which step of its trace, counted from 0.
    pub step: usize,
    /// Where the load was.
    pub va: VirtAddr,
    /// The answer in the record.
    pub expected: Answer,
    /// The answer of the subject.
    pub got: Answer,
}

/// Performs all loads of one record and tells each mismatch.
pub fn check(
    record: &Record,
    subject: &mut (impl Subject + ?Sized),
    on_mismatch: &mut dyn FnMut(Mismatch),
) -> Report {
    let mut report = Report::default();
    if !subject.takes(&record.machine) {
        report.skipped = record.trace.len() as u64;
        return report;
    }
    for (step, load) in record.trace.iter().enumerate() {
        let got = subject.load(&record.machine, load.va);
        if got == load.expect {
            report.passed += 1;
        } else {
            report.failed += 1;
            let expected = load.expect.clone();
            on_mismatch(Mismatch { id: record.id, step, va: load.va, expected, got });
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

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, step, va, expected, got } = self;
        write!(f, "{id}, step {step} (load at {}): expected {expected}, got {got}", va.raw())
    }
}
