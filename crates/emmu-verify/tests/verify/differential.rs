//! Every unit does what its reference model does, on thousands of random cases a run.

use emmu_oracle::{aarch64, described, hashed, riscv, x86};
use emmu_property::check;
use emmu_verify::differential::{Disagreement, Fenced, Step, agree, fences_suffice, spans_agree};
use emmu_verify::generate::Case;

#[test]
fn riscv_units_do_what_the_model_does() {
    check(4000, agree::<riscv::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn x86_units_do_what_the_model_does() {
    check(4000, agree::<x86::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn aarch64_units_do_what_the_model_does() {
    check(4000, agree::<aarch64::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn units_of_described_formats_do_what_the_model_does() {
    check(4000, agree::<described::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn units_of_hashed_tables_do_what_the_model_does() {
    check(4000, agree::<hashed::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn cpus_of_hashed_tables_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<hashed::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn units_of_two_hashed_stages_do_what_the_model_does() {
    check(4000, agree::<hashed::Guest> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn cpus_of_two_hashed_stages_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<hashed::Guest> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn riscv_cpus_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<riscv::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn x86_cpus_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<x86::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn aarch64_cpus_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<aarch64::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn cpus_of_described_formats_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<described::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn riscv_units_of_two_stages_do_what_the_model_does() {
    check(4000, agree::<riscv::hypervisor::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn riscv_cpus_with_guests_do_what_the_model_does_piece_by_piece() {
    check(
        2000,
        spans_agree::<riscv::hypervisor::Registers> as fn(Case<_>) -> Result<(), Disagreement>,
    );
}

#[test]
fn x86_units_with_ept_do_what_the_model_does() {
    check(4000, agree::<x86::ept::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn x86_cpus_with_ept_do_what_the_model_does_piece_by_piece() {
    check(2000, spans_agree::<x86::ept::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn aarch64_units_with_stage_2_do_what_the_model_does() {
    check(4000, agree::<aarch64::stage2::Registers> as fn(Case<_>) -> Result<(), Disagreement>);
}

#[test]
fn aarch64_cpus_with_stage_2_do_what_the_model_does_piece_by_piece() {
    check(
        2000,
        spans_agree::<aarch64::stage2::Registers> as fn(Case<_>) -> Result<(), Disagreement>,
    );
}

#[expect(clippy::needless_pass_by_value, reason = "as properties are called")]
fn fenced<A: Fenced>(case: Case<A>, steps: Vec<Step>) -> Result<(), Disagreement> {
    fences_suffice(case, &steps)
}

#[test]
fn riscv_guests_see_every_change_behind_the_narrowest_fence() {
    check(
        4000,
        fenced::<riscv::hypervisor::Registers>
            as fn(Case<_>, Vec<Step>) -> Result<(), Disagreement>,
    );
}

#[test]
fn x86_guests_see_every_change_behind_the_narrowest_fence() {
    check(
        4000,
        fenced::<x86::ept::Registers> as fn(Case<_>, Vec<Step>) -> Result<(), Disagreement>,
    );
}

#[test]
fn aarch64_guests_see_every_change_behind_the_narrowest_fence() {
    check(
        4000,
        fenced::<aarch64::stage2::Registers> as fn(Case<_>, Vec<Step>) -> Result<(), Disagreement>,
    );
}
