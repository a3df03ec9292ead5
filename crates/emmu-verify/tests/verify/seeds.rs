//! The checks of the fuzz targets, over the seeds kept in the repository.

use emmu_verify::targets::{self, TARGETS};
use std::fs;
use std::path::Path;

#[test]
fn every_kept_seed_passes_its_check() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (target, _) in TARGETS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let path = seed.unwrap().path();
            let verdict = targets::run(target, &fs::read(&path).unwrap());
            assert_eq!(verdict, Ok(()), "{}", path.display());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
    }
}

#[test]
fn a_target_that_is_not_there_is_named() {
    assert_eq!(targets::run("none", &[]), Err("no target is named none".to_owned()));
}

#[test]
fn every_binary_of_the_fuzz_package_runs_the_check_of_its_name() {
    let binaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (target, _) in TARGETS {
        let text = fs::read_to_string(binaries.join(format!("{target}.rs"))).unwrap();
        assert!(text.contains(&format!("targets::run(\"{target}\", bytes)")), "{target}");
    }
}
