//! Counts as a report gives them, in JSON or otherwise.

use super::{Counters, INVALIDATE_KINDS, TlbCounts, WalkCounts};
use crate::{ByAccount, ratio};
use emmu_core::{Side, TlbId};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Everything counted, with the quotients that the field reads. Quotients are absent (`null` in JSON) where
/// they would divide by zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountersReport {
    /// Accesses of the CPU, by kind.
    pub references: ByAccount<KindCounts>,
    /// Repetitions of repaired accesses.
    pub restarts: ByAccount<u64>,
    /// What the MPKI of [`TlbReport`] divide by.
    pub per_thousand: PerThousand,
    /// The TLBs, by level and side.
    pub tlbs: Vec<TlbReport>,
    /// The page walks.
    pub walks: WalkReport,
    /// The walk caches.
    pub walk_cache: WalkCacheReport,
    /// The second stage's walks and walk caches; absent where it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_stage: Option<SecondStageReport>,
    /// Refused accesses, by cause.
    pub faults: BTreeMap<&'static str, u64>,
    /// Entries into the trap handler.
    pub traps_entered: u64,
    /// Returns from it.
    pub traps_returned: u64,
    /// Invalidations, by scope.
    pub invalidations: BTreeMap<&'static str, u64>,
    /// Writes to registers of the translation unit.
    pub register_writes: u64,
    /// Pieces of accesses that moved on the bus.
    pub transfers: TransferReport,
}

/// A number for each kind of access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindCounts {
    /// Instruction fetches.
    pub fetch: u64,
    /// Loads.
    pub load: u64,
    /// Stores.
    pub store: u64,
    /// Atomic read-modify-writes.
    pub amo: u64,
}

impl From<[u64; 4]> for KindCounts {
    fn from([fetch, load, store, amo]: [u64; 4]) -> Self {
        Self { fetch, load, store, amo }
    }
}

/// What "misses per thousand" are per thousand of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum PerThousand {
    /// The program's instructions: its fetches.
    Instructions {
        /// How many.
        count: u64,
    },
    /// The program's references, as it had no fetches.
    References {
        /// How many.
        count: u64,
    },
}

impl PerThousand {
    /// How many.
    #[must_use]
    pub const fn count(self) -> u64 {
        match self {
            Self::Instructions { count } | Self::References { count } => count,
        }
    }
}

/// One TLB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TlbReport {
    /// 1 is the level nearest to the CPU.
    pub level: u8,
    /// `instruction`, `data`, `unified` or `second-stage`.
    pub side: &'static str,
    /// Lookups that found the page.
    pub hits: ByAccount<u64>,
    /// Lookups that did not.
    pub misses: ByAccount<u64>,
    /// Translations that entered it.
    pub fills: u64,
    /// Hits per lookup.
    pub hit_ratio: Option<f64>,
    /// The program's misses per thousand of [`CountersReport::per_thousand`].
    pub mpki: Option<f64>,
}

/// The page walks. Lists by level begin with level 0, that of the smallest pages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkReport {
    /// Walks begun.
    pub begun: ByAccount<u64>,
    /// Walks that ended in a fault.
    pub faulted: u64,
    /// Entries read, by level.
    pub reads: Vec<u64>,
    /// Entries updated, by level.
    pub updates: Vec<u64>,
    /// Entries read per walk.
    pub reads_per_walk: Option<f64>,
    /// Entries read per walk, by level.
    pub reads_per_walk_by_level: Vec<Option<f64>>,
    /// Finished walks by number of entries read: the first read none. The last place, if there are 64,
    /// holds walks of 63 reads and more.
    pub by_reads: Vec<u64>,
}

/// The second stage: translations of guest-physical addresses that its own TLBs, which are among
/// [`CountersReport::tlbs`], did not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecondStageReport {
    /// Its page walks.
    pub walks: WalkReport,
    /// Its walk caches.
    pub walk_cache: WalkCacheReport,
}

/// The walk caches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkCacheReport {
    /// Lookups that found a table, by the table's level, beginning with 0.
    pub hits: Vec<u64>,
    /// Lookups that found none.
    pub misses: u64,
    /// Hits per lookup.
    pub hit_ratio: Option<f64>,
}

/// What moved on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TransferReport {
    /// Transfers.
    pub count: ByAccount<KindCounts>,
    /// Bytes.
    pub bytes: ByAccount<KindCounts>,
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report().serialize(serializer)
    }
}

impl Counters {
    /// The counts so far, with their quotients.
    #[must_use]
    pub fn report(&self) -> CountersReport {
        let kinds = |counts: &ByAccount<[u64; 4]>| counts.map(|&kinds| kinds.into());
        CountersReport {
            references: kinds(&self.references),
            restarts: self.restarts,
            per_thousand: self.per_thousand(),
            tlbs: self.tlbs().map(|(tlb, counts)| self.tlb_report(tlb, counts)).collect(),
            walks: self.walks.report(),
            walk_cache: self.walks.cache_report(),
            second_stage: self.second_stage_report(),
            faults: self.faults().filter(|&(_, count)| count != 0).collect(),
            traps_entered: self.traps_entered,
            traps_returned: self.traps_returned,
            invalidations: INVALIDATE_KINDS
                .into_iter()
                .zip(self.invalidations)
                .filter(|&(_, count)| count != 0)
                .collect(),
            register_writes: self.register_writes,
            transfers: TransferReport { count: kinds(&self.transfers), bytes: kinds(&self.bytes) },
        }
    }

    fn tlb_report(&self, tlb: TlbId, counts: TlbCounts) -> TlbReport {
        TlbReport {
            level: tlb.level,
            side: side_name(tlb.side),
            hits: counts.hits,
            misses: counts.misses,
            fills: counts.fills,
            hit_ratio: counts.hit_ratio(),
            mpki: self.mpki(tlb),
        }
    }

    fn second_stage_report(&self) -> Option<SecondStageReport> {
        let stage = &self.second_stage;
        (*stage != WalkCounts::NONE)
            .then(|| SecondStageReport { walks: stage.report(), walk_cache: stage.cache_report() })
    }
}

impl WalkCounts {
    fn report(&self) -> WalkReport {
        let begun = self.begun.total();
        let reads = up_to_last(&self.reads);
        WalkReport {
            begun: self.begun,
            faulted: self.faulted,
            reads_per_walk: self.reads_per_walk(),
            reads_per_walk_by_level: reads.iter().map(|&reads| ratio::of(reads, begun)).collect(),
            reads,
            updates: up_to_last(&self.updates),
            by_reads: up_to_last(&self.by_reads),
        }
    }

    fn cache_report(&self) -> WalkCacheReport {
        let found: u64 = self.cache_hits.iter().sum();
        WalkCacheReport {
            hits: up_to_last(&self.cache_hits),
            misses: self.cache_misses,
            hit_ratio: ratio::of(found, found + self.cache_misses),
        }
    }
}

/// The name of a side in reports.
fn side_name(side: Side) -> &'static str {
    match side {
        Side::Instruction => "instruction",
        Side::Data => "data",
        Side::Unified => "unified",
        Side::SecondStage => "second-stage",
    }
}

/// Without the zeros at the end.
fn up_to_last(counts: &[u64]) -> Vec<u64> {
    let used = counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1);
    counts[..used].to_vec()
}
