//! The configuration of a machine's TLBs and walk caches.

use crate::{Geometry, InvalidationReach, Reach, format::Format};
use alloc::vec::Vec;
use thiserror::Error;

/// A TLB table: its shape and the page sizes that it can hold.
///
/// A table with several sizes is looked up once per size, smallest first (hash-rehash); sizes may just as
/// well be kept apart in several tables of one [`Bank`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TlbTable {
    /// Sets, ways and replacement.
    pub geometry: Geometry,
    /// Log2 of each page size in bytes, ascending. A larger page is cached by parts of the largest size that
    /// fits; a smaller one is not cached here.
    pub page_bits: Vec<u8>,
}

/// The tables that together are one TLB: looked up side by side, and counted as one.
pub type Bank = Vec<TlbTable>;

/// One level of TLB.
///
/// ```
/// use emmu_paging::{Geometry, PagingConfig, Policy, TlbLevel, TlbTable};
/// let bank = |entries| -> Result<_, emmu_paging::GeometryError> {
///     let geometry = Geometry::fully_associative(entries, Policy::Lru)?;
///     Ok(vec![TlbTable { geometry, page_bits: vec![12, 21, 30] }])
/// };
/// let tlb = vec![TlbLevel::split(bank(8)?, bank(16)?), TlbLevel::unified(bank(64)?).exclusive()];
/// assert!(PagingConfig { tlb, ..PagingConfig::default() }.validate().is_ok());
/// # Ok::<(), emmu_paging::GeometryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TlbLevel {
    /// Its tables.
    pub banks: Banks,
    /// The relation of the level to the levels above it.
    pub inclusion: Inclusion,
}

/// The tables of one level of TLB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Banks {
    /// Fetches and data apart.
    Split {
        /// For fetches.
        instruction: Bank,
        /// For loads, stores and atomics.
        data: Bank,
    },
    /// One for both.
    Unified(Bank),
}

/// The relation of one level of TLB to the levels above it, those nearer to the CPU.
///
/// | | non-inclusive | inclusive | exclusive |
/// |---|---|---|---|
/// | a walk's outcome | enters it | enters it | passes it by |
/// | a hit in it | is copied upwards | is copied upwards | moves upwards |
/// | what the level directly above evicts | is lost | is lost | enters it |
/// | what it evicts itself | stays above | leaves all levels above | stays above |
///
/// Levels are filled from the lowest to the first; an eviction takes effect, in other levels too, before the next
/// level up is filled. What enters a level is told as [`Event::TlbFill`](emmu_core::Event::TlbFill); what leaves one
/// is not told. A hit is told to the replacement policy of the level hit even if the entry moves away.
///
/// *Inclusive:* every entry above is a whole or a part of one here, so it must hold all page sizes that those above
/// hold. What replaces an entry here where it stands (a page made dirty) replaces it above too, but for the side
/// that did not ask, which keeps its older copy until this entry goes.
///
/// *Exclusive:* of the level directly above, and of the side that asks: where that is split, what is on one side of
/// it may be here because of the other. If the level above can hold only a part of a page, the page itself is here,
/// a hit copies the part, and an evicted part of a page that is here is lost. So is what is of no page size of this
/// level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Inclusion {
    /// Neither is seen to; every outcome of a walk enters all levels.
    #[default]
    NonInclusive,
    /// Whatever a level above holds, this one holds.
    Inclusive,
    /// The level does not hold the pages that the level directly above holds.
    Exclusive,
}

impl Inclusion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NonInclusive, Self::Inclusive, Self::Exclusive];

    /// The name in machine descriptions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonInclusive => "non-inclusive",
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
        }
    }
}

impl TlbLevel {
    /// Fetches and data apart.
    #[must_use]
    pub const fn split(instruction: Bank, data: Bank) -> Self {
        Self::of(Banks::Split { instruction, data })
    }

    /// One for both.
    #[must_use]
    pub const fn unified(bank: Bank) -> Self {
        Self::of(Banks::Unified(bank))
    }

    /// Returns this level as one that includes the levels above.
    #[must_use]
    pub const fn inclusive(mut self) -> Self {
        self.inclusion = Inclusion::Inclusive;
        self
    }

    /// Returns this level as one that excludes the level directly above.
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        self.inclusion = Inclusion::Exclusive;
        self
    }

    const fn of(banks: Banks) -> Self {
        Self { banks, inclusion: Inclusion::NonInclusive }
    }

    /// Returns the tables for fetches and those for data, which are equal if the level is unified.
    fn sides(&self) -> [&Bank; 2] {
        match &self.banks {
            Banks::Split { instruction, data } => [instruction, data],
            Banks::Unified(both) => [both, both],
        }
    }
}

/// A walk cache (Intel: paging-structure cache): remembers where tables of these levels are, so that a walk
/// starts there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WalkCacheTable {
    /// Sets, ways and replacement.
    pub geometry: Geometry,
    /// Levels of the tables pointed at, ascending: 0 for the tables of the smallest pages (Intel: the PDE
    /// cache), 1 for those above (the PDPTE cache), and so on.
    pub levels: Vec<u8>,
}

/// Everything that caches translations between a CPU and its page tables. The default caches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PagingConfig {
    /// TLB levels, the one nearest to the CPU first.
    pub tlb: Vec<TlbLevel>,
    /// Walk caches; for one level, the first table that names it serves.
    pub walk_cache: Vec<WalkCacheTable>,
    /// The translations that an invalidation drops beyond those that it is asked to.
    pub reach: InvalidationReach,
    /// A table of translations that ended at an invalid entry, if the machine remembers them: then such an entry
    /// faults, without a walk, until it is invalidated or evicted, even if it has been made valid.
    ///
    /// The RISC-V manual leaves this to implementations ("Supervisor Memory-Management Fence Instruction": after an
    /// invalid entry is made valid, a page fault may occur until `SFENCE.VMA` is executed). Other architectures
    /// forbid it, and so do formats whose [`Format::MAY_CACHE_INVALID`](crate::format::Format::MAY_CACHE_INVALID)
    /// is not set. What is remembered is what no access is allowed: entries that are invalid or malformed, and
    /// never a mapping that refuses one access and may allow another.
    pub invalid_entries: Option<Geometry>,
}

impl PagingConfig {
    /// Checks what [`Geometry`] cannot.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.tlb.len() > 8 {
            return Err(ConfigError::TooManyLevels { count: self.tlb.len() });
        }
        for (index, level) in self.tlb.iter().enumerate() {
            for bank in level.sides() {
                validate_bank(index + 1, bank)?;
            }
            self.validate_inclusion(index)?;
        }
        for (index, table) in self.walk_cache.iter().enumerate() {
            if !ascending(&table.levels, 6) {
                return Err(ConfigError::WalkLevels { index });
            }
        }
        self.reach.validate()
    }

    /// Checks the configuration, and that the architecture allows it.
    pub(crate) fn validate_for<F: Format>(&self) -> Result<(), ConfigError> {
        match self.invalid_entries {
            Some(_) if !F::MAY_CACHE_INVALID => Err(ConfigError::InvalidEntries),
            _ => self.validate(),
        }
    }
}

/// Why this configuration cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A TLB table without page sizes can hold nothing.
    #[error("TLB level {level}: a table has no page sizes")]
    NoPageSizes {
        /// 1 is the level nearest to the CPU.
        level: usize,
    },
    /// Page sizes must be ascending and each given once.
    #[error("TLB level {level}: page sizes must be ascending, and from 2 to 2^63 bytes")]
    PageSizes {
        /// 1 is the level nearest to the CPU.
        level: usize,
    },
    /// Two tables of one side cannot hold pages of the same size.
    #[error("TLB level {level}: two tables on one side hold pages of 2^{bits} bytes")]
    SizeTwice {
        /// 1 is the level nearest to the CPU.
        level: usize,
        /// Log2 of the page size.
        bits: u8,
    },
    /// A TLB level may have 64 tables a side.
    #[error("TLB level {level}: more than 64 tables on one side")]
    TooManyTables {
        /// 1 is the level nearest to the CPU.
        level: usize,
    },
    /// More levels than statistics can name.
    #[error("{count} TLB levels: expected at most 8")]
    TooManyLevels {
        /// The number of levels asked for.
        count: usize,
    },
    /// The first level has none to include or to exclude.
    #[error("TLB level 1: inclusive or exclusive, but there is no level above it")]
    NothingAbove,
    /// An inclusive level must be able to hold whatever is above it.
    #[error(
        "TLB level {level}: inclusive, but holds no pages of 2^{bits} bytes, and a level above it does"
    )]
    NotIncluded {
        /// 1 is the level nearest to the CPU.
        level: usize,
        /// Log2 of the page size.
        bits: u8,
    },
    /// A wider scope must hold all that is asked for.
    #[error("{scope} invalidations that reach {reach}: that is not all that they must drop")]
    Reach {
        /// Which invalidations.
        scope: &'static str,
        /// The reach that was requested.
        reach: Reach,
    },
    /// Only RISC-V lets invalid entries be remembered.
    #[error("a table of invalid entries: this page-table format does not let them be remembered")]
    InvalidEntries,
    /// Walk-cache levels must be ascending, and below the largest walk's root.
    #[error("walk cache {index}: levels must be ascending and below 7, at least one")]
    WalkLevels {
        /// Which table, from 0.
        index: usize,
    },
}

impl PagingConfig {
    /// Checks that there is a level above one that includes or excludes it, and that it can be included.
    fn validate_inclusion(&self, index: usize) -> Result<(), ConfigError> {
        let (above, level) = (&self.tlb[..index], &self.tlb[index]);
        match level.inclusion {
            Inclusion::NonInclusive => Ok(()),
            _ if above.is_empty() => Err(ConfigError::NothingAbove),
            Inclusion::Exclusive => Ok(()),
            Inclusion::Inclusive => {
                let missing = above.iter().find_map(|above| not_included(above, level));
                missing
                    .map_or(Ok(()), |bits| Err(ConfigError::NotIncluded { level: index + 1, bits }))
            }
        }
    }
}

/// A page size that a side of the level above holds and that of this level does not.
fn not_included(above: &TlbLevel, level: &TlbLevel) -> Option<u8> {
    let sides = above.sides().into_iter().zip(level.sides());
    sides.into_iter().find_map(|(above, bank)| {
        let holds = |bits: &u8| bank.iter().any(|table| table.page_bits.contains(bits));
        above.iter().flat_map(|table| &table.page_bits).copied().find(|bits| !holds(bits))
    })
}

fn validate_bank(level: usize, bank: &Bank) -> Result<(), ConfigError> {
    if bank.len() > 64 {
        return Err(ConfigError::TooManyTables { level });
    }
    for table in bank {
        if table.page_bits.is_empty() {
            return Err(ConfigError::NoPageSizes { level });
        }
        if !ascending(&table.page_bits, 63) || table.page_bits.contains(&0) {
            return Err(ConfigError::PageSizes { level });
        }
    }
    match twice(bank) {
        Some(bits) => Err(ConfigError::SizeTwice { level, bits }),
        None => Ok(()),
    }
}

/// A page size that two tables of the bank hold: entries for one page would be in either.
fn twice(bank: &Bank) -> Option<u8> {
    let mut seen = 0_u64;
    for &bits in bank.iter().flat_map(|table| &table.page_bits) {
        if seen >> bits & 1 == 1 {
            return Some(bits);
        }
        seen |= 1 << bits;
    }
    None
}

/// Returns true if there is at least one number, each larger than the one before and at most `max`.
fn ascending(numbers: &[u8], max: u8) -> bool {
    !numbers.is_empty() && numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|&n| n <= max)
}
