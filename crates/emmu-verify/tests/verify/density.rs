//! Checks that the cases of the coherence property often contain the situations that it is about.

use emmu_oracle::{aarch64, hashed, riscv, two_stage::Stage, x86};
use emmu_property::{Arbitrary, Gen};
use emmu_verify::coherence::{Coverage, Manual, MostlyAllowed, Script, coverage_of};

/// Returns the coverage of some hundred cases. `--nocapture` shows it.
fn coverage<A: Manual + 'static>() -> Coverage {
    let mut entropy = Gen::from_size_and_seed(100, 5);
    let one = |_| {
        let MostlyAllowed(case) = MostlyAllowed::<A>::arbitrary(&mut entropy);
        coverage_of(case, Script::arbitrary(&mut entropy)).unwrap_or_else(|found| panic!("{found}"))
    };
    let coverage = (0..500).map(one).sum();
    println!("{coverage}");
    coverage
}

/// Checks that at least this percentage of all are such.
#[track_caller]
fn at_least(percent: u64, some: u64, all: u64) {
    assert!(100 * some >= percent * all, "{some} of {all} are not {percent} in a hundred");
}

fn is_dense_in_the_first_stage(coverage: &Coverage) {
    at_least(33, coverage.allowed, coverage.accesses);
    at_least(7, coverage.hits_of(Stage::First), coverage.accesses);
    at_least(5, coverage.shortened[0], coverage.walks[0]);
}

fn is_dense(coverage: &Coverage) {
    is_dense_in_the_first_stage(coverage);
    at_least(33, coverage.hits_of(Stage::Second), coverage.accesses);
    at_least(12, coverage.shortened[1], coverage.walks[1]);
}

#[test]
fn riscv_units_hit_and_find_tables_cached() {
    is_dense_in_the_first_stage(&coverage::<riscv::Registers>());
}

#[test]
fn x86_units_hit_and_find_tables_cached() {
    is_dense_in_the_first_stage(&coverage::<x86::Registers>());
}

#[test]
fn aarch64_units_hit_and_find_tables_cached() {
    is_dense_in_the_first_stage(&coverage::<aarch64::Registers>());
}

#[test]
fn units_of_hashed_tables_hit_and_find_probes_cached() {
    let coverage = coverage::<hashed::Registers>();
    at_least(33, coverage.allowed, coverage.accesses);
    at_least(7, coverage.hits_of(Stage::First), coverage.accesses);
    // Most pages are found where they are looked for first.
    assert!(coverage.shortened[0] > 0);
}

#[test]
fn riscv_units_of_two_stages_hit_and_find_tables_cached() {
    is_dense(&coverage::<riscv::hypervisor::Registers>());
}

#[test]
fn x86_units_with_ept_hit_and_find_tables_cached() {
    is_dense(&coverage::<x86::ept::Registers>());
}

#[test]
fn aarch64_units_with_stage_2_hit_and_find_tables_cached() {
    is_dense(&coverage::<aarch64::stage2::Registers>());
}
