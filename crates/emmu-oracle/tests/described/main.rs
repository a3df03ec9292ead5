//! The model of described formats, step by step; in `textbook`, against the textbook's own answers.
#![expect(clippy::unwrap_used, reason = "a test")]

mod textbook;

use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};
use emmu_oracle::described::{Description, EntryPlace, Fault, Reason, Registers};
use emmu_oracle::reference::SparseMemory;
use emmu_oracle::{Outcome, Reference, Write};

/// Two levels of 256 entries of 2 bytes, pages of 256 bytes: 24-bit addresses. Bit 0 valid, 1 superpage, 2 to 4 read,
/// write and execute, 5 user, 6 accessed, 7 dirty; the upper byte is the frame.
fn description() -> Description {
    Description {
        superpage: Some(1),
        read: Some(2),
        write: Some(3),
        execute: Some(4),
        user: Some(5),
        accessed: Some(6),
        dirty: Some(7),
        ..Description::new(2, 8, &[8, 8], (8, 8), 0)
    }
}

const V: u64 = 1;
const PAGE: u64 = 1 << 1;
const R: u64 = 1 << 2;
const W: u64 = 1 << 3;
const X: u64 = 1 << 4;
const U: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const ALL: u64 = V | R | W | X | U | A | D;

/// Where the root is, and its entry 1.
const ROOT: u64 = 0x400;
const TOP: u64 = ROOT + 2;
/// Where the table below it is, and its entry 2.
const TABLE: u64 = 0x1000;
const LAST: u64 = TABLE + 4;
/// The address that they translate.
const VA: u64 = 0x01_0234;

fn answer(
    description: Description,
    access: Access,
    entries: &[(u64, u64)],
) -> Result<Outcome, Fault> {
    let mut memory = SparseMemory::default();
    for &(addr, value) in entries {
        let size = description.entry_size;
        memory.apply(Write { addr: PhysAddr::new(addr), size, value });
    }
    Registers { description, ptbr: ROOT, mode: 1, asid: 0 }.translate(access, &memory)
}

/// With the table and this entry for the page.
fn with_page(description: Description, access: Access, page: u64) -> Result<Outcome, Fault> {
    answer(description, access, &[(TOP, 0x10 << 8 | V), (LAST, page)])
}

fn load() -> Access {
    Access::load(VirtAddr::new(VA), 4)
}

fn refused(reason: Reason, level: u32, addr: u64) -> Result<Outcome, Fault> {
    Err(Fault { reason, entry: Some(EntryPlace { level, addr: PhysAddr::new(addr) }) })
}

fn reason(answer: Result<Outcome, Fault>) -> Option<Reason> {
    answer.err().map(|fault| fault.reason)
}

#[test]
fn two_levels_lead_to_the_page() {
    let found = with_page(description(), load(), 0x77 << 8 | ALL).unwrap();
    assert_eq!(found, Outcome { pa: PhysAddr::new(0x7734), page_bits: 8, writes: vec![] });
}

#[test]
fn with_mode_0_an_address_is_physical() {
    let machine = Registers { description: description(), ptbr: ROOT, mode: 0, asid: 0 };
    let access = Access::store(VirtAddr::new(u64::MAX), 1);
    let found = machine.translate(access, &SparseMemory::default());
    assert_eq!(found.map(|found| found.pa), Ok(PhysAddr::new(u64::MAX)));
}

#[test]
fn an_address_wider_than_the_described_ones_is_not_canonical() {
    let wide = Access::load(VirtAddr::new(1 << 24 | VA), 4);
    let fault = with_page(description(), wide, 0x77 << 8 | ALL);
    assert_eq!(fault, Err(Fault { reason: Reason::NotCanonical, entry: None }));
}

#[test]
fn an_entry_that_is_not_valid_maps_nothing_at_either_level() {
    assert_eq!(
        answer(description(), load(), &[(TOP, ALL & !V)]),
        refused(Reason::NotValid, 1, TOP)
    );
    assert_eq!(
        with_page(description(), load(), 0x77 << 8 | ALL & !V),
        refused(Reason::NotValid, 0, LAST)
    );
}

#[test]
fn a_superpage_is_aligned_to_its_size() {
    // 2^16 bytes, of which the frame gives no bit at all: only that at 0 is aligned.
    let found = answer(description(), load(), &[(TOP, ALL | PAGE)]).unwrap();
    assert_eq!((found.pa, found.page_bits), (PhysAddr::new(0x0234), 16));
    let page = answer(description(), load(), &[(TOP, 1 << 8 | ALL | PAGE)]);
    assert_eq!(page, refused(Reason::Misaligned, 1, TOP));
}

#[test]
fn at_the_last_level_the_superpage_bit_says_nothing() {
    let found = with_page(description(), load(), 0x77 << 8 | ALL | PAGE).unwrap();
    assert_eq!(found.page_bits, 8);
}

#[test]
fn each_kind_of_access_needs_its_right_and_an_atomic_two() {
    let table = [
        (AccessKind::Fetch, X, Reason::NotAllowed),
        (AccessKind::Load, R, Reason::NotAllowed),
        (AccessKind::Store, W, Reason::ReadOnly),
        (AccessKind::Amo, W, Reason::ReadOnly),
        (AccessKind::Amo, R, Reason::NotAllowed),
    ];
    for (kind, right, why) in table {
        let access = Access { kind, ..load() };
        assert_eq!(reason(with_page(description(), access, ALL & !right)), Some(why), "{kind}");
        let others = if kind == AccessKind::Amo { R | W } else { right };
        assert!(with_page(description(), access, V | A | D | others).is_ok(), "{kind}");
    }
}

#[test]
fn user_mode_alone_looks_at_the_user_bit() {
    let by = |privilege| with_page(description(), load().with_privilege(privilege), ALL & !U);
    assert_eq!(reason(by(Privilege::User)), Some(Reason::NotAllowed));
    assert!(by(Privilege::Supervisor).is_ok() && by(Privilege::Machine).is_ok());
}

#[test]
fn a_right_without_a_bit_is_granted() {
    let open = Description { user: None, write: None, ..description() };
    let store = Access::store(VirtAddr::new(VA), 4).with_privilege(Privilege::User);
    assert!(with_page(open, store, V | A | D).is_ok());
}

#[test]
fn hardware_sets_what_is_clear_and_what_the_access_needs() {
    let written = |access, page| {
        let found = with_page(description(), access, page).unwrap();
        found.writes.first().map(|Write { addr, size, value }| (addr.raw(), *size, *value))
    };
    let clean = ALL & !A & !D;
    assert_eq!(written(load(), clean), Some((LAST, 2, clean | A)));
    assert_eq!(written(Access::store(VirtAddr::new(VA), 4), clean), Some((LAST, 2, ALL)));
    assert_eq!(written(load(), clean | A), None);
}

#[test]
fn software_is_asked_for_the_accessed_bit_and_then_for_the_dirty_bit_behind_the_rights() {
    let description = Description { recorded_by_software: true, ..description() };
    let store =
        |page| reason(with_page(description.clone(), Access::store(VirtAddr::new(VA), 4), page));
    assert_eq!(store(ALL & !W & !A & !D), Some(Reason::ReadOnly));
    assert_eq!(store(ALL & !A & !D), Some(Reason::NotAccessed));
    assert_eq!(store(ALL & !D), Some(Reason::NotDirty));
    assert_eq!(store(ALL), None);
    assert!(with_page(description, load(), ALL & !D).is_ok());
}

#[test]
fn an_entry_need_not_be_aligned_and_ends_with_its_last_byte() {
    let description = Description::new(8, 8, &[1], (8, 8), 0);
    let mut memory = SparseMemory::default();
    memory.apply(Write { addr: PhysAddr::new(0xffb), size: 8, value: 0x7701 });
    let machine = Registers { description, ptbr: 0xffb, mode: 1, asid: 0 };
    let byte = Access::load(VirtAddr::new(5), 1);
    assert_eq!(machine.translate(byte, &memory).map(|found| found.pa), Ok(PhysAddr::new(0x7705)));
    // Its last three bytes are in the next frame.
    memory.punch(PhysAddr::new(0x1000));
    assert_eq!(reason(machine.translate(byte, &memory)), Some(Reason::Hole));
}

#[test]
fn addresses_of_entries_wrap_and_no_entry_does() {
    let description = Description::new(4, 8, &[2], (8, 8), 0);
    let mut memory = SparseMemory::default();
    memory.write32(PhysAddr::new(2), 0);
    memory.apply(Write { addr: PhysAddr::new(2), size: 4, value: 0x7701 });
    let machine = Registers { description, ptbr: u64::MAX - 5, mode: 1, asid: 0 };
    let page =
        |number: u64| machine.translate(Access::load(VirtAddr::new(number << 8), 1), &memory);
    // The entries are 6 and 2 bytes before the end, and 2 bytes behind it.
    assert_eq!(reason(page(0)), Some(Reason::NotValid));
    assert_eq!(reason(page(1)), Some(Reason::Hole));
    assert_eq!(page(2).map(|found| found.pa), Ok(PhysAddr::new(0x7700)));
}

#[test]
fn what_can_be_no_format_is_known() {
    let possible = |change: fn(&mut Description)| {
        let mut model = description();
        change(&mut model);
        model.is_possible()
    };
    assert!(possible(|_| ()));
    assert!(!possible(|model| model.index_bits.clear()));
    assert!(!possible(|model| model.index_bits = vec![1; 7]));
    assert!(!possible(|model| model.index_bits = vec![8, 0]));
    assert!(!possible(|model| model.index_bits = vec![40, 40]));
    assert!(!possible(|model| (model.page_bits, model.index_bits) = (0, vec![64])));
    assert!(!possible(|model| model.page_bits = 57));
    assert!(!possible(|model| model.frame = (8, 0)));
    assert!(!possible(|model| model.frame = (8, 9)));
    assert!(!possible(|model| model.global = Some(8)));
    assert!(!possible(|model| model.valid = 16));
    assert!(!possible(|model| model.entry_size = 0));
}
