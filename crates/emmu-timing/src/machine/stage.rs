//! The TLBs and walk caches of one stage.

use super::{Provenance, Sourced};
use emmu_paging::{
    Bank, Geometry, Inclusion, InvalidationReach, PagingConfig, TlbLevel, TlbTable, WalkCacheTable,
};

/// The TLBs and walk caches of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageModel {
    /// The TLB levels, the one nearest to the CPU first.
    pub tlb: Vec<TlbModel>,
    /// The walk caches, if the stage has any.
    pub walk_cache: Option<WalkCacheModel>,
    /// The table that caches invalid entries, if the stage caches them.
    pub invalid_entries: Option<Sourced<Geometry>>,
    /// The translations that an invalidation drops beyond those it must drop.
    pub reach: Sourced<InvalidationReach>,
}

impl StageModel {
    /// Returns the configuration for the paging unit.
    pub(crate) fn config(&self) -> PagingConfig {
        let tables = self.walk_cache.iter().flat_map(|caches| &caches.tables);
        PagingConfig {
            tlb: self.tlb.iter().map(TlbModel::config).collect(),
            walk_cache: tables.map(|table| table.value.clone()).collect(),
            reach: self.reach.value,
            invalid_entries: self.invalid_entries.as_ref().map(|table| table.value),
        }
    }

    /// Returns the provenance of each part, with the key of the part under this prefix.
    pub(crate) fn provenance(&self, prefix: &str) -> Vec<(String, &Provenance)> {
        let mut all = Vec::new();
        for (level, tlb) in (1..).zip(&self.tlb) {
            all.push((format!("{prefix}tlb.l{level}"), &tlb.latency.provenance));
            for (side, bank) in tlb.banks.sides() {
                for (index, table) in bank.iter().enumerate() {
                    all.push((format!("{prefix}tlb.l{level}.{side}[{index}]"), &table.provenance));
                }
            }
        }
        if let Some(caches) = &self.walk_cache {
            all.push((format!("{prefix}walk_cache"), &caches.latency.provenance));
            for (index, table) in caches.tables.iter().enumerate() {
                all.push((format!("{prefix}walk_cache.tables[{index}]"), &table.provenance));
            }
        }
        if let Some(table) = &self.invalid_entries {
            all.push((format!("{prefix}invalid_entries"), &table.provenance));
        }
        if self.reach != Sourced::default() {
            all.push((format!("{prefix}invalidate"), &self.reach.provenance));
        }
        all
    }
}

/// One level of TLB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlbModel {
    /// The cycles that a lookup adds, hit or miss, beyond those that overlap with the data cache.
    pub latency: Sourced<u32>,
    /// The relation to the levels above: inclusive, exclusive or neither.
    pub inclusion: Inclusion,
    /// The tables of the level.
    pub banks: Banks,
}

impl TlbModel {
    pub(crate) fn config(&self) -> TlbLevel {
        let level = match &self.banks {
            Banks::Split { instruction, data } => TlbLevel::split(bank(instruction), bank(data)),
            Banks::Unified(tables) => TlbLevel::unified(bank(tables)),
        };
        TlbLevel { inclusion: self.inclusion, ..level }
    }
}

/// The tables of one level of TLB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banks {
    /// Separate tables for fetches and data.
    Split {
        /// The tables for fetches.
        instruction: Vec<Sourced<TlbTable>>,
        /// The tables for loads, stores and atomics.
        data: Vec<Sourced<TlbTable>>,
    },
    /// Tables that serve both.
    Unified(Vec<Sourced<TlbTable>>),
}

impl Banks {
    /// Returns the tables of each side, with the key of the side.
    pub fn sides(&self) -> impl Iterator<Item = (&'static str, &[Sourced<TlbTable>])> {
        let (first, second) = match self {
            Self::Split { instruction, data } => {
                (("instruction", instruction.as_slice()), Some(("data", data.as_slice())))
            }
            Self::Unified(tables) => (("unified", tables.as_slice()), None),
        };
        [first].into_iter().chain(second)
    }
}

fn bank(tables: &[Sourced<TlbTable>]) -> Bank {
    tables.iter().map(|table| table.value.clone()).collect()
}

/// The walk caches of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCacheModel {
    /// The cycles of one lookup in all tables together.
    pub latency: Sourced<u32>,
    /// The tables.
    pub tables: Vec<Sourced<WalkCacheTable>>,
}
