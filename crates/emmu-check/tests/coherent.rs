//! Units remember what the manuals let them, and nothing else.

use emmu_check::coherent::{Incoherent, Script, coherent, twins_agree};
use emmu_oracle::{aarch64, generate::Case, riscv, x86};
use emmu_property::check;

#[test]
fn riscv_units_remember_what_the_manual_lets_them() {
    check(4000, coherent::<riscv::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn x86_units_remember_what_the_manual_lets_them() {
    check(4000, coherent::<x86::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn aarch64_units_remember_what_the_manual_lets_them() {
    check(4000, coherent::<aarch64::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn riscv_units_of_two_stages_remember_what_the_manual_lets_them() {
    check(
        4000,
        coherent::<riscv::hypervisor::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>,
    );
}

#[test]
fn x86_units_with_ept_remember_what_the_manual_lets_them() {
    check(4000, coherent::<x86::ept::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn aarch64_units_with_stage_2_remember_what_the_manual_lets_them() {
    check(
        4000,
        coherent::<aarch64::stage2::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>,
    );
}

#[test]
fn riscv_cpus_with_and_without_accelerator_do_the_same() {
    check(1000, twins_agree::<riscv::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn x86_cpus_with_and_without_accelerator_do_the_same() {
    check(1000, twins_agree::<x86::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}

#[test]
fn aarch64_cpus_with_and_without_accelerator_do_the_same() {
    check(1000, twins_agree::<aarch64::Registers> as fn(Case<_>, Script) -> Result<(), Incoherent>);
}
