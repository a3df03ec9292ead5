//! `emmu check`: vectors put to the translation units.

use crate::args::Check;
use anyhow::Result;
use emmu_check::Units;
use emmu_oracle::vectors::{ReferenceModels, Report, Subject, VectorFile, heap, textbook};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Runs all files, prints each mismatch and then the counts; whether all passed.
pub(crate) fn run(arguments: &Check, out: &mut impl Write) -> Result<bool> {
    let total = match arguments.reference {
        true => run_files(&arguments.files, &mut ReferenceModels, out)?,
        false => run_files(&arguments.files, &mut Units::default(), out)?,
    };
    writeln!(out, "{total}")?;
    Ok(total.failed == 0)
}

fn run_files(
    files: &[PathBuf],
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
    out: &mut impl Write,
) -> Result<Report> {
    let mut total = Report::default();
    for file in files {
        total += run_file(file, subject, out)?;
    }
    Ok(total)
}

fn run_file(
    file: &Path,
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
    out: &mut impl Write,
) -> Result<Report> {
    let mut written = Ok(());
    let report = VectorFile::open(file)?.run(subject, &mut |mismatch| {
        if written.is_ok() {
            written = writeln!(out, "{}: {mismatch}", file.display());
        }
    })?;
    written?;
    Ok(report)
}
