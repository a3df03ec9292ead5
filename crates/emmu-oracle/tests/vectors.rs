//! The reference models against the vectors that independent oracles produced.

use emmu_oracle::ReferenceModels;
use emmu_vectors::{Mismatch, Reader, Report, VectorError, run};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The files of translation vectors, or none where they are not at hand.
fn files() -> std::io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/translation");
    if !folder.is_dir() {
        println!("skipped: no translation vectors beside the repository");
        return Ok(Vec::new());
    }
    let entries = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.iter().map(std::fs::DirEntry::path);
    let mut files: Vec<_> =
        paths.filter(|path| path.to_string_lossy().ends_with(".jsonl.gz")).collect();
    files.sort();
    Ok(files)
}

/// Runs one file and prints its first mismatches.
fn run_file(path: &Path) -> Result<Report, VectorError> {
    let mut mismatches: Vec<Mismatch> = Vec::new();
    let report = run(Reader::open(path)?, &mut ReferenceModels, &mut |mismatch| {
        mismatches.push(mismatch);
    })?;
    println!("{}: {report}", path.display());
    mismatches.iter().take(5).for_each(|mismatch| println!("  {mismatch}"));
    Ok(report)
}

#[test]
fn reference_models_pass_every_vector() -> Result<(), Box<dyn Error>> {
    let mut total = Report::default();
    for path in files()? {
        let report = run_file(&path)?;
        assert_ne!(report.passed, 0, "{} has no vectors", path.display());
        total += report;
    }
    assert_eq!((total.failed, total.skipped), (0, 0));
    Ok(())
}
