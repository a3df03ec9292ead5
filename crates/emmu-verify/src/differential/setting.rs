//! The settings of the units that are compared.

use core::fmt;
use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable, WalkCacheTable};

/// The caches of a unit, and how long it keeps their entries.
///
/// During a case, only the unit itself changes table words, and the flags that it sets do not change the meaning of any
/// other entry. So no cached entry becomes stale, and caches need no flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Every access walks from the root.
    Uncached,
    /// TLBs of all sizes and walk caches, flushed before each access. TLBs of a second stage hold pages of 4 KiB, so
    /// that within one access no run stands for another of its entries.
    Flushed,
    /// TLBs of 4 KiB, or of the smallest pages if these are smaller, and walk caches, never flushed. Larger pages are
    /// cached by parts; a part of a run never exceeds one entry.
    WarmPages,
    /// TLBs of all sizes and walk caches, never flushed.
    Warm,
}

impl Setting {
    pub(super) const fn flushes(self) -> bool {
        matches!(self, Self::Flushed)
    }

    /// Returns true if one TLB entry can hold a whole run.
    pub(super) const fn caches_runs(self) -> bool {
        matches!(self, Self::Warm)
    }

    pub(super) const fn is_warm(self) -> bool {
        matches!(self, Self::WarmPages | Self::Warm)
    }

    /// Returns the configurations of the unit and of its second stage: small tables, so that entries are evicted and
    /// found again one level below. `sizes` are the page sizes to hold.
    pub(super) fn configs(self, sizes: &[u8]) -> [PagingConfig; 2] {
        let smallest = sizes.iter().copied().fold(12, u8::min);
        match self {
            Self::Uncached => [PagingConfig::default(), PagingConfig::default()],
            Self::Flushed => [config(sizes), config(&[12])],
            Self::WarmPages => [config(&[smallest]), config(&[12])],
            Self::Warm => [config(sizes), config(sizes)],
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uncached => "without caches",
            Self::Flushed => "flushed",
            Self::WarmPages => "with TLBs of small pages",
            Self::Warm => "with TLBs",
        })
    }
}

fn config(sizes: &[u8]) -> PagingConfig {
    let table = |(sets, ways), policy, page_bits: &[u8]| {
        let geometry = Geometry::new(sets, ways, policy).ok()?;
        Some(TlbTable { geometry, page_bits: page_bits.to_vec() })
    };
    let first = || table((1, 2), Policy::Lru, sizes).into_iter().collect();
    let (small, large) = sizes.split_at(1);
    let second = [small, large].into_iter().filter(|sizes| !sizes.is_empty());
    let second = second.filter_map(|sizes| table((2, 2), Policy::TreePlru, sizes)).collect();
    let walk_cache = Geometry::fully_associative(3, Policy::Fifo).ok();
    PagingConfig {
        tlb: vec![TlbLevel::split(first(), first()), TlbLevel::unified(second)],
        walk_cache: walk_cache
            .map(|geometry| WalkCacheTable { geometry, levels: vec![0, 1, 2, 3, 4] })
            .into_iter()
            .collect(),
        ..PagingConfig::default()
    }
}
