//! What a machine looks like and what it charges.

mod cache;
mod canonical;
mod error;
mod format;
mod preset;
mod provenance;
mod read;
mod read_stage;
mod section;
mod seed;
mod shape;
mod stage;

pub use cache::{CacheError, CacheModel};
pub use error::{MachineError, Place};
pub use format::PagingFormat;
pub use provenance::{Confidence, Provenance, Sourced};
pub use stage::{Banks, StageModel, TlbModel, WalkCacheModel};

use emmu_paging::PagingConfig;
use std::num::NonZeroU32;

/// A machine: its page-table format, its TLBs, walk caches and data caches, and the price of each event in
/// cycles.
///
/// It is read from TOML; `docs/src/machines.md` documents every key. [`Machine::presets`] are real cores.
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
    /// One sentence, or nothing.
    pub description: String,
    /// The page tables it walks.
    pub format: PagingFormat,
    /// Physical memory.
    pub memory: Sourced<Memory>,
    /// What holds translations: of the only stage, or of both stages together and of the tables of the first one.
    pub stage: StageModel,
    /// What holds translations of guest-physical addresses, if the machine has a second stage.
    pub second_stage: Option<StageModel>,
    /// Page walkers.
    pub walker: Sourced<Walker>,
    /// Data caches.
    pub caches: Caches,
    /// What events cost.
    pub prices: Sourced<Prices>,
    /// What invalidations cost.
    pub invalidate: Sourced<InvalidatePrices>,
}

impl Machine {
    /// The name of the machine that is used when none is named.
    pub const DEFAULT: &'static str = "skylake-sp";

    /// The TLBs and walk caches, as the paging unit takes them.
    #[must_use]
    pub fn paging_config(&self) -> PagingConfig {
        self.stage.config()
    }

    /// The TLBs and walk caches of the second stage, as [`emmu_paging::Paging::two_stage`] and the like take them;
    /// none where the machine has no second stage.
    #[must_use]
    pub fn second_stage_config(&self) -> PagingConfig {
        self.second_stage.as_ref().map(StageModel::config).unwrap_or_default()
    }

    /// Where the numbers come from: each part's key, and its source and confidence, in the order of
    /// [`Machine::to_toml`].
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
    /// Bytes of RAM, for the simulated operating system.
    pub size: u64,
    /// Cycles of a read that no cache serves.
    pub latency: u32,
}

/// The page walkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walker {
    /// Walks that can be under way at a time. [`crate::Cycles`] prices one access at a time, so it never
    /// uses more than one.
    pub count: NonZeroU32,
    /// The first data cache that is asked for an entry; `None` if entries come straight from memory.
    pub cache: Option<CacheLevel>,
}

/// A data cache that a page walker can start at, nearest first.
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
    /// All, nearest first.
    pub const ALL: [Self; 3] = [Self::L1d, Self::L2, Self::Llc];

    /// Its name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1d => "l1d",
            Self::L2 => "l2",
            Self::Llc => "llc",
        }
    }
}

/// The data caches, shared by accesses and page walks. Any of them may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    /// First level, fetches.
    pub l1i: Option<Sourced<CacheModel>>,
    /// First level, data.
    pub l1d: Option<Sourced<CacheModel>>,
    /// Second level, both.
    pub l2: Option<Sourced<CacheModel>>,
    /// Last level, both.
    pub llc: Option<Sourced<CacheModel>>,
}

impl Caches {
    /// Those that there are, with their keys.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, &Sourced<CacheModel>)> {
        let all = [("l1i", &self.l1i), ("l1d", &self.l1d), ("l2", &self.l2), ("llc", &self.llc)];
        all.into_iter().filter_map(|(name, cache)| Some((name, cache.as_ref()?)))
    }

    /// The one that a walker starts at when nothing else is said.
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
    /// Setting accessed or dirty bits in an entry.
    pub entry_update: u32,
    /// Entering the trap handler.
    pub trap_entry: u32,
    /// Returning from it.
    pub trap_return: u32,
    /// Writing a register of the translation unit.
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
