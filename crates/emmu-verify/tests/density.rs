//! What the property of coherence is about is common in its cases.

use emmu_oracle::{aarch64, hashed, riscv, two_stage::Stage, x86};
use emmu_property::{Arbitrary, Gen};
use emmu_verify::coherent::{Lively, Manual, Script, Tally, tallied};

/// What some hundred cases come to. `--nocapture` shows it.
fn tally<A: Manual + 'static>() -> Tally {
    let mut entropy = Gen::from_size_and_seed(100, 5);
    let one = |_| {
        let Lively(case) = Lively::<A>::arbitrary(&mut entropy);
        tallied(case, Script::arbitrary(&mut entropy)).unwrap_or_else(|found| panic!("{found}"))
    };
    let tally = (0..500).map(one).sum();
    println!("{tally}");
    tally
}

/// Whether at least so many of a hundred are.
#[track_caller]
fn at_least(percent: u64, some: u64, all: u64) {
    assert!(100 * some >= percent * all, "{some} of {all} are not {percent} in a hundred");
}

fn is_dense_in_the_first_stage(tally: &Tally) {
    at_least(33, tally.allowed, tally.accesses);
    at_least(7, tally.hits_of(Stage::First), tally.accesses);
    at_least(5, tally.shortened[0], tally.walks[0]);
}

fn is_dense(tally: &Tally) {
    is_dense_in_the_first_stage(tally);
    at_least(33, tally.hits_of(Stage::Second), tally.accesses);
    at_least(12, tally.shortened[1], tally.walks[1]);
}

#[test]
fn riscv_units_hit_and_find_tables_remembered() {
    is_dense_in_the_first_stage(&tally::<riscv::Registers>());
}

#[test]
fn x86_units_hit_and_find_tables_remembered() {
    is_dense_in_the_first_stage(&tally::<x86::Registers>());
}

#[test]
fn aarch64_units_hit_and_find_tables_remembered() {
    is_dense_in_the_first_stage(&tally::<aarch64::Registers>());
}

#[test]
fn units_of_hashed_tables_hit_and_find_probes_remembered() {
    let tally = tally::<hashed::Registers>();
    at_least(33, tally.allowed, tally.accesses);
    at_least(7, tally.hits_of(Stage::First), tally.accesses);
    // Most pages are found where they are looked for first.
    assert!(tally.shortened[0] > 0);
}

#[test]
fn riscv_units_of_two_stages_hit_and_find_tables_remembered() {
    is_dense(&tally::<riscv::hypervisor::Registers>());
}

#[test]
fn x86_units_with_ept_hit_and_find_tables_remembered() {
    is_dense(&tally::<x86::ept::Registers>());
}

#[test]
fn aarch64_units_with_stage_2_hit_and_find_tables_remembered() {
    is_dense(&tally::<aarch64::stage2::Registers>());
}
