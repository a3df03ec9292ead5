//! The outcome of a check, as text or as data.

use anyhow::Result;
use emmu_vectors::VectorError;
use serde::Serialize;
use std::io::Write;

/// The outcome of all files.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    total: Counts,
    files: Vec<FileReport>,
}

/// The outcome of one file.
#[derive(Serialize)]
pub(super) struct FileReport {
    file: String,
    /// The counts of a file that parses.
    #[serde(flatten)]
    counts: Option<Counts>,
    mismatches: Vec<String>,
    /// The reason why the file was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The numbers of operations.
#[derive(Clone, Copy, Serialize)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl From<emmu_vectors::Report> for Counts {
    fn from(report: emmu_vectors::Report) -> Self {
        let emmu_vectors::Report { passed, failed, skipped } = report;
        Self { passed, failed, skipped }
    }
}

impl From<Counts> for emmu_vectors::Report {
    fn from(counts: Counts) -> Self {
        let Counts { passed, failed, skipped } = counts;
        Self { passed, failed, skipped }
    }
}

impl FileReport {
    pub(super) fn new(
        file: String,
        counts: Result<emmu_vectors::Report, VectorError>,
        mismatches: Vec<String>,
    ) -> Self {
        let (counts, error) = match counts {
            Ok(counts) => (Some(counts.into()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { file, counts, mismatches, error }
    }
}

impl Report {
    pub(super) fn new(files: Vec<FileReport>) -> Self {
        let mut total = emmu_vectors::Report::default();
        for counts in files.iter().filter_map(|file| file.counts) {
            total += counts.into();
        }
        Self { total: total.into(), files }
    }

    /// Returns the reasons why files were refused.
    pub(super) fn refused(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|file| file.error.as_deref())
    }

    pub(super) const fn all_passed(&self) -> bool {
        self.total.failed == 0
    }
}

/// Writes each mismatch and then the counts.
pub(super) fn write(report: &Report, out: &mut impl Write) -> Result<()> {
    for FileReport { file, mismatches, .. } in &report.files {
        for mismatch in mismatches {
            writeln!(out, "{file}: {mismatch}")?;
        }
    }
    writeln!(out, "{}", emmu_vectors::Report::from(report.total))?;
    Ok(())
}
