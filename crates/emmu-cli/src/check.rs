//! `emmu check`: vectors put to the translation units.

use crate::args::Check;
use anyhow::Result;
use emmu_check::Units;
use emmu_oracle::vectors::{Reader, ReferenceModels, Report, Subject, run as run_vectors};
use std::{io::Write, path::Path};

/// Runs all files, prints each mismatch and then the counts; whether all passed.
pub(crate) fn run(arguments: &Check, out: &mut impl Write) -> Result<bool> {
    let mut subject: Box<dyn Subject> = match arguments.reference {
        true => Box::new(ReferenceModels),
        false => Box::new(Units::default()),
    };
    let mut total = Report::default();
    for file in &arguments.files {
        total += run_file(file, subject.as_mut(), out)?;
    }
    writeln!(out, "{total}")?;
    Ok(total.failed == 0)
}

fn run_file(file: &Path, subject: &mut dyn Subject, out: &mut impl Write) -> Result<Report> {
    let mut written = Ok(());
    let report = run_vectors(Reader::open(file)?, subject, &mut |mismatch| {
        if written.is_ok() {
            written = writeln!(out, "{}: {mismatch}", file.display());
        }
    })?;
    written?;
    Ok(report)
}
