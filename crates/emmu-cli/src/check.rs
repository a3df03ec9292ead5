//! `emmu check`: vectors put to the translation units.

mod args;

pub(crate) use args::Check;

use anyhow::{Result, anyhow};
use emmu_check::Units;
use emmu_oracle::ReferenceModels;
use emmu_vectors::{Report, Subject, VectorError, VectorFile, heap, textbook};
use std::{
    io::{self, Write},
    path::Path,
};

/// Runs all files, prints each mismatch and then the counts; whether all passed.
pub(crate) fn run(arguments: &Check, out: &mut impl Write) -> Result<bool> {
    match arguments.reference {
        true => run_files(arguments, &mut ReferenceModels, out),
        false => run_files(arguments, &mut Units::default(), out),
    }
}

/// A file that does not parse keeps none of the others from being run.
fn run_files(
    Check { files, .. }: &Check,
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
    out: &mut impl Write,
) -> Result<bool> {
    let (mut total, mut refused) = (Report::default(), Vec::new());
    for file in files {
        match run_file(file, subject, out)? {
            Ok(report) => total += report,
            Err(error) => refused.push(error.to_string()),
        }
    }
    if refused.len() < files.len() {
        writeln!(out, "{total}")?;
    }
    if refused.is_empty() { Ok(total.failed == 0) } else { Err(anyhow!(refused.join("; "))) }
}

fn run_file(
    file: &Path,
    subject: &mut (impl Subject + textbook::Subject + heap::Subject),
    out: &mut impl Write,
) -> io::Result<Result<Report, VectorError>> {
    let mut written = Ok(());
    let report = VectorFile::open(file).and_then(|vectors| {
        vectors.run(subject, &mut |mismatch| {
            if written.is_ok() {
                written = writeln!(out, "{}: {mismatch}", file.display());
            }
        })
    });
    written.map(|()| report)
}
