//! What holds the translations of one stage.

use super::{Provenance, Sourced};
use emmu_paging::{
    Bank, Geometry, Inclusion, InvalidationReach, PagingConfig, TlbLevel, TlbTable, WalkCacheTable,
};

/// What holds the translations of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageModel {
    /// TLB levels, the one nearest to the CPU first.
    pub tlb: Vec<TlbModel>,
    /// Walk caches, if it has any.
    pub walk_cache: Option<WalkCacheModel>,
    /// A table of invalid entries, if it remembers them.
    pub invalid_entries: Option<Sourced<Geometry>>,
    /// How much more than asked for an invalidation forgets.
    pub reach: Sourced<InvalidationReach>,
}

impl StageModel {
    /// As the paging unit takes it.
    pub(crate) fn config(&self) -> PagingConfig {
        let tables = self.walk_cache.iter().flat_map(|caches| &caches.tables);
        PagingConfig {
            tlb: self.tlb.iter().map(TlbModel::config).collect(),
            walk_cache: tables.map(|table| table.value.clone()).collect(),
            reach: self.reach.value,
            invalid_entries: self.invalid_entries.as_ref().map(|table| table.value),
        }
    }

    /// Where its numbers come from, with the keys of its parts under this prefix.
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
    /// Cycles that a lookup adds, hit or miss, beyond what overlaps with the data cache.
    pub latency: Sourced<u32>,
    /// What it has to do with the levels above it.
    pub inclusion: Inclusion,
    /// Its tables.
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
    /// Fetches and data apart.
    Split {
        /// For fetches.
        instruction: Vec<Sourced<TlbTable>>,
        /// For loads, stores and atomics.
        data: Vec<Sourced<TlbTable>>,
    },
    /// One for both.
    Unified(Vec<Sourced<TlbTable>>),
}

impl Banks {
    /// The tables of each side, with the side's key.
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
    /// Cycles of one lookup in all of them.
    pub latency: Sourced<u32>,
    /// The tables.
    pub tables: Vec<Sourced<WalkCacheTable>>,
}
