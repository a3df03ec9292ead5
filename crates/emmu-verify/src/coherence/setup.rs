//! Configurations of TLBs and walk caches of many kinds.

use crate::Architecture;
use emmu_paging::{
    Geometry, InvalidationReach, PagingConfig, Policy, Reach, TlbLevel, TlbTable, WalkCacheTable,
    format::Format,
};

/// Log2 of the sizes of all pages, blocks and runs up to 16 GiB.
const ALL: [u8; 10] = [12, 14, 16, 21, 22, 25, 29, 30, 34, 39];
/// Only the smallest size: a TLB holds parts of larger pages.
const SMALL: [u8; 1] = [12];
/// Two of the sizes.
const MIDDLE: [u8; 2] = [12, 21];

/// Returns the configuration of this number.
pub(crate) fn config(number: u16) -> PagingConfig {
    let mut digits = Digits(scattered(number));
    let policy = digits.pick(Policy::BUILT_IN).unwrap_or_default();
    let mut bank = |sizes: &[&[u8]]| {
        let (sets, ways) = digits.pick(&[(1, 1), (1, 4), (2, 2), (4, 1)]).unwrap_or((1, 1));
        sizes.iter().filter_map(|sizes| table(sets, ways, policy, sizes)).collect::<Vec<_>>()
    };
    let (first, second) = (bank(&[&ALL]), bank(&[&SMALL, &ALL[1..]]));
    let parts = bank(&[digits_sizes(number)]);
    let tlb = match number % 7 {
        0 => Vec::new(),
        1 => vec![TlbLevel::unified(first)],
        2 => vec![TlbLevel::unified(parts)],
        3 if number.is_multiple_of(3) => {
            vec![TlbLevel::unified(first), TlbLevel::unified(parts).exclusive()]
        }
        3 => vec![TlbLevel::unified(first), TlbLevel::unified(parts)],
        4 => vec![TlbLevel::unified(parts), bound(second, number)],
        _ => vec![TlbLevel::split(parts, first), bound(second, number)],
    };
    PagingConfig { tlb, walk_cache: walk_caches(number / 7 % 4, policy), ..PagingConfig::default() }
}

/// Returns the configuration of this number for a processor of this architecture. Every eighth configuration
/// invalidates more than it is asked to.
pub(crate) fn config_of<A: Architecture>(number: u16) -> PagingConfig {
    let config = match A::Format::MAY_CACHE_INVALID {
        true => config_with_invalid_entries(number),
        false => config(number),
    };
    let reach = if number >> 8 & 7 == 7 { reach(number) } else { InvalidationReach::default() };
    PagingConfig { reach, ..config }
}

/// Makes each scope exact, as wide as possible, or something between.
fn reach(number: u16) -> InvalidationReach {
    let wider = |shift: u32, possible: &[Reach]| {
        let which = usize::from(number.rotate_right(shift));
        possible[which % possible.len()]
    };
    InvalidationReach {
        non_global: wider(0, &[Reach::Exact, Reach::All]),
        asid: wider(1, &[Reach::Exact, Reach::NonGlobal, Reach::All]),
        page: wider(2, &[Reach::Exact, Reach::All]),
        page_in_asid: wider(
            3,
            &[Reach::Exact, Reach::Page, Reach::Asid, Reach::NonGlobal, Reach::All],
        ),
        range: wider(4, &[Reach::Exact, Reach::All]),
        guest: wider(5, &[Reach::Exact, Reach::Guest, Reach::All]),
        second_stage: wider(6, &[Reach::Exact, Reach::Guest, Reach::All]),
    }
}

/// Returns the configuration of this number for a processor that may cache invalid entries. Every other configuration
/// caches them.
pub(crate) fn config_with_invalid_entries(number: u16) -> PagingConfig {
    let policy = Digits(scattered(number)).pick(Policy::BUILT_IN).unwrap_or_default();
    let geometry = geometry(1 + u32::from(number / 2 % 2), 2, policy);
    let invalid_entries = geometry.filter(|_| number.is_multiple_of(2));
    PagingConfig { invalid_entries, ..config(number) }
}

/// Makes a second level that includes the first, excludes it, or neither.
fn bound(bank: Vec<TlbTable>, number: u16) -> TlbLevel {
    let level = TlbLevel::unified(bank);
    match number / 28 % 3 {
        0 => level,
        1 => level.inclusive(),
        _ => level.exclusive(),
    }
}

fn digits_sizes(number: u16) -> &'static [u8] {
    if number.is_multiple_of(2) { &SMALL } else { &MIDDLE }
}

fn table(sets: u32, ways: u32, policy: Policy, sizes: &[u8]) -> Option<TlbTable> {
    Some(TlbTable { geometry: geometry(sets, ways, policy)?, page_bits: sizes.to_vec() })
}

/// Makes a geometry with this policy, or with LRU where the policy does not allow so many sets.
pub(crate) fn geometry(sets: u32, ways: u32, policy: Policy) -> Option<Geometry> {
    let policy = if policy.sets().allows(sets) { policy } else { Policy::default() };
    Geometry::new(sets, ways, policy).ok()
}

fn walk_caches(kind: u16, policy: Policy) -> Vec<WalkCacheTable> {
    let cache = |ways, levels: &[u8]| {
        let geometry = geometry(1, ways, policy)?;
        Some(WalkCacheTable { geometry, levels: levels.to_vec() })
    };
    let caches = match kind {
        0 => vec![],
        1 => vec![cache(4, &[0, 1, 2, 3, 4, 5, 6])],
        2 => vec![cache(2, &[0]), cache(2, &[1, 2])],
        _ => vec![cache(4, &[1, 2, 3])],
    };
    caches.into_iter().flatten().collect()
}

/// Returns a number whose digits do not follow those of `number`, which decide other things: otherwise each kind of TLB
/// would have one policy only.
const fn scattered(number: u16) -> u16 {
    number.wrapping_mul(0x9e37).rotate_left(8)
}

/// Draws decisions from one number.
struct Digits(u16);

impl Digits {
    fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let count = u16::try_from(items.len()).ok()?;
        let item = items.get(usize::from(self.0.checked_rem(count)?)).copied();
        self.0 /= count;
        item
    }
}
