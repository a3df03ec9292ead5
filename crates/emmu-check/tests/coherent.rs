//! Units remember what the manuals let them, and nothing else.

use emmu_check::coherent::{Incoherent, Lively, Manual, Script, coherent, twins_agree};
use emmu_oracle::{aarch64, riscv, x86};
use emmu_property::check;

fn remembers<A: Manual + 'static>() {
    let property = |Lively(case): Lively<A>, script| coherent(case, script);
    check(4000, property as fn(_, Script) -> Result<(), Incoherent>);
}

fn twins<A: Manual<Second = ()> + 'static>() {
    let property = |Lively(case): Lively<A>, script| twins_agree(case, script);
    check(1000, property as fn(_, Script) -> Result<(), Incoherent>);
}

#[test]
fn riscv_units_remember_what_the_manual_lets_them() {
    remembers::<riscv::Registers>();
}

#[test]
fn x86_units_remember_what_the_manual_lets_them() {
    remembers::<x86::Registers>();
}

#[test]
fn aarch64_units_remember_what_the_manual_lets_them() {
    remembers::<aarch64::Registers>();
}

#[test]
fn riscv_units_of_two_stages_remember_what_the_manual_lets_them() {
    remembers::<riscv::hypervisor::Registers>();
}

#[test]
fn x86_units_with_ept_remember_what_the_manual_lets_them() {
    remembers::<x86::ept::Registers>();
}

#[test]
fn aarch64_units_with_stage_2_remember_what_the_manual_lets_them() {
    remembers::<aarch64::stage2::Registers>();
}

#[test]
fn riscv_cpus_with_and_without_accelerator_do_the_same() {
    twins::<riscv::Registers>();
}

#[test]
fn x86_cpus_with_and_without_accelerator_do_the_same() {
    twins::<x86::Registers>();
}

#[test]
fn aarch64_cpus_with_and_without_accelerator_do_the_same() {
    twins::<aarch64::Registers>();
}
