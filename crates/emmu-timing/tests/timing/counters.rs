//! Tests of counts and their ratios.

use crate::events::{AnyEvent, dtlb, fetch, load, read, stlb, walk};
use emmu_core::{Access, AccessKind, Cause, Event, Privilege, Probe, Side, TlbId, VirtAddr};
use emmu_property::quickcheck;
use emmu_timing::{Account, ByAccount, Counters, Cycles, Machine, PerThousand, TlbCounts};

fn count(events: impl IntoIterator<Item = Event>) -> Counters {
    let mut counters = Counters::default();
    events.into_iter().for_each(|event| counters.on(event));
    counters
}

#[test]
fn references_are_counted_by_kind_and_account() {
    let kernel = Access::store(VirtAddr::new(0), 8);
    let counters = count([fetch(0), load(0), load(8), kernel].map(Event::Access));
    assert_eq!(counters.references(), ByAccount::new(3, 1));
    assert_eq!(counters.references_of(AccessKind::Load), ByAccount::new(2, 0));
    assert_eq!(counters.references_of(AccessKind::Store)[Account::Supervisor], 1);
}

#[test]
fn a_restarted_access_is_no_new_reference() {
    let counters = count([Event::Access(load(0)), Event::Restart(load(0))]);
    assert_eq!(counters.references().total(), 1);
    assert_eq!(counters.report().restarts, ByAccount::new(1, 0));
}

#[test]
fn misses_are_told_per_thousand_instructions() {
    let misses = [Event::TlbMiss { tlb: dtlb(), access: load(0) }; 3];
    let counters = count(misses.into_iter().chain([Event::Access(fetch(0)); 2000]));
    assert_eq!(counters.per_thousand(), PerThousand::Instructions { count: 2000 });
    assert_eq!(counters.mpki(dtlb()), Some(1.5));
}

#[test]
fn a_trace_without_fetches_has_misses_per_thousand_references() {
    let misses = [Event::TlbMiss { tlb: dtlb(), access: load(0) }; 3];
    let counters = count(misses.into_iter().chain([Event::Access(load(0)); 500]));
    assert_eq!(counters.per_thousand(), PerThousand::References { count: 500 });
    assert_eq!(counters.mpki(dtlb()), Some(6.0));
}

#[test]
fn misses_of_the_kernel_are_not_the_programs() {
    let kernel = load(0).with_privilege(Privilege::Supervisor);
    let miss = |access| Event::TlbMiss { tlb: dtlb(), access };
    let counters = count([Event::Access(fetch(0)), miss(load(0)), miss(kernel)]);
    assert_eq!(counters.mpki(dtlb()), Some(1000.0));
    assert_eq!(counters.tlb(dtlb()).misses, ByAccount::new(1, 1));
}

#[test]
fn what_never_happened_has_no_ratio() {
    let counters = Counters::default();
    assert_eq!(counters.tlb(dtlb()).hit_ratio(), None);
    assert_eq!(counters.mpki(dtlb()), None);
    assert_eq!(counters.references_per_walk(), None);
    assert_eq!(counters.report().walk_cache.hit_ratio, None);
}

#[test]
fn references_per_walk_are_told_by_level_and_by_walk() {
    let cold = walk(load(0), &[(2, 0x1000), (1, 0x2000), (0, 0x3000)]);
    let warm = walk(load(0x1000), &[(0, 0x3008)]);
    let walks = count(cold.into_iter().chain(warm)).report().walks;
    assert_eq!(walks.reads, [2, 1, 1]);
    assert_eq!(walks.reads_per_walk, Some(2.0));
    assert_eq!(walks.reads_per_walk_by_level, [Some(1.0), Some(0.5), Some(0.5)]);
    assert_eq!(walks.by_reads, [0, 1, 0, 1]);
}

#[test]
fn walk_caches_are_told_by_the_level_that_they_had() {
    let hit = |level| Event::WalkCacheHit { level };
    let report = count([hit(0), hit(0), hit(2), Event::WalkCacheMiss]).report().walk_cache;
    assert_eq!((report.hits, report.misses, report.hit_ratio), (vec![2, 0, 1], 1, Some(0.75)));
}

#[test]
fn faults_are_told_by_cause() {
    let fault = |cause| Event::Fault { access: load(0), cause };
    let counters = count([Cause::Absent, Cause::ReadOnly, Cause::Absent].map(fault));
    let faults: Vec<_> = counters.report().faults.into_iter().collect();
    assert_eq!(faults, [("absent", 2), ("read_only", 1)]);
}

#[test]
fn levels_beyond_the_last_one_count_as_the_last_one() {
    let highest = TlbId { level: 255, side: Side::Unified };
    let counters = count([Event::TlbFill { tlb: highest, page: VirtAddr::ZERO, bits: 12 }]);
    assert_eq!(counters.tlb(TlbId { level: 8, side: Side::Unified }).fills, 1);
}

#[test]
fn resetting_forgets_everything() {
    let mut counters = count(walk(load(0), &[(0, 0)]));
    counters.reset();
    assert_eq!(counters, Counters::default());
}

#[test]
fn counts_serialize_as_their_report() {
    let counters = count([Event::Access(load(0)), Event::TlbHit { tlb: stlb(), access: load(0) }]);
    let json = serde_json::to_value(&counters).unwrap();
    assert_eq!(json["references"]["user"]["load"], 1);
    assert_eq!(json["per_thousand"]["of"], "references");
    assert_eq!(json["tlbs"][0]["side"], "unified");
    assert_eq!(json["tlbs"][0]["hit_ratio"], 1.0);
}

/// Returns the number of events for which `is` returns true.
fn number(events: &[AnyEvent], is: impl Fn(&Event) -> bool) -> u64 {
    events.iter().filter(|event| is(&event.0)).count() as u64
}

quickcheck! {
    fn hits_and_misses_add_up_to_lookups(events: Vec<AnyEvent>) -> bool {
        let counters = count(events.iter().map(|event| event.0));
        let hits = number(&events, |event| matches!(event, Event::TlbHit { .. }));
        let misses = number(&events, |event| matches!(event, Event::TlbMiss { .. }));
        let tlbs: Vec<_> = counters.tlbs().map(|(_, counts)| counts).collect();
        tlbs.iter().map(|tlb| tlb.hits.total()).sum::<u64>() == hits
            && tlbs.iter().map(|tlb| tlb.misses.total()).sum::<u64>() == misses
            && tlbs.iter().map(TlbCounts::lookups).sum::<u64>() == hits + misses
    }

    fn every_event_is_counted_once(events: Vec<AnyEvent>) -> bool {
        let report = count(events.iter().map(|event| event.0)).report();
        let kinds = |kinds: emmu_timing::KindCounts| kinds.fetch + kinds.load + kinds.store + kinds.amo;
        let tlbs: u64 = report.tlbs.iter().map(|tlb| tlb.hits.total() + tlb.misses.total() + tlb.fills).sum();
        let counted = report.references.map(|&counts| kinds(counts)).total()
            + report.restarts.total()
            + tlbs
            + report.walks.begun.total()
            + report.walks.reads.iter().sum::<u64>()
            + report.walks.updates.iter().sum::<u64>()
            + report.walks.by_reads.iter().sum::<u64>()
            + report.walk_cache.hits.iter().sum::<u64>()
            + report.walk_cache.misses
            + report.faults.values().sum::<u64>()
            + report.traps_entered
            + report.traps_returned
            + report.invalidations.values().sum::<u64>()
            + report.register_writes
            + report.transfers.count.map(|&counts| kinds(counts)).total();
        counted == events.len() as u64
    }

    fn a_pair_of_probes_hears_what_each_would_alone(events: Vec<AnyEvent>) -> bool {
        let machine = Machine::preset("textbook-x86-64").unwrap();
        let mut pair = (Counters::default(), Cycles::new(&machine));
        let mut alone = Cycles::new(&machine);
        for AnyEvent(event) in &events {
            pair.on(*event);
            alone.on(*event);
        }
        pair.0 == count(events.iter().map(|event| event.0)) && pair.1.report() == alone.report()
    }
}

#[test]
fn a_read_outside_of_a_walk_is_a_read_of_no_walk() {
    let walks = count([read(0, 0), read(0, 8)]).report().walks;
    assert_eq!((walks.reads, walks.by_reads, walks.reads_per_walk), (vec![2], vec![], None));
}
