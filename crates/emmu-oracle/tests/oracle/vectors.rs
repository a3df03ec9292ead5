//! The reference models against the vectors that independent oracles produced.

use emmu_oracle::ReferenceModels;
use emmu_property::vector_files;
use emmu_vectors::{Mismatch, Reader, Report, VectorError, run};
use std::error::Error;
use std::path::Path;

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
    for file in vector_files("translation") {
        let report = run_file(&file.path)?;
        assert_ne!(report.passed, 0, "{} has no vectors", file.path.display());
        total += report;
    }
    assert_eq!((total.failed, total.skipped), (0, 0));
    Ok(())
}
