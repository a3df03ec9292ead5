//! References of a walk in two dimensions: (g + 1)(h + 1) - 1 for g levels on h levels.

use crate::tables::{ABOVE, GPA, Plan, VA, aarch64, riscv, x86};
use emmu_core::{Event, Side};
use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable};

pub(crate) fn none() -> PagingConfig {
    PagingConfig::default()
}

/// A TLB of 16 entries for small pages.
pub(crate) fn tlb() -> PagingConfig {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let table = TlbTable { geometry, page_bits: vec![12] };
    PagingConfig { tlb: vec![TlbLevel::unified(vec![table])], ..PagingConfig::default() }
}

/// Walk caches that hold tables of these levels.
fn walk_caches(levels: &[u8]) -> PagingConfig {
    let geometry = Geometry::fully_associative(16, Policy::Lru).unwrap();
    let table = WalkCacheTable { geometry, levels: levels.to_vec() };
    PagingConfig { walk_cache: vec![table], ..PagingConfig::default() }
}

#[test]
fn riscv_guests_make_8_15_24_or_35_references() {
    for (levels, references) in [(2, 8), (3, 15), (4, 24), (5, 35)] {
        let mut machine = riscv(Plan::small(levels, levels), &none(), &none());
        assert_eq!(machine.reads(VA), references, "{levels} levels");
    }
}

#[test]
fn x86_guests_make_24_35_or_29_references() {
    for (guest, host, references) in [(4, 4, 24), (5, 5, 35), (5, 4, 29)] {
        let mut machine = x86(Plan::small(guest, host), &none(), &none());
        assert_eq!(machine.reads(VA), references, "{guest} on {host}");
    }
}

#[test]
fn larger_pages_at_either_stage_save_references() {
    for (guest_leaf, host_leaf, references) in [(0, 1, 19), (0, 2, 14), (1, 1, 15), (2, 2, 8)] {
        let plan = Plan { guest_leaf, host_leaf, ..Plan::small(4, 4) };
        assert_eq!(x86(plan, &none(), &none()).reads(VA), references);
        assert_eq!(riscv(plan, &none(), &none()).reads(VA), references);
        assert_eq!(aarch64(plan, &none(), &none()).reads(VA), references);
    }
}

#[test]
fn aarch64_guests_make_as_many_as_the_levels_of_both_stages_say() {
    for (guest, host) in [(3, 3), (4, 4), (4, 3), (3, 4)] {
        let mut machine = aarch64(Plan::small(guest, host), &none(), &none());
        let references = (guest + 1) * (host + 1) - 1;
        assert_eq!(machine.reads(VA), references as usize, "{guest} on {host}");
    }
}

#[test]
fn the_address_is_what_both_stages_make_of_it() {
    let plan = Plan::small(4, 4);
    assert_eq!(x86(plan, &none(), &none()).load(VA + 0x123), Ok(GPA + 0x123 + ABOVE));
    assert_eq!(riscv(plan, &none(), &none()).load(VA + 0x123), Ok(GPA + 0x123 + ABOVE));
    assert_eq!(aarch64(plan, &none(), &none()).load(VA + 0x123), Ok(GPA + 0x123 + ABOVE));
}

#[test]
fn a_walk_cache_of_the_first_stage_saves_whole_rows() {
    // k levels skipped: (g - k + 1)(h + 1) - 1.
    for (level, skipped) in [(0, 3), (1, 2), (2, 1)] {
        let mut machine = x86(Plan::small(4, 4), &walk_caches(&[level]), &none());
        assert_eq!(machine.reads(VA), 24);
        assert_eq!(machine.reads(VA), (4 - skipped + 1) * 5 - 1, "{skipped} levels skipped");
    }
}

#[test]
fn walk_caches_of_the_second_stage_save_within_each_of_its_walks() {
    // From the second walk of the second stage on, its last level alone is read: all is within 2 MiB but the data.
    let mut machine = x86(Plan::small(4, 4), &none(), &walk_caches(&[0]));
    assert_eq!(machine.reads(VA), 4 + (4 * 2 - 1) + 4);
    assert_eq!(machine.reads(VA), 5 + 4);
}

#[test]
fn a_tlb_of_the_second_stage_leaves_the_first_stage_s_own_references() {
    let mut machine = x86(Plan::small(4, 4), &none(), &tlb());
    assert_eq!(machine.reads(VA), 24);
    let events = machine.events(VA);
    let reads = events.iter().filter(|event| matches!(event, Event::EntryRead { .. })).count();
    assert_eq!(reads, 4);
    let is_nested = |event: &&Event| matches!(event, Event::TlbHit { tlb, .. } if tlb.side == Side::SecondStage);
    assert_eq!(events.iter().filter(is_nested).count(), 5);
}

#[test]
fn a_tlb_of_both_stages_leaves_none() {
    let mut machine = x86(Plan::small(4, 4), &tlb(), &none());
    assert_eq!(machine.reads(VA), 24);
    assert_eq!(machine.reads(VA), 0);
}

#[test]
fn a_guest_superpage_on_small_pages_is_held_in_parts() {
    // 2 MiB on 4 KiB: another page of the same superpage is not known yet.
    let mut machine = x86(Plan { guest_leaf: 1, ..Plan::small(4, 4) }, &tlb(), &none());
    assert_eq!(machine.reads(VA), (3 + 1) * 5 - 1);
    assert_eq!(machine.reads(VA), 0);
    assert_eq!(machine.load(VA), Ok(GPA + ABOVE));
}
