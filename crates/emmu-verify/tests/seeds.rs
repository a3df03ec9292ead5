//! The checks of the fuzz targets, over the seeds kept in the repository.

use emmu_verify::targets::TARGETS;
use std::fs;
use std::path::Path;

#[test]
fn every_kept_seed_passes_its_check() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (target, check) in TARGETS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let path = seed.unwrap().path();
            let verdict = check(&fs::read(&path).unwrap());
            assert_eq!(verdict, Ok(()), "{}", path.display());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
    }
}
