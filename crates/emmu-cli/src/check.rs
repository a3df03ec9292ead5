//! `emmu check`: vectors put to the translation units.

mod args;
mod report;

pub(crate) use args::Check;

use anyhow::{Result, anyhow};
use emmu_check::Units;
use emmu_oracle::ReferenceModels;
use emmu_vectors::{Subject, VectorFile, heap, textbook};
use report::{FileReport, Report};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Runs all files, and prints each mismatch and the counts. Returns true if all passed. A file that does not parse
/// keeps none of the others from being run.
pub(crate) fn run(arguments: &Check, out: &mut impl Write) -> Result<bool> {
    let files = match arguments.reference {
        true => run_files(&arguments.files, &mut ReferenceModels),
        false => run_files(&arguments.files, &mut Units::default()),
    };
    let report = Report::new(files);
    let refused: Vec<_> = report.refused().collect();
    if refused.len() < arguments.files.len() {
        arguments.output.write(&report, report::write, out)?;
    }
    if refused.is_empty() { Ok(report.all_passed()) } else { Err(anyhow!(refused.join("; "))) }
}

fn run_files(
    files: &[PathBuf],
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
) -> Vec<FileReport> {
    files.iter().map(|file| run_file(file, subject)).collect()
}

fn run_file(
    file: &Path,
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
) -> FileReport {
    let mut mismatches = Vec::new();
    let counts = VectorFile::open(file).and_then(|vectors| {
        vectors.run(subject, &mut |mismatch| mismatches.push(mismatch.to_string()))
    });
    FileReport::new(file.display().to_string(), counts, mismatches)
}
