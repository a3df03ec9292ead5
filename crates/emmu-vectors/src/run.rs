//! The runner: any MMU against the vectors.

use super::{Answer, Op, Operation, Registers, Vector, VectorError};
use crate::memory::{SparseMemory, Write};
use core::fmt;
use core::ops::AddAssign;

/// An MMU that is put to the vectors.
pub trait Subject {
    /// Returns true if the subject can model this vector. The runner counts the operations of other vectors as skipped.
    fn takes(&self, vector: &Vector) -> bool {
        let _ = vector;
        true
    }

    /// Performs one operation under `registers`, with empty TLB and walk caches.
    ///
    /// `memory` holds the page tables. What the operation writes to them has to be written there, and
    /// nothing else: the runner looks afterwards. An MMU with memory of its own copies the words
    /// ([`SparseMemory::words`]) in, and what it changed back.
    ///
    /// An access that [crosses pages](Operation::crosses_pages) is answered by [`Answer::Pas`], any other by
    /// [`Answer::Pa`], a [`Operation::LoadCr3`] by [`Answer::Loaded`]; or each by a fault.
    fn perform(
        &mut self,
        registers: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer;
}

/// How many operations there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Answered as expected.
    pub passed: u64,
    /// Answered otherwise; and vectors whose memory is not as expected in the end.
    pub failed: u64,
    /// Not taken by the subject.
    pub skipped: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

/// The observed result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The answer, or `None` for the state at the end of the vector.
    pub answer: Option<Answer>,
    /// The words that it changed, in order of address.
    pub writes: Vec<Write>,
}

/// An operation that did not do what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The vector's id.
    pub id: String,
    /// Which operation, counted from 0, or `None` if memory differs after the last one.
    pub op: Option<(usize, Operation)>,
    /// The result that the vector demands.
    pub expected: Observed,
    /// The result that the subject gave.
    pub got: Observed,
}

/// Performs all operations of one vector and tells each mismatch.
pub fn check(
    vector: &Vector,
    subject: &mut (impl Subject + ?Sized),
    on_mismatch: &mut dyn FnMut(Mismatch),
) -> Report {
    let mut report = Report::default();
    if !subject.takes(vector) {
        report.skipped = vector.ops.len() as u64;
        return report;
    }
    let mut state = vector.memory();
    for (number, op) in vector.ops.iter().enumerate() {
        match check_op(vector, op, &state, subject) {
            Ok(()) => report.passed += 1,
            Err((expected, got)) => {
                report.failed += 1;
                let op = Some((number, op.operation));
                on_mismatch(Mismatch { id: vector.id.clone(), op, expected, got });
            }
        }
        // The state rule: the next operation finds the tables as the vector says they are.
        state.apply_all(&op.writes);
    }
    if let Err((expected, got)) = check_end(vector, &state) {
        report.failed += 1;
        on_mismatch(Mismatch { id: vector.id.clone(), op: None, expected, got });
    }
    report
}

/// Runs all vectors, tells each mismatch, and counts.
///
/// # Errors
/// The [`VectorError`] of the first line that is no vector; the lines before it have run.
pub fn run(
    vectors: impl IntoIterator<Item = Result<Vector, VectorError>>,
    subject: &mut (impl Subject + ?Sized),
    on_mismatch: &mut dyn FnMut(Mismatch),
) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for vector in vectors {
        report += check(&vector?, subject, on_mismatch);
    }
    Ok(report)
}

/// One operation, which finds memory in `state`. The error is what was expected and what came instead.
fn check_op(
    vector: &Vector,
    op: &Op,
    state: &SparseMemory,
    subject: &mut (impl Subject + ?Sized),
) -> Result<(), (Observed, Observed)> {
    let mut memory = state.clone();
    let answer = subject.perform(&vector.registers, op.operation, &mut memory);
    let mut after = state.clone();
    after.apply_all(&op.writes);
    // Vectors do not record the writes of accesses that cross pages.
    let same_memory = op.operation.crosses_pages() || memory == after;
    if op.expect.agrees_with(&answer) && same_memory {
        return Ok(());
    }
    let size = vector.format.entry_size();
    let expected = Observed { answer: Some(op.expect.clone()), writes: after.changes(state, size) };
    let got = Observed { answer: Some(answer), writes: memory.changes(state, size) };
    Err((expected, got))
}

/// Compares memory after the last operation with `mem_after`.
fn check_end(vector: &Vector, state: &SparseMemory) -> Result<(), (Observed, Observed)> {
    let start = vector.memory();
    let mut end = start.clone();
    end.apply_all(&vector.mem_after);
    if end == *state {
        return Ok(());
    }
    let size = vector.format.entry_size();
    let observed =
        |memory: &SparseMemory| Observed { answer: None, writes: memory.changes(&start, size) };
    Err((observed(&end), observed(state)))
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            Some((number, operation)) => write!(f, "{}, op {number} ({operation})", self.id)?,
            None => write!(f, "{}, memory in the end", self.id)?,
        }
        write!(f, ": expected {}, got {}", self.expected, self.got)
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.answer.as_ref().map(ToString::to_string));
        parts.extend(
            self.writes.iter().map(|write| format!("{} := {:#x}", write.addr, write.value)),
        );
        if parts.is_empty() {
            parts.push("no writes".to_owned());
        }
        f.write_str(&parts.join(" "))
    }
}
