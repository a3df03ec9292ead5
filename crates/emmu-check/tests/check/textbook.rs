//! The textbook's translating machines: its files, on units without any cache and with TLBs and walk caches, and random
//! machines, on which units and reference models agree.

use emmu_check::Units;
use emmu_core::VirtAddr;
use emmu_oracle::ReferenceModels;
use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable};
use emmu_property::{quickcheck, vector_files_named};
use emmu_vectors::textbook::{Machine, Segment, Subject};
use emmu_vectors::{Report, VectorFile};
use std::num::NonZeroU32;
use std::path::Path;

/// How many steps each file has, and how many of them are on an address space without a top bit.
const FILES: [(&str, u64, u64); 4] = [
    ("linear_paging", 1665, 0),
    ("multilevel_paging", 1000, 0),
    ("relocation", 1380, 0),
    ("segmentation", 1717, 100),
];

fn run_all(units: &mut Units) {
    for (name, steps, skipped) in FILES {
        for file in vector_files_named("textbook", name) {
            let Report { passed, failed, skipped: others } = run_file(units, &file.path);
            assert_eq!(failed, 0, "{name}");
            let counted = (passed, others) == (steps - skipped, skipped);
            assert!(
                if file.is_sample { passed > 0 } else { counted },
                "{name}: {passed}, {others}"
            );
        }
    }
}

/// Runs a file. Fails with the first mismatches if there are any.
fn run_file(units: &mut Units, path: &Path) -> Report {
    let mut mismatches = Vec::new();
    let file = VectorFile::open(path).unwrap();
    let report = file.run(units, &mut |mismatch| mismatches.push(mismatch.to_string()));
    let shown = &mismatches[..mismatches.len().min(20)];
    assert!(shown.is_empty(), "{}; the first of them:\n{}", path.display(), shown.join("\n"));
    report.unwrap()
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
        tlb: vec![TlbLevel::unified(vec![table])],
        walk_cache: vec![WalkCacheTable {
            geometry: Geometry::fully_associative(4, Policy::Fifo).unwrap(),
            levels: vec![0],
        }],
        ..PagingConfig::default()
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

/// Returns true if units and reference models answer a load alike.
fn agree(machine: &Machine, va: u32) -> bool {
    let va = VirtAddr::new(va.into());
    Units::default().load(machine, va) == ReferenceModels.load(machine, va)
}

quickcheck! {
    fn base_and_bounds_agree_with_the_model(memory: u16, base: u16, limit: u16, va: u16) -> bool {
        let (memory, base) = (u64::from(memory) + 1, base.into());
        agree(&Machine::Relocation { memory, base, limit: limit.into() }, va.into())
    }

    fn segmentation_agrees_with_the_model(
        memory: u16,
        bits: u8,
        bases: (u16, u16),
        limits: (u16, u16),
        va: u16
    ) -> bool {
        let space = 4 << (bits % 15);
        let segment = |base: u16, limit: u16| {
            Segment { base: base.into(), limit: u32::from(limit) % (space / 2 + 1) }
        };
        let segments = [segment(bases.0, limits.0), segment(bases.1, limits.1)];
        let machine = Machine::Segmentation { memory: u64::from(memory) + 1, space, segments };
        agree(&machine, u32::from(va) % space)
    }

    fn linear_paging_agrees_with_the_model(
        memory: u32,
        page_bits: u8,
        entries: Vec<(bool, u16)>,
        va: u32
    ) -> bool {
        let page_bits = page_bits % 16;
        // At least two entries, of which half are valid and name frames in memory or a little past it.
        let count = entries.len().max(2).next_power_of_two();
        let entry = |&(valid, frame): &(bool, u16)| u32::from(valid) << 31 | u32::from(frame);
        let table: Vec<_> = entries.iter().map(entry).chain([0; 2]).cycle().take(count).collect();
        let space = u32::try_from(count).unwrap() << page_bits;
        let page = NonZeroU32::new(1 << page_bits).unwrap();
        let memory = u64::from(memory) + 1;
        agree(&Machine::Linear { memory, space, page, table }, va % space)
    }

    fn two_level_paging_agrees_with_the_model(pdbr: u8, bytes: Vec<u8>, va: u16) -> bool {
        let memory = bytes.iter().copied().chain([0xff]).cycle().take(4096).collect();
        agree(&Machine::Multilevel { pdbr: pdbr % 128, memory }, u32::from(va) % (1 << 15))
    }
}
