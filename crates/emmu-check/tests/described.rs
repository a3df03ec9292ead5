//! A description is refused if, and only if, the reference model calls it impossible.

use emmu_check::described::description;
use emmu_oracle::{
    described::{Description, Registers},
    generate::Case,
};
use emmu_paging::format::described::Described;
use quickcheck::{QuickCheck, TestResult};

/// The description with one number changed.
fn changed(mut model: Description, field: u8, to: u8) -> Description {
    let number = u32::from(to);
    let level = usize::from(to) % model.index_bits.len();
    match field % 15 {
        0 => model.entry_size = 1 << (to % 4),
        1 => model.page_bits = number % 70,
        2 => model.frame.0 = number % 70,
        3 => model.frame.1 = number % 70,
        4 => model.valid = number % 70,
        5 => model.superpage = Some(number % 70),
        6 => model.read = Some(number % 70),
        7 => model.write = Some(number % 70),
        8 => model.execute = Some(number % 70),
        9 => model.user = Some(number % 70),
        10 => model.global = Some(number % 70),
        11 => model.accessed = Some(number % 70),
        12 => model.dirty = Some(number),
        13 => model.index_bits[level] = number / 2 % 70,
        _ => model.index_bits = vec![1 + number % 9; usize::from(to) / 16],
    }
    model
}

fn is_judged_alike(case: Case<Registers>, field: u8, to: u8) -> TestResult {
    let model = changed(case.registers.description, field, to);
    let Ok(description) = description(&model) else { return TestResult::discard() };
    TestResult::from_bool(Described::new(description).is_ok() == model.is_possible())
}

#[test]
fn a_description_is_refused_if_and_only_if_it_is_impossible() {
    let property = is_judged_alike as fn(Case<Registers>, u8, u8) -> TestResult;
    QuickCheck::new().tests(10_000).max_tests(20_000).quickcheck(property);
}
