//! Machines: their parts and their prices.

mod cache;
mod canonical;
mod error;
mod preset;
mod provenance;
mod read;
mod read_stage;
mod section;
mod seed;
mod shape;
mod stage;

pub use cache::{CacheError, CacheModel};
pub use emmu_paging::format::PagingFormat;
pub use error::{MachineError, Place};
pub use provenance::{Confidence, Provenance, Sourced};
pub use stage::{Banks, StageModel, TlbModel, WalkCacheModel};

use emmu_paging::PagingConfig;
use std::num::NonZeroU32;

/// A machine: its page-table format, its TLBs, walk caches and data caches, and the price of each event in
/// cycles.
///
/// A machine is read from TOML; `docs/src/machines.md` documents every key. [`Machine::presets`] are real
/// cores.
///
/// ```
/// use emmu_timing::Machine;
/// let machine = Machine::preset("skylake-sp")?;
/// assert_eq!(machine.stage.tlb[1].latency.value, 9);
/// assert!(machine.paging_config().validate().is_ok());
///
/// let refused = Machine::from_toml("mine.toml", "name = \"mine\"\nformt = \"riscv-sv39\"");
/// assert_eq!(
///     refused.unwrap_err().to_string(),
///     "mine.toml:2:1: formt: unknown key (expected one of name, description, format, memory, tlb, \
///      walk_cache, invalid_entries, invalidate, second_stage, walker, cache, prices)"
/// );
/// # Ok::<(), emmu_timing::MachineError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// A short name.
    pub name: String,
    /// A description of one sentence; it may be empty.
    pub description: String,
    /// The format of its page tables.
    pub format: PagingFormat,
    /// Physical memory.
    pub memory: Sourced<Memory>,
    /// The TLBs and walk caches of the only stage. On a machine with two stages, they hold translations of both
    /// stages together, and tables of the first stage.
    pub stage: StageModel,
    /// The TLBs and walk caches for guest-physical addresses, if the machine has a second stage.
    pub second_stage: Option<StageModel>,
    /// The page walkers.
    pub walker: Sourced<Walker>,
    /// The data caches.
    pub caches: Caches,
    /// The prices of events.
    pub prices: Sourced<Prices>,
    /// The prices of invalidations.
    pub invalidate: Sourced<InvalidatePrices>,
}

impl Machine {
    /// The name of the default machine.
    pub const DEFAULT: &'static str = "skylake-sp";

    /// Returns the TLBs and walk caches, as a configuration for the paging unit.
    #[must_use]
    pub fn paging_config(&self) -> PagingConfig {
        self.stage.config()
    }

    /// Returns the TLBs and walk caches of the second stage, as a configuration for
    /// [`emmu_paging::Paging::two_stage`] and similar constructors. It is empty if the machine has no second
    /// stage.
    #[must_use]
    pub fn second_stage_config(&self) -> PagingConfig {
        self.second_stage.as_ref().map(StageModel::config).unwrap_or_default()
    }

    /// Returns the provenance of all numbers: the key of each part with its source and confidence, in the order
    /// of [`Machine::to_toml`].
    #[must_use]
    pub fn provenance(&self) -> Vec<(String, &Provenance)> {
        let mut all = vec![("memory".to_owned(), &self.memory.provenance)];
        all.extend(self.stage.provenance(""));
        if let Some(stage) = &self.second_stage {
            all.extend(stage.provenance("second_stage."));
        }
        all.push(("walker".to_owned(), &self.walker.provenance));
        for (name, cache) in self.caches.levels() {
            all.push((format!("cache.{name}"), &cache.provenance));
        }
        all.push(("prices".to_owned(), &self.prices.provenance));
        all.push(("prices.invalidate".to_owned(), &self.invalidate.provenance));
        all
    }
}

/// Physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The bytes of RAM that the simulated operating system uses.
    pub size: u64,
    /// The cycles of a read that no cache serves.
    pub latency: u32,
}

/// The page walkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walker {
    /// The number of walks that can be under way at the same time. [`crate::Cycles`] prices one access at a
    /// time, so it never uses more than one.
    pub count: NonZeroU32,
    /// The first data cache in which a walker looks up an entry; `None` if walkers read entries from memory
    /// alone.
    pub cache: Option<CacheLevel>,
}

/// The data caches at which a page walker can start, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheLevel {
    /// The first-level data cache.
    L1d,
    /// The second level.
    L2,
    /// The last level.
    Llc,
}

impl CacheLevel {
    /// All of them, the nearest first.
    pub const ALL: [Self; 3] = [Self::L1d, Self::L2, Self::Llc];

    /// Returns the name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1d => "l1d",
            Self::L2 => "l2",
            Self::Llc => "llc",
        }
    }
}

/// The data caches. Accesses and page walks share them. Any of them may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    /// The first level, for fetches.
    pub l1i: Option<Sourced<CacheModel>>,
    /// The first level, for data.
    pub l1d: Option<Sourced<CacheModel>>,
    /// The second level, for both.
    pub l2: Option<Sourced<CacheModel>>,
    /// The last level, for both.
    pub llc: Option<Sourced<CacheModel>>,
}

impl Caches {
    /// Returns the caches that the machine has, with their keys.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, &Sourced<CacheModel>)> {
        let all = [("l1i", &self.l1i), ("l1d", &self.l1d), ("l2", &self.l2), ("llc", &self.llc)];
        all.into_iter().filter_map(|(name, cache)| Some((name, cache.as_ref()?)))
    }

    /// Returns the cache at which a walker starts if the description names none.
    fn first_for_walks(&self) -> Option<CacheLevel> {
        CacheLevel::ALL.into_iter().find(|&level| self.has(level))
    }

    fn has(&self, level: CacheLevel) -> bool {
        match level {
            CacheLevel::L1d => self.l1d.is_some(),
            CacheLevel::L2 => self.l2.is_some(),
            CacheLevel::Llc => self.llc.is_some(),
        }
    }
}

/// Prices of events, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// An update of accessed or dirty bits in an entry.
    pub entry_update: u32,
    /// An entry into the trap handler.
    pub trap_entry: u32,
    /// A return from the trap handler.
    pub trap_return: u32,
    /// A write to a register of the translation unit.
    pub register_write: u32,
}

/// Prices of invalidations, by scope, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvalidatePrices {
    /// [`emmu_core::Invalidate::All`].
    pub all: u32,
    /// [`emmu_core::Invalidate::NonGlobal`].
    pub non_global: u32,
    /// [`emmu_core::Invalidate::Asid`].
    pub asid: u32,
    /// [`emmu_core::Invalidate::Page`].
    pub page: u32,
    /// [`emmu_core::Invalidate::PageInAsid`].
    pub page_in_asid: u32,
    /// [`emmu_core::Invalidate::Range`].
    pub range: u32,
    /// [`emmu_core::Invalidate::Guest`].
    pub guest: u32,
    /// [`emmu_core::Invalidate::SecondStage`].
    pub second_stage: u32,
}
