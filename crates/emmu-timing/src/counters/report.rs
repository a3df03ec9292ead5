//! Reports of counts, for JSON and other formats.

use super::{Counters, TlbCounts, WalkCounts};
use crate::{ByAccount, ratio};
use emmu_core::{Side, TlbId};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// All counts, with the ratios that the field uses. A ratio is absent (`null` in JSON) if its divisor is 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountersReport {
    /// Accesses of the CPU, by kind.
    pub references: ByAccount<KindCounts>,
    /// Accesses that the CPU repeated after a handler had repaired the cause of a fault.
    pub restarts: ByAccount<u64>,
    /// The number by which the MPKI values of [`TlbReport`] divide.
    pub per_thousand: PerThousand,
    /// The TLBs, by level and side.
    pub tlbs: Vec<TlbReport>,
    /// The page walks.
    pub walks: WalkReport,
    /// The walk caches.
    pub walk_cache: WalkCacheReport,
    /// The walks and walk caches of the second stage; absent if the second stage did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_stage: Option<SecondStageReport>,
    /// Refused accesses, by cause.
    pub faults: BTreeMap<&'static str, u64>,
    /// Entries into the trap handler.
    pub traps_entered: u64,
    /// Returns from the trap handler.
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

/// The unit of "misses per thousand".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum PerThousand {
    /// Misses per thousand instructions of the program. Each fetch is an instruction.
    Instructions {
        /// The number of instructions or references.
        count: u64,
    },
    /// Misses per thousand references of the program, because the trace has no fetches.
    References {
        /// The number of instructions or references.
        count: u64,
    },
}

impl PerThousand {
    /// The number of instructions or references.
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
    /// The level; 1 is nearest to the CPU.
    pub level: u8,
    /// `instruction`, `data`, `unified` or `second_stage`.
    pub side: &'static str,
    /// Lookups that found the page.
    pub hits: ByAccount<u64>,
    /// Lookups that did not find the page.
    pub misses: ByAccount<u64>,
    /// Translations that entered the TLB.
    pub fills: u64,
    /// Hits per lookup.
    pub hit_ratio: Option<f64>,
    /// The program's misses per thousand of [`CountersReport::per_thousand`].
    pub mpki: Option<f64>,
}

/// The page walks. Lists by level begin with level 0, that of the smallest pages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkReport {
    /// Walks that began.
    pub begun: ByAccount<u64>,
    /// Walks that ended in a fault.
    pub faulted: u64,
    /// Entries that walks read, by level.
    pub reads: Vec<u64>,
    /// Entries that walks updated, by level.
    pub updates: Vec<u64>,
    /// Entries read per walk.
    pub reads_per_walk: Option<f64>,
    /// Entries read per walk, by level.
    pub reads_per_walk_by_level: Vec<Option<f64>>,
    /// Finished walks by the number of entries that they read, beginning with 0. If the list has 64 numbers,
    /// the last one counts the walks that read 63 or more.
    pub by_reads: Vec<u64>,
}

/// The second stage: translations of guest-physical addresses that missed in its own TLBs. Those TLBs are
/// listed in [`CountersReport::tlbs`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecondStageReport {
    /// The page walks of the second stage.
    pub walks: WalkReport,
    /// The walk caches of the second stage.
    pub walk_cache: WalkCacheReport,
}

/// The walk caches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkCacheReport {
    /// Lookups that found a table, by the table's level, beginning with 0.
    pub hits: Vec<u64>,
    /// Lookups that found no table.
    pub misses: u64,
    /// Hits per lookup.
    pub hit_ratio: Option<f64>,
}

/// The transfers on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TransferReport {
    /// The number of transfers.
    pub count: ByAccount<KindCounts>,
    /// The number of bytes moved.
    pub bytes: ByAccount<KindCounts>,
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report().serialize(serializer)
    }
}

impl Counters {
    /// Returns the counts so far, with their ratios.
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
            invalidations: self.invalidations().filter(|&(_, count)| count != 0).collect(),
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

/// Returns the name of a side in reports.
fn side_name(side: Side) -> &'static str {
    match side {
        Side::Instruction => "instruction",
        Side::Data => "data",
        Side::Unified => "unified",
        Side::SecondStage => "second_stage",
    }
}

/// Returns the counts without the zeros at the end.
fn up_to_last(counts: &[u64]) -> Vec<u64> {
    let used = counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1);
    counts[..used].to_vec()
}
