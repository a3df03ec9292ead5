//! A part of a trace that is written elsewhere.

use super::{Reading, find, with_hint};
use crate::{number, progress};
use anyhow::{Context, Result, ensure};
use clap::Args;
use emmu_trace::{Record, RecordSource, Trace};
use std::path::Path;

/// The part of a trace that a command writes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Window {
    /// Skip this many records first.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::number)]
    skip: u64,
    /// Stop after this many records.
    #[arg(long, value_name = "N", value_parser = number::within(1..=u64::MAX))]
    limit: Option<u64>,
}

/// An opened trace, and the part of it that is to be written.
pub(crate) struct Excerpt {
    name: String,
    trace: Trace<'static>,
    /// The first records of the trace.
    first: Vec<Record>,
    to_skip: u64,
}

impl Excerpt {
    /// Opens the trace at `path` and reads its first records: with them, a text tells where it comes from.
    pub(crate) fn open(path: &Path, reading: Reading, window: Window) -> Result<Self> {
        let input = find(Some(path), reading)?;
        let end = window.limit.map(|limit| limit.saturating_add(window.skip));
        let mut trace = match end {
            Some(end) => input.trace.with_limit(end),
            None => input.trace,
        };
        let first = next(&mut trace, &input.name)?.unwrap_or_default().to_vec();
        Ok(Self { name: input.name, trace, first, to_skip: window.skip })
    }

    /// Returns where the trace comes from, if it says so.
    pub(crate) fn provenance(&self) -> Option<&str> {
        self.trace.provenance()
    }

    /// Passes the records on to `write`, and returns their number. A trace without any is refused.
    pub(crate) fn copy(&mut self, mut write: impl FnMut(&[Record]) -> Result<()>) -> Result<u64> {
        let Self { name, trace, first, to_skip } = self;
        let bar = progress::bar(trace.total_records());
        let mut written = 0;
        let mut pass = |chunk: &[Record]| {
            let wanted = after(chunk, to_skip);
            bar.inc(chunk.len() as u64);
            written += wanted.len() as u64;
            write(wanted)
        };
        pass(first)?;
        while let Some(chunk) = next(trace, name)? {
            pass(chunk)?;
        }
        bar.finish_and_clear();
        ensure!(written > 0, "{name}: no references are left to write");
        Ok(written)
    }

    /// Describes the lines that were skipped, as the end of a sentence.
    pub(crate) fn skipped_lines(&self) -> String {
        match self.trace.skipped_lines() {
            0 => String::new(),
            1 => "; skipped 1 line".to_owned(),
            lines => format!("; skipped {lines} lines"),
        }
    }
}

fn next<'a>(trace: &'a mut Trace<'static>, name: &str) -> Result<Option<&'a [Record]>> {
    trace.next_chunk().map_err(with_hint).with_context(|| name.to_owned())
}

/// Returns the rest of a chunk when the first records are skipped.
fn after<'a>(chunk: &'a [Record], to_skip: &mut u64) -> &'a [Record] {
    let skipped = usize::try_from(*to_skip).unwrap_or(usize::MAX).min(chunk.len());
    *to_skip -= skipped as u64;
    &chunk[skipped..]
}
