//! Memory managers' vectors, on emmu's managers and on the reference models.
#![expect(clippy::unwrap_used, reason = "a test")]

use emmu_check::Units;
use emmu_oracle::vectors::heap::Subject;
use emmu_oracle::vectors::{ReferenceModels, Report, VectorFile, textbook};
use std::path::Path;

/// How many steps each file has.
const FILES: [(&str, u64); 4] = [
    ("freespace", 2321),
    ("nextfit_kr", 900),
    ("firstfit_linked_list_allocator", 1600),
    ("buddy", 1990),
];

fn run_all(subject: &mut (impl Subject + textbook::Subject + emmu_oracle::vectors::Subject)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/textbook");
    if !folder.is_dir() {
        println!("skipped: no ../shared/vectors beside the repository");
        return;
    }
    for (name, passed) in FILES {
        let mut mismatches = Vec::new();
        let file = VectorFile::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
        let report = file.run(subject, &mut |mismatch| mismatches.push(mismatch.to_string()));
        let shown = &mismatches[..mismatches.len().min(20)];
        assert!(shown.is_empty(), "{name}; the first of them:\n{}", shown.join("\n"));
        assert_eq!(report.unwrap(), Report { passed, failed: 0, skipped: 0 }, "{name}");
    }
}

#[test]
fn managers_pass_every_file() {
    run_all(&mut Units::default());
}

#[test]
fn reference_models_pass_every_file() {
    run_all(&mut ReferenceModels);
}
