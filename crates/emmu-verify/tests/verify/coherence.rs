//! Units cache the entries that the manuals allow, and no others.

use emmu_core::{Access, Privilege, VirtAddr};
use emmu_oracle::{aarch64, hashed, riscv, x86};
use emmu_property::check;
use emmu_verify::coherence::{
    Incoherent, Manual, MostlyAllowed, Script, accelerator_agrees, coherent,
};
use emmu_verify::generate::Case;

fn stays_coherent<A: Manual + 'static>() {
    let property = |MostlyAllowed(case): MostlyAllowed<A>, script| coherent(case, script);
    check(4000, property as fn(_, Script) -> Result<(), Incoherent>);
}

fn accelerator<A: Manual<Second = ()> + 'static>() {
    let property = |MostlyAllowed(case): MostlyAllowed<A>, script| accelerator_agrees(case, script);
    check(1000, property as fn(_, Script) -> Result<(), Incoherent>);
}

#[test]
fn riscv_units_remember_what_the_manual_lets_them() {
    stays_coherent::<riscv::Registers>();
}

#[test]
fn x86_units_remember_what_the_manual_lets_them() {
    stays_coherent::<x86::Registers>();
}

#[test]
fn aarch64_units_remember_what_the_manual_lets_them() {
    stays_coherent::<aarch64::Registers>();
}

#[test]
fn units_of_hashed_tables_remember_what_the_guide_lets_them() {
    stays_coherent::<hashed::Registers>();
}

#[test]
fn riscv_units_of_two_stages_remember_what_the_manual_lets_them() {
    stays_coherent::<riscv::hypervisor::Registers>();
}

#[test]
fn x86_units_with_ept_remember_what_the_manual_lets_them() {
    stays_coherent::<x86::ept::Registers>();
}

#[test]
fn aarch64_units_with_stage_2_remember_what_the_manual_lets_them() {
    stays_coherent::<aarch64::stage2::Registers>();
}

#[test]
fn riscv_cpus_with_and_without_accelerator_do_the_same() {
    accelerator::<riscv::Registers>();
}

#[test]
fn x86_cpus_with_and_without_accelerator_do_the_same() {
    accelerator::<x86::Registers>();
}

#[test]
fn aarch64_cpus_with_and_without_accelerator_do_the_same() {
    accelerator::<aarch64::Registers>();
}

/// A guest that translates nothing itself, and stores where the second stage may have cached that it must not.
fn untranslated_guest() -> Case<aarch64::stage2::Registers> {
    let el1 = aarch64::Registers { pa_bits: 36, ..aarch64::Registers::default() };
    let (hcr_el2, vtcr_el2, vttbr_el2) = (1, 0x69_0061, 0xf826_0201_abff_0000);
    let registers = aarch64::stage2::Registers { el1, hcr_el2, vtcr_el2, vttbr_el2 };
    let access = Access::store(VirtAddr::new(0x7c00_4000), 16);
    let accesses = vec![access.with_privilege(Privilege::Supervisor)];
    Case { registers, mem: Vec::new(), holes: Vec::new(), accesses }
}

/// A TLB that does not allow an access does not settle it: registers do that name tables where none can be.
#[test]
fn what_a_tlb_does_not_allow_may_be_refused_by_the_registers() {
    check(5000, (|script| coherent(untranslated_guest(), script)) as fn(_) -> _);
}
