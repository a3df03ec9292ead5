//! A format described at run time: two levels of 512 entries, pages of 4 KiB.

use crate::machine::{END, Machine, amo, fetch, load, store, user};
use emmu_core::{Cause, Privilege, Width};
use emmu_paging::format::described::{Described, Description, MODE, PTBR};

/// The root is not aligned to anything.
const ROOT: u64 = 0x1003;
const TOP: u64 = ROOT + 8;
const TABLE: u64 = 0x5000;
/// The entry for `VA`, and what it maps it to.
const ENTRY: u64 = TABLE + 2 * 8;
const VA: u64 = 1 << 21 | 2 << 12 | 0x345;
const PAGE: u64 = 0x7_8000;

const V: u64 = 1;
const SUPERPAGE: u64 = 1 << 1;
const R: u64 = 1 << 2;
const W: u64 = 1 << 3;
const X: u64 = 1 << 4;
const U: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const ALL: u64 = R | W | X | U | A | D;

fn description() -> Description {
    Description::new(Width::B8, 12, &[9, 9])
        .frame(12, 40)
        .valid(0)
        .superpage(1)
        .rights(Some(2), Some(3), Some(4))
        .user(5)
        .recorded(Some(6), Some(7))
}

fn machine(description: Description, top: u64, entry: u64) -> Machine<Described> {
    Machine::new(Described::new(description).unwrap())
        .with(TOP, top)
        .with(ENTRY, entry)
        .having(PTBR, ROOT)
        .having(MODE, 1)
}

/// With this entry for the page, besides V.
fn page(bits: u64) -> Machine<Described> {
    machine(description(), TABLE | V, PAGE | V | bits)
}

// spec: described-1
#[test]
fn an_address_wider_than_the_described_ones_is_not_canonical() {
    assert_eq!(page(ALL).outcome(load(1 << 30 | VA)), Err(Cause::NonCanonical));
    assert_eq!(page(ALL).outcome(load(1 << 63 | VA)), Err(Cause::NonCanonical));
}

// spec: described-1
#[test]
fn in_mode_0_an_address_is_physical() {
    assert_eq!(page(0).having(MODE, 0).outcome(user(store(1 << 63))), Ok(1 << 63));
}

// spec: described-2
#[test]
fn entries_are_read_from_the_topmost_table_down_aligned_or_not() {
    assert_eq!(page(ALL).reads(load(VA)), [TOP, ENTRY]);
}

// spec: described-2
#[test]
fn a_table_in_a_hole_is_a_fault_of_the_bus_that_names_the_entry() {
    let fault = machine(description(), END | V, 0).translate(load(VA)).unwrap_err();
    assert!(matches!(fault.cause, Cause::Bus(_)));
    let entry = fault.entry.unwrap();
    assert_eq!((entry.level, entry.addr.raw(), entry.raw), (0, END + 16, None));
}

// spec: described-3
#[test]
fn an_entry_that_is_not_valid_maps_nothing() {
    assert_eq!(
        machine(description(), TABLE | ALL, PAGE | V | ALL).outcome(load(VA)),
        Err(Cause::Absent)
    );
    assert_eq!(machine(description(), TABLE | V, PAGE | ALL).outcome(load(VA)), Err(Cause::Absent));
}

// spec: described-4
#[test]
fn an_entry_above_the_last_level_is_a_page_where_its_superpage_bit_says_so() {
    let mut large = machine(description(), 3 << 21 | V | ALL | SUPERPAGE, 0);
    assert_eq!(large.outcome(load(VA)), Ok(3 << 21 | 2 << 12 | 0x345));
    assert_eq!(large.reads(load(VA)), [TOP]);
    assert_eq!(page(ALL | SUPERPAGE).outcome(load(VA)), Ok(PAGE | 0x345));
}

// spec: described-4
#[test]
fn in_an_entry_that_names_a_table_no_other_bit_counts() {
    for bits in [0, R | W | X | U | A | D, 1 << 11 | 1 << 52 | 1 << 63] {
        let mut machine = machine(description(), TABLE | V | bits, PAGE | V | ALL);
        assert_eq!(machine.outcome(user(store(VA))), Ok(PAGE | 0x345), "{bits:#x}");
        assert_eq!(machine.entry(TOP), TABLE | V | bits, "{bits:#x}");
    }
}

// spec: described-5
#[test]
fn a_superpage_is_aligned_to_its_size() {
    let mut machine = machine(description(), 3 << 21 | 1 << 20 | V | ALL | SUPERPAGE, 0);
    assert_eq!(machine.outcome(load(VA)), Err(Cause::Misaligned));
}

// spec: described-6
#[test]
fn each_kind_of_access_has_its_own_right_and_an_atomic_needs_two() {
    let rights = |bits| page(bits | U | A | D).rights(VA & !7, Privilege::User);
    assert_eq!([R, W, X].map(rights), ["r", "w", "x"]);
    assert_eq!([R | W, R | X, 0].map(rights), ["rwa", "xr", ""]);
    assert_eq!(page(R | A | D).outcome(store(VA)), Err(Cause::ReadOnly));
    assert_eq!(page(W | A | D).outcome(amo(VA)), Err(Cause::Permission));
}

// spec: described-6
#[test]
fn only_user_mode_needs_the_user_bit() {
    assert_eq!(page(ALL & !U).outcome(user(fetch(VA))), Err(Cause::Permission));
    assert!(page(ALL & !U).allows(load(VA)));
    assert!(page(ALL & !U).allows(load(VA).with_privilege(Privilege::Machine)));
}

// spec: described-7
#[test]
fn hardware_sets_the_accessed_bit_and_for_a_write_the_dirty_bit() {
    let left = |access| {
        let mut machine = page(ALL & !A & !D);
        assert!(machine.allows(access));
        machine.entry(ENTRY) & (A | D)
    };
    assert_eq!([load(VA), fetch(VA), store(VA), amo(VA)].map(left), [A, A, A | D, A | D]);
}

// spec: described-7
#[test]
fn where_software_records_a_clear_bit_is_a_fault_behind_the_rights() {
    let description = description().recorded_by_software(Some(6), Some(7));
    let store = |bits| machine(description.clone(), TABLE | V, PAGE | V | bits).outcome(store(VA));
    assert_eq!(store(R), Err(Cause::ReadOnly));
    assert_eq!(store(R | W), Err(Cause::AccessFlag));
    assert_eq!(store(R | W | A), Err(Cause::DirtyFlag));
    assert_eq!(store(R | W | A | D), Ok(PAGE | 0x345));
}

// spec: described-8
#[test]
fn the_physical_address_is_the_frame_and_the_offset() {
    assert_eq!(page(ALL).outcome(load(VA)), Ok(PAGE | 0x345));
}
