//! What a machine's TLBs and walk caches look like.

use crate::Geometry;
use alloc::vec::Vec;
use thiserror::Error;

/// A TLB table: its shape and the page sizes that it can hold.
///
/// A table with several sizes is looked up once per size, smallest first (hash-rehash); sizes may just as
/// well be kept apart in several tables of one [`Bank`].
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlbLevel {
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

/// A walk cache (Intel: paging-structure cache): remembers where tables of these levels are, so that a walk
/// starts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCacheTable {
    /// Sets, ways and replacement.
    pub geometry: Geometry,
    /// Levels of the tables pointed at, ascending: 0 for the tables of the smallest pages (Intel: the PDE
    /// cache), 1 for those above (the PDPTE cache), and so on.
    pub levels: Vec<u8>,
}

/// Everything that caches translations between a CPU and its page tables. The default caches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagingConfig {
    /// TLB levels, the one nearest to the CPU first.
    pub tlb: Vec<TlbLevel>,
    /// Walk caches; for one level, the first table that names it serves.
    pub walk_cache: Vec<WalkCacheTable>,
}

/// Why this configuration cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
    /// Walk-cache levels must be ascending, and below the largest walk's root.
    #[error("walk cache {index}: levels must be ascending and below 7, at least one")]
    WalkLevels {
        /// Which table, from 0.
        index: usize,
    },
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
            match level {
                TlbLevel::Split { instruction, data } => {
                    validate_bank(index + 1, instruction)?;
                    validate_bank(index + 1, data)?;
                }
                TlbLevel::Unified(bank) => validate_bank(index + 1, bank)?,
            }
        }
        for (index, table) in self.walk_cache.iter().enumerate() {
            if !ascending(&table.levels, 6) {
                return Err(ConfigError::WalkLevels { index });
            }
        }
        Ok(())
    }
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

/// Whether there is at least one number, each larger than the one before and at most `max`.
fn ascending(numbers: &[u8], max: u8) -> bool {
    !numbers.is_empty() && numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|&n| n <= max)
}
