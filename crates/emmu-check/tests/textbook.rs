//! The textbook's translating machines, on units without any cache and on units with TLBs and walk caches.
#![expect(clippy::unwrap_used, reason = "a test")]

use emmu_check::Units;
use emmu_oracle::vectors::{Report, VectorFile};
use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable};
use std::path::Path;

/// How many steps each file has, and how many of them are on an address space without a top bit.
const FILES: [(&str, u64, u64); 4] = [
    ("linear_paging", 1665, 0),
    ("multilevel_paging", 1000, 0),
    ("relocation", 1380, 0),
    ("segmentation", 1717, 100),
];

fn run_all(units: &mut Units) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/textbook");
    if !folder.is_dir() {
        println!("skipped: no ../shared/vectors beside the repository");
        return;
    }
    for (name, steps, skipped) in FILES {
        let mut mismatches = Vec::new();
        let file = VectorFile::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
        let report = file.run(units, &mut |mismatch| mismatches.push(mismatch.to_string()));
        let shown = &mismatches[..mismatches.len().min(20)];
        assert!(shown.is_empty(), "{name}; the first of them:\n{}", shown.join("\n"));
        assert_eq!(
            report.unwrap(),
            Report { passed: steps - skipped, failed: 0, skipped },
            "{name}"
        );
    }
}

#[test]
fn units_without_caches_pass_every_textbook_file() {
    run_all(&mut Units::default());
}

#[test]
fn units_with_tlbs_and_walk_caches_pass_every_textbook_file() {
    let table = TlbTable {
        geometry: Geometry::fully_associative(4, Policy::Lru).unwrap(),
        page_bits: vec![5, 12],
    };
    let config = PagingConfig {
        tlb: vec![TlbLevel::Unified(vec![table])],
        walk_cache: vec![WalkCacheTable {
            geometry: Geometry::fully_associative(4, Policy::Fifo).unwrap(),
            levels: vec![0],
        }],
    };
    run_all(&mut Units::with_caches(config).unwrap());
}

fn run(record: &str) -> (Report, Vec<String>) {
    let mut mismatches = Vec::new();
    let file = VectorFile::new("test.jsonl", record.as_bytes()).unwrap();
    let report =
        file.run(&mut Units::default(), &mut |mismatch| mismatches.push(mismatch.to_string()));
    (report.unwrap(), mismatches)
}

#[test]
fn memory_ends_where_the_record_says() {
    let (report, mismatches) = run(concat!(
        r#"{"id":342,"asize":128,"psize":512,"seg":[{"base":493,"limit":20,"grows":"up"},"#,
        r#"{"base":400,"limit":20,"grows":"down"}],"#,
        r#""trace":[{"va":18,"seg":0,"pa":511},{"va":19,"seg":0,"pa":512}]}"#,
    ));
    assert_eq!((report.passed, mismatches), (2, vec![]));
}

#[test]
fn what_no_unit_can_be_is_told_as_not_modelled() {
    let (report, mismatches) = run(
        r#"{"id":5,"asize":8,"psize":16,"page":8,"pt":[2147483648],"trace":[{"va":1,"vpn":0,"pa":1}]}"#,
    );
    assert_eq!(report.to_string(), "0 passed, 1 failed");
    assert_eq!(
        mismatches,
        ["5, step 0 (load at 1): expected pa 1, pte 0 = 2147483648, \
          got not modelled: index_bits: a level of 0 bits, expected at least 1"]
    );
}
