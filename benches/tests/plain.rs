//! Checks that the plain implementation gives the addresses, hits, misses and reads of emmu, on the addresses
//! of the benches and on others.

use emmu_benches::{
    PAGES, ROOT, anywhere, each_page,
    plain::{
        CachedWalks, Counts, Ept, GuestWalks, Long, Lookups, Plain, Sv39, Sv39x4, Tlbs, Walks,
    },
    riscv_guest, sv39, usual_tlbs, usual_walk_caches, x86_guest,
};
use emmu_core::{Access, AccessFlags, Side, TlbId, TranslationUnit, VirtAddr};
use emmu_memory::Memory;
use emmu_paging::{Paging, PagingConfig, SecondStage, format::Format};
use emmu_timing::{Counters, TlbCounts};

/// More leaf tables than walk caches hold, and more pages than TLBs do.
const MANY: u64 = 40 << 9;

fn patterns(pages: u64) -> Vec<u64> {
    [each_page(pages.min(32)), each_page(pages.min(1024)), each_page(pages.min(4096))]
        .into_iter()
        .flat_map(|addresses| [addresses.clone(), addresses].concat())
        .chain(anywhere(pages, 20_000))
        .collect()
}

fn agree<F: Format, S: SecondStage>(
    mut plain: impl Plain,
    (mut unit, mut memory): (Paging<F, S>, Memory),
    flags: AccessFlags,
    addresses: &[u64],
) -> Counts {
    let mut counters = Counters::default();
    for &addr in addresses {
        let access = Access::load(VirtAddr::new(addr), 8).with_flags(flags);
        let found = unit.translate(access, &mut memory, &mut counters).ok();
        let found = found.map(|found| found.addr.raw());
        assert_eq!(plain.translate(&mut memory, addr), found, "{addr:#x}");
        assert!(found.is_some_and(|found| found >= PAGES), "{addr:#x}");
    }
    assert_eq!(plain.counts(), counted(&counters));
    plain.counts()
}

fn counted(counters: &Counters) -> Counts {
    let lookups = |level, side| {
        let TlbCounts { hits, misses, .. } = counters.tlb(TlbId { level, side });
        Lookups { hits: hits.total(), misses: misses.total() }
    };
    let cache = counters.report().walk_cache;
    let hits = |level| cache.hits.get(level).copied().unwrap_or_default();
    Counts {
        l1: lookups(1, Side::Data),
        l2: lookups(2, Side::Unified),
        walks: counters.walks().total(),
        reads: counters.entry_reads(),
        pointers: [hits(0), hits(1), cache.misses],
        second_walks: counters.second_stage_walks().total(),
        second_reads: counters.second_stage_entry_reads(),
    }
}

#[test]
fn plain_tlbs_hit_and_miss_as_emmu_does() {
    let machine = sv39(&usual_tlbs(12).unwrap(), MANY).unwrap();
    let counts = agree(Tlbs::new(ROOT), machine, AccessFlags::empty(), &patterns(MANY));
    assert!(counts.l1.hits > 0 && counts.l2.hits > 0 && counts.walks > 0);
}

#[test]
fn the_benched_addresses_all_hit_where_their_rows_say() {
    let machine = |pages| sv39(&usual_tlbs(12).unwrap(), pages).unwrap();
    let twice = |pages| each_page(pages).repeat(2);
    let run = |pages| agree(Tlbs::new(ROOT), machine(pages), AccessFlags::empty(), &twice(pages));
    assert_eq!(run(32).l1.hits, 32);
    assert_eq!((run(1024).l1.hits, run(1024).l2.hits), (0, 1024));
    assert_eq!((run(4096).l1.hits, run(4096).l2.hits), (0, 0));
}

#[test]
fn a_plain_walk_reads_the_entries_that_emmu_reads() {
    let machine = sv39(&PagingConfig::default(), MANY).unwrap();
    agree(Walks::<Sv39>::new(ROOT), machine, AccessFlags::empty(), &patterns(MANY));
}

#[test]
fn plain_walk_caches_know_the_tables_that_emmu_s_do() {
    let machine = sv39(&usual_walk_caches().unwrap(), MANY).unwrap();
    let counts = agree(CachedWalks::new(ROOT), machine, AccessFlags::empty(), &patterns(MANY));
    assert!(counts.pointers.iter().all(|&count| count > 0));
}

#[test]
fn a_plain_walk_in_two_dimensions_is_the_nested_walk_of_riscv() {
    let machine = riscv_guest(&PagingConfig::default(), &PagingConfig::default(), 4096).unwrap();
    let plain = GuestWalks::<Sv39, Sv39x4>::new(ROOT, ROOT);
    let counts = agree(plain, machine, AccessFlags::GUEST, &patterns(4096));
    let reads = counts.reads.iter().chain(&counts.second_reads).sum::<u64>();
    assert_eq!(reads, 15 * counts.walks);
}

#[test]
fn a_plain_walk_in_two_dimensions_is_the_nested_walk_of_x86() {
    let machine = x86_guest(&PagingConfig::default(), &PagingConfig::default(), 4096).unwrap();
    let plain = GuestWalks::<Long, Ept>::new(ROOT, ROOT);
    let counts = agree(plain, machine, AccessFlags::empty(), &patterns(4096));
    let reads = counts.reads.iter().chain(&counts.second_reads).sum::<u64>();
    assert_eq!(reads, 24 * counts.walks);
}
