//! Units that are written down and read back go on as if nothing had been.

use emmu_oracle::{aarch64, hashed, riscv, x86};
use emmu_property::check;
use emmu_verify::coherence::Script;
use emmu_verify::generate::Case;
use emmu_verify::snapshot::{aarch64_guest, described, machine_goes_on, unit_goes_on, x86_guest};
use emmu_verify::targets;
use std::fs;

type Verdict = Result<(), String>;

#[test]
fn restored_riscv_units_go_on() {
    check(1000, unit_goes_on::<riscv::Registers> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_x86_units_go_on() {
    check(1000, unit_goes_on::<x86::Registers> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_aarch64_units_go_on() {
    check(1000, unit_goes_on::<aarch64::Registers> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_units_of_described_formats_go_on() {
    check(1000, described as fn(Vec<u16>, Vec<u32>, Script) -> Verdict);
}

#[test]
fn restored_units_of_hashed_tables_go_on() {
    check(1000, unit_goes_on::<hashed::Registers> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_units_of_two_hashed_stages_go_on() {
    check(1000, unit_goes_on::<hashed::Guest> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_riscv_units_of_two_stages_go_on() {
    check(1000, unit_goes_on::<riscv::hypervisor::Registers> as fn(Case<_>, Script) -> Verdict);
}

#[test]
fn restored_x86_units_of_two_stages_go_on() {
    check(1000, x86_guest as fn(Case<x86::Registers>, Script) -> Verdict);
}

#[test]
fn restored_aarch64_units_of_two_stages_go_on() {
    check(1000, aarch64_guest as fn(Case<aarch64::Registers>, Script) -> Verdict);
}

/// On the machine of this number.
fn machines_go_on<const NUMBER: u8>() {
    let goes_on = |script: Script| machine_goes_on(NUMBER, script);
    check(200, goes_on as fn(Script) -> Verdict);
}

#[test]
fn restored_machines_that_do_not_translate_go_on() {
    machines_go_on::<0>();
}

#[test]
fn restored_machines_of_base_and_bounds_go_on() {
    machines_go_on::<1>();
}

#[test]
fn restored_machines_of_segments_that_addresses_select_go_on() {
    machines_go_on::<2>();
}

#[test]
fn restored_machines_of_segments_that_usage_selects_go_on() {
    machines_go_on::<3>();
}

#[test]
fn restored_machines_of_segment_tables_go_on() {
    machines_go_on::<4>();
}

#[test]
fn restored_machines_of_x86_segments_go_on() {
    machines_go_on::<5>();
}

#[test]
fn restored_machines_of_x86_segments_in_front_of_paging_go_on() {
    machines_go_on::<6>();
}

#[test]
fn restored_machines_of_riscv_paging_go_on() {
    machines_go_on::<7>();
}

#[test]
fn restored_machines_of_riscv_with_hypervisors_go_on() {
    machines_go_on::<8>();
}

/// Changes some bytes of a snapshot that is kept.
fn is_refused_or_goes_on(seed: usize, damage: Vec<(u16, u8)>) -> Verdict {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/snapshot");
    let mut seeds: Vec<_> = fs::read_dir(seeds).unwrap().map(|seed| seed.unwrap().path()).collect();
    seeds.sort();
    let mut bytes = fs::read(&seeds[seed % seeds.len()]).unwrap();
    for (place, byte) in damage {
        // Near the beginning or near the end, as the middle is RAM.
        let within = usize::from(place / 2) % bytes.len().min(700);
        let at = if place.is_multiple_of(2) { within } else { bytes.len() - 1 - within };
        bytes[at] = byte;
    }
    targets::snapshot(&bytes)
}

#[test]
fn damaged_snapshots_are_refused_or_are_machines_all_the_same() {
    check(1000, is_refused_or_goes_on as fn(usize, Vec<(u16, u8)>) -> Verdict);
}
