//! Reports of cycles, for JSON and other formats.

use super::{Cycles, CyclesByCause, EntryReads};
use crate::{Account, ByAccount, Histogram, hierarchy::ByServed};
use serde::{Serialize, Serializer};

/// All cycles, by account and cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CyclesReport {
    /// All cycles.
    pub total: u64,
    /// Cycles by account.
    pub by_account: ByAccount<u64>,
    /// Cycles by account and cause.
    pub by_cause: ByAccount<CyclesByCause>,
    /// Cycles that a perfect TLB would save.
    pub translation: ByAccount<u64>,
    /// Cycles with a perfect TLB: see [`Cycles::perfect`].
    pub perfect: ByAccount<u64>,
    /// The cycles divided by the cycles with a perfect TLB.
    pub overhead: Option<f64>,
    /// The overhead of each account alone.
    pub overhead_by_account: ByAccount<Option<f64>>,
    /// The latencies of walks.
    pub walk_latency: WalkLatency,
    /// Entries that walks read, of both stages, by the level that served them.
    pub entry_reads_by_cache: ByServed,
    /// Entries that walks read, for each level of table, beginning with level 0 (the smallest pages), by the
    /// level of cache that served them. The tables are those of the only stage or of the first stage.
    pub entry_reads_by_level_and_cache: Vec<ByServed>,
    /// Entries of the second stage's tables that walks read, in the same form; absent if there is no second
    /// stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub second_stage_entry_reads_by_level_and_cache: Vec<ByServed>,
    /// Lines that transfers read or wrote, by the level that served them.
    pub lines_by_cache: ByServed,
}

/// The latencies of walks, in cycles. They are exact: no value is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WalkLatency {
    /// The number of walks.
    pub walks: u64,
    /// The sum of all latencies.
    pub cycles: u64,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The median, by nearest rank.
    pub p50: Option<u64>,
    /// The 99th percentile, by nearest rank.
    pub p99: Option<u64>,
    /// The longest latency.
    pub max: Option<u64>,
}

impl From<&Histogram> for WalkLatency {
    fn from(histogram: &Histogram) -> Self {
        Self {
            walks: histogram.count(),
            cycles: histogram.sum(),
            mean: histogram.mean(),
            p50: histogram.percentile(50),
            p99: histogram.percentile(99),
            max: histogram.max(),
        }
    }
}

impl Serialize for Cycles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report().serialize(serializer)
    }
}

impl Cycles {
    /// Returns the cycles so far.
    #[must_use]
    pub fn report(&self) -> CyclesReport {
        let stages = [&self.entry_reads, &self.second_stage_entry_reads];
        let all = || stages.into_iter().flatten();
        let by_cache = |served: usize| all().map(|reads| reads[served]).sum();
        let [by_level, second_by_level] = stages.map(up_to_last);
        let by_cause = self.by_cause();
        CyclesReport {
            total: self.total(),
            by_account: by_cause.map(CyclesByCause::total),
            by_cause,
            translation: by_cause.map(CyclesByCause::translation),
            perfect: self.perfect(),
            overhead: self.overhead(),
            overhead_by_account: ByAccount::new(
                self.overhead_of(Account::User),
                self.overhead_of(Account::Supervisor),
            ),
            walk_latency: self.walk_latency().into(),
            entry_reads_by_cache: std::array::from_fn(by_cache).into(),
            entry_reads_by_level_and_cache: by_level,
            second_stage_entry_reads_by_level_and_cache: second_by_level,
            lines_by_cache: self.lines().into(),
        }
    }

    /// Returns the lines of both accounts, instructions and data, by the level that served them.
    fn lines(&self) -> [u64; 4] {
        let lines =
            |served: usize| self.spent.map(|spent| spent.fetched[served] + spent.data[served]);
        std::array::from_fn(|served| lines(served).total())
    }
}

/// Returns the levels up to the last one at which a walk read an entry.
fn up_to_last(levels: &EntryReads) -> Vec<ByServed> {
    let used = levels.iter().rposition(|reads| reads.iter().any(|&n| n != 0));
    levels[..used.map_or(0, |last| last + 1)].iter().map(|&reads| reads.into()).collect()
}
