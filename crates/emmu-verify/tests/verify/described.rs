//! A description is refused if, and only if, the reference model calls it impossible; and the generator's cases are ones in
//! which something is cached.

use emmu_core::{Event, TranslationUnit};
use emmu_oracle::{
    Reference,
    described::{Description, Registers},
};
use emmu_paging::{
    Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable,
    format::described::Described,
};
use emmu_property::{TestResult, check};
use emmu_verify::generate::Case;
use emmu_verify::{Architecture, described::description};
use std::collections::BTreeSet;

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
    check(10_000, is_judged_alike as fn(Case<Registers>, u8, u8) -> TestResult);
}

/// The level that has pages of this size.
fn level(case: &Case<Registers>, page_bits: u32) -> Option<u8> {
    let sizes = case.registers.description.page_sizes();
    (0..).zip(sizes).find_map(|(level, bits)| (bits == page_bits).then_some(level))
}

/// Returns the hits of the accesses of a case: pages of these levels in a TLB, and tables of these levels in a
/// walk cache.
fn hits(case: &Case<Registers>) -> BTreeSet<(&'static str, u8)> {
    let geometry = Geometry::fully_associative(8, Policy::Lru).unwrap();
    let sizes = case.registers.sizes();
    let config = PagingConfig {
        tlb: vec![TlbLevel::unified(vec![TlbTable { geometry, page_bits: sizes.clone() }])],
        walk_cache: vec![WalkCacheTable { geometry, levels: vec![0, 1, 2, 3, 4] }],
        ..PagingConfig::default()
    };
    let (mut unit, mut memory) =
        (case.registers.out_of_reset(&config, &config).unwrap(), case.memory());
    case.registers.switch_on(&mut unit, &mut memory).unwrap();
    let mut hits = BTreeSet::new();
    for access in &case.accesses {
        let mut events = Vec::new();
        let found = case.registers.translate(*access, &memory);
        let level = found.ok().and_then(|found| level(case, found.page_bits));
        let _ = unit.translate(*access, &mut memory, &mut events);
        hits.extend(events.iter().filter_map(|event| match event {
            Event::TlbHit { .. } => Some(("page", level?)),
            Event::WalkCacheHit { level, .. } => Some(("table", *level)),
            _ => None,
        }));
    }
    hits
}

#[test]
fn generated_cases_hit_pages_and_tables_of_every_level() {
    let reached: BTreeSet<_> =
        (0..8000).flat_map(|seed| hits(&Case::<Registers>::from_seed(seed))).collect();
    let pages = (0..6).map(|level| ("page", level));
    let tables = (0..5).map(|level| ("table", level));
    assert_eq!(reached, pages.chain(tables).collect());
}
