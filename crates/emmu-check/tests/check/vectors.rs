//! All translation vectors, on units without any cache and on units with all of them.

use emmu_check::Units;
use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable};
use emmu_property::vector_files;
use emmu_vectors::{Reader, Report, run};

fn run_all(units: &mut Units) {
    let mut total = Report::default();
    let mut mismatches = Vec::new();
    for file in vector_files("translation") {
        let name = file.path.display();
        let vectors = Reader::open(&file.path).unwrap();
        total += run(vectors, units, &mut |mismatch| {
            mismatches.push(format!("{name}: {mismatch}"));
        })
        .unwrap();
    }
    println!("{total}");
    let shown = &mismatches[..mismatches.len().min(20)];
    assert!(shown.is_empty(), "{total}; the first of them:\n{}", shown.join("\n"));
}

fn table(pages: &[u8]) -> TlbTable {
    TlbTable { geometry: Geometry::new(4, 2, Policy::Lru).unwrap(), page_bits: pages.to_vec() }
}

#[test]
fn units_without_caches_pass_every_vector() {
    run_all(&mut Units::default());
}

#[test]
fn units_with_tlbs_and_walk_caches_pass_every_vector() {
    // No 64 KiB entries: a Svnapot page among entries that contradict it may or may not be one, and these
    // vectors take every 4 KiB piece of an access by itself.
    let all_sizes = [12, 21, 30];
    let config = PagingConfig {
        tlb: vec![
            TlbLevel::split(vec![table(&all_sizes)], vec![table(&all_sizes)]),
            TlbLevel::unified(vec![table(&[12]), table(&[21])]),
        ],
        walk_cache: vec![WalkCacheTable {
            geometry: Geometry::fully_associative(8, Policy::Fifo).unwrap(),
            levels: vec![0, 1, 2, 3],
        }],
        ..PagingConfig::default()
    };
    run_all(&mut Units::with_caches(config).unwrap());
}
