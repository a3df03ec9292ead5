//! Exact cycles of hand-written event sequences. The prices are those of the textbook machine: TLB lookups 1
//! and 10, walk cache 2, caches 5 (fetches 1) and 20, memory 100, entry update 50, trap entry 1000 and trap
//! return 500.

use crate::events::{AnyEvent, dtlb, fetch, load, read, stlb, transfer, walk};
use emmu_core::{
    Access, Asid, Event, Invalidate, PhysAddr, Privilege, Probe, RegisterId, VirtAddr, Vmid,
};
use emmu_property::quickcheck;
use emmu_timing::{Account, ByServed, Cycles, CyclesByCause, Machine};

fn textbook() -> Machine {
    Machine::preset("textbook-sv39").unwrap()
}

fn spend_on(machine: &Machine, events: &[Event]) -> Cycles {
    let mut cycles = Cycles::new(machine);
    events.iter().for_each(|&event| cycles.on(event));
    cycles
}

fn spend(events: &[Event]) -> Cycles {
    spend_on(&textbook(), events)
}

/// Makes the textbook machine with one line of its description replaced.
fn machine_with(old: &str, new: &str) -> Machine {
    let text = Machine::preset_text("textbook-sv39").unwrap();
    assert!(text.contains(old), "{old}");
    Machine::from_toml("x", &text.replacen(old, new, 1)).unwrap()
}

fn hit(access: Access) -> Event {
    Event::TlbHit { tlb: dtlb(), access }
}

fn misses(access: Access) -> [Event; 2] {
    [Event::TlbMiss { tlb: dtlb(), access }, Event::TlbMiss { tlb: stlb(), access }]
}

#[test]
fn a_first_level_hit_costs_its_lookup() {
    assert_eq!(spend(&[hit(load(0))]).total(), 1);
}

#[test]
fn a_second_level_hit_costs_both_lookups() {
    let access = load(0);
    let events = [Event::TlbMiss { tlb: dtlb(), access }, Event::TlbHit { tlb: stlb(), access }];
    assert_eq!(spend(&events).total(), 1 + 10);
}

#[test]
fn a_cold_walk_reads_every_entry_from_memory() {
    let cycles = spend(&walk(load(0), &[(2, 0x1000), (1, 0x2000), (0, 0x3000)]));
    assert_eq!(cycles.total(), 3 * 100);
    assert_eq!(cycles.walk_latency().iter().collect::<Vec<_>>(), [(300, 1)]);
}

#[test]
fn entries_in_one_line_are_fetched_once() {
    let cycles = spend(&walk(load(0), &[(2, 0x1000), (1, 0x1008), (0, 0x1038)]));
    assert_eq!(cycles.total(), 100 + 5 + 5);
}

#[test]
fn a_walk_cache_lookup_costs_the_same_hit_or_miss() {
    for lookup in [Event::WalkCacheHit { level: 0 }, Event::WalkCacheMiss] {
        let events =
            [Event::WalkBegin(load(0)), lookup, read(0, 0x1000), Event::WalkEnd { faulted: false }];
        let cycles = spend(&events);
        assert_eq!(cycles.walk_latency().max(), Some(2 + 100));
    }
}

#[test]
fn updating_an_entry_adds_to_the_walk() {
    let addr = PhysAddr::new(0x1000);
    let events = [
        Event::WalkBegin(load(0)),
        read(0, 0x1000),
        Event::EntryUpdate { level: 0, addr, raw: 1 },
        Event::WalkEnd { faulted: false },
    ];
    let cycles = spend(&events);
    assert_eq!(cycles.walk_latency().max(), Some(100 + 50));
    assert_eq!(cycles.by_cause()[Account::User].entry_updates, 50);
}

#[test]
fn a_walk_that_faults_is_a_walk() {
    let events = [Event::WalkBegin(load(0)), read(2, 0), Event::WalkEnd { faulted: true }];
    assert_eq!(spend(&events).report().walk_latency.walks, 1);
}

#[test]
fn walks_and_data_share_the_data_cache() {
    let after_walk = [read(0, 0x1000), transfer(load(0), 0x1008)];
    assert_eq!(spend(&after_walk).total(), 100 + 5);
    let after_load = [transfer(load(0), 0x1008), read(0, 0x1000)];
    assert_eq!(spend(&after_load).total(), 100 + 5);
}

#[test]
fn walks_and_fetches_share_the_second_level_only() {
    let events = [read(0, 0x1000), transfer(fetch(0), 0x1008), transfer(fetch(0), 0x1008)];
    let cycles = spend(&events);
    assert_eq!(cycles.total(), 100 + 20 + 1);
    assert_eq!(cycles.by_cause()[Account::User].fetches, [1, 20, 0, 0]);
}

#[test]
fn data_evicts_entries_to_the_second_level() {
    // There are eight sets of two ways: lines 512 bytes apart share a set.
    let load = |addr| transfer(load(0), addr);
    let cycles = spend(&[read(0, 0x1000), load(0x1200), load(0x1400), read(0, 0x1000)]);
    assert_eq!(cycles.total(), 3 * 100 + 20);
    let served = ByServed { l2: 1, memory: 1, ..ByServed::default() };
    assert_eq!(cycles.report().entry_reads_by_cache, served);
}

#[test]
fn a_store_brings_its_line_in() {
    let store = Access::store(VirtAddr::new(0), 8);
    assert_eq!(spend(&[transfer(store, 0x1000), transfer(store, 0x1000)]).total(), 100 + 5);
}

#[test]
fn a_transfer_across_lines_reads_each_of_them() {
    assert_eq!(spend(&[transfer(load(0), 0x103c)]).total(), 2 * 100);
    let page = Access::store(VirtAddr::new(0), 4096);
    let cycles = spend(&[transfer(page, 0x2000)]);
    assert_eq!(cycles.total(), 64 * 100);
    assert_eq!(cycles.report().lines_by_cache.memory, 64);
}

#[test]
fn a_transfer_at_the_end_of_memory_does_not_wrap() {
    assert_eq!(spend(&[transfer(load(0), u64::MAX)]).total(), 100);
}

#[test]
fn a_walker_that_starts_at_the_second_level_leaves_the_first_alone() {
    let machine = machine_with("cache = \"l1d\"", "cache = \"l2\"");
    let events = [read(0, 0x1000), read(0, 0x1000), transfer(load(0), 0x1000)];
    assert_eq!(spend_on(&machine, &events).total(), 100 + 20 + 20);
}

#[test]
fn a_walker_that_starts_at_the_last_level_leaves_the_others_alone() {
    let last = "[cache.llc]\nsize = \"64K\"\nways = 8\nline = 64\nlatency = 40\n\n[cache.l2]";
    let text = machine_with("[cache.l2]", last).to_toml();
    let text = text.replacen("cache = \"l1d\"", "cache = \"llc\"", 1);
    let machine = Machine::from_toml("x", &text).unwrap();
    let events = [read(0, 0x1000), read(0, 0x1000), transfer(load(0), 0x1000)];
    assert_eq!(spend_on(&machine, &events).total(), 100 + 40 + 40);
}

#[test]
fn a_walker_that_starts_at_no_cache_reads_from_memory() {
    let mut machine = textbook();
    machine.walker.value.cache = None;
    let events = [read(0, 0x1000), read(0, 0x1000), transfer(load(0), 0x1000)];
    assert_eq!(spend_on(&machine, &events).total(), 3 * 100);
}

#[test]
fn without_caches_everything_comes_from_memory() {
    let text = "name = 'bare'\nformat = 'riscv-sv39'\n[memory]\nsize = '2M'\nlatency = 7";
    let machine = Machine::from_toml("x", text).unwrap();
    let access = load(0);
    let events = [hit(access), read(0, 0), read(0, 0), transfer(access, 0), transfer(access, 0)];
    assert_eq!(spend_on(&machine, &events).total(), 4 * 7);
}

#[test]
fn the_walk_is_on_the_account_of_the_access_that_needs_it() {
    let kernel = load(0).with_privilege(Privilege::Supervisor);
    let events = [walk(load(0), &[(0, 0x1000)]), walk(kernel, &[(0, 0x2000), (0, 0x3000)])];
    let by_account = spend(&events.concat()).report().by_account;
    assert_eq!((by_account[Account::User], by_account[Account::Supervisor]), (100, 200));
}

#[test]
fn traps_and_privileged_operations_are_on_the_kernels_account() {
    let access = load(0);
    let events = [
        Event::Fault { access, cause: emmu_core::Cause::Absent },
        Event::TrapEnter,
        Event::RegisterWrite(RegisterId(0)),
        Event::Invalidate(Invalidate::All),
        Event::TrapReturn,
    ];
    let cycles = spend(&events);
    let kernel = CyclesByCause {
        trap_entries: 1000,
        trap_returns: 500,
        register_writes: 30,
        invalidations: 60,
        ..CyclesByCause::default()
    };
    assert_eq!(cycles.by_cause()[Account::Supervisor], kernel);
    assert_eq!(cycles.by_cause()[Account::User], CyclesByCause::default());
}

#[test]
fn every_scope_of_invalidation_has_its_price() {
    let (addr, asid) = (VirtAddr::ZERO, Asid(1));
    let scopes = [
        (Invalidate::All, 60),
        (Invalidate::NonGlobal, 50),
        (Invalidate::Asid(asid), 40),
        (Invalidate::Page(addr), 20),
        (Invalidate::PageInAsid { addr, asid, global: false }, 20),
        (Invalidate::Range { addr, len: 1, asid: None }, 30),
    ];
    for (scope, price) in scopes {
        assert_eq!(spend(&[Event::Invalidate(scope)]).total(), price, "{scope:?}");
    }
}

#[test]
fn invalidations_for_virtual_machines_have_prices_of_their_own() {
    let machine =
        machine_with("[prices.invalidate]", "[prices.invalidate]\nguest = 70\nsecond_stage = 80");
    let guest = Invalidate::Guest { vmid: Vmid(1), asid: None, addr: None, keeps_global: false };
    let stage = Invalidate::SecondStage { tables: None, addr: None, combined: true };
    for (scope, price) in [(guest, 70), (stage, 80)] {
        assert_eq!(spend_on(&machine, &[Event::Invalidate(scope)]).total(), price);
        assert_eq!(spend(&[Event::Invalidate(scope)]).total(), 0);
    }
}

#[test]
fn a_perfect_tlb_leaves_first_level_lookups_and_transfers() {
    let access = load(0);
    let mut events = misses(access).to_vec();
    events.extend(walk(access, &[(2, 0x1000), (1, 0x2000), (0, 0x3000)]));
    events.push(transfer(access, 0x8000));
    let cycles = spend(&events);
    assert_eq!(cycles.total(), 1 + 10 + 300 + 100);
    assert_eq!(cycles.perfect()[Account::User], 1 + 100);
    assert_eq!(cycles.overhead(), Some(411.0 / 101.0));
    assert_eq!(cycles.overhead_of(Account::Supervisor), None);
}

#[test]
fn nothing_spent_has_no_overhead() {
    assert_eq!(spend(&[]).overhead(), None);
}

#[test]
fn resetting_forgets_cycles_and_keeps_the_caches_warm() {
    let mut cycles = spend(&walk(load(0), &[(0, 0x1000)]));
    cycles.reset();
    assert_eq!((cycles.total(), cycles.walk_latency().count()), (0, 0));
    cycles.on(read(0, 0x1000));
    assert_eq!(cycles.total(), 5);
}

#[test]
fn a_clone_goes_on_by_itself() {
    let mut cycles = spend(&[read(0, 0x1000)]);
    let snapshot = cycles.clone();
    cycles.on(read(0, 0x2000));
    assert_eq!((snapshot.total(), cycles.total()), (100, 200));
}

#[test]
fn cycles_serialize_as_their_report() {
    let json = serde_json::to_value(spend(&walk(load(0), &[(0, 0x1000)]))).unwrap();
    assert_eq!(json["by_account"]["user"], 100);
    assert_eq!(json["walk_latency"]["p99"], 100);
    assert_eq!(json["entry_reads_by_level_and_cache"][0]["memory"], 1);
    assert_eq!(json["overhead"], serde_json::Value::Null);
}

quickcheck! {
    fn cycles_by_cause_and_account_add_up_to_all_cycles(events: Vec<AnyEvent>) -> bool {
        let events: Vec<_> = events.into_iter().map(|event| event.0).collect();
        let report = spend(&events).report();
        report.by_account.total() == report.total
            && report.perfect.total() + report.translation.total() == report.total
            && report.overhead.is_none_or(|overhead| overhead >= 1.0)
    }

    fn cycles_never_run_backwards(events: Vec<AnyEvent>) -> bool {
        let mut cycles = Cycles::new(&textbook());
        events.iter().all(|event| {
            let before = cycles.total();
            cycles.on(event.0);
            cycles.total() >= before
        })
    }
}
