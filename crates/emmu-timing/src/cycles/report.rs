//! Cycles as a report gives them, in JSON or otherwise.

use super::{Cycles, CyclesByCause, EntryReads};
use crate::{Account, ByAccount, Histogram, hierarchy::ByServed};
use serde::{Serialize, Serializer};

/// All cycles, and what they went into.
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
    /// Cycles per cycle with a perfect TLB.
    pub overhead: Option<f64>,
    /// The same, for each account alone.
    pub overhead_by_account: ByAccount<Option<f64>>,
    /// How long walks took.
    pub walk_latency: WalkLatency,
    /// Entries read by walks, of both stages, by what served them.
    pub entry_reads_by_cache: ByServed,
    /// The same for each level of table, beginning with 0, that of the smallest pages; of the only stage, or of the
    /// first.
    pub entry_reads_by_level_and_cache: Vec<ByServed>,
    /// The same for the second stage's tables; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub second_stage_entry_reads_by_level_and_cache: Vec<ByServed>,
    /// Lines read or written by transfers, by what served them.
    pub lines_by_cache: ByServed,
}

/// How long walks took, in cycles. Exact: no value is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WalkLatency {
    /// Number of walks.
    pub walks: u64,
    /// All of them together.
    pub cycles: u64,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Median, by nearest rank.
    pub p50: Option<u64>,
    /// 99th percentile, by nearest rank.
    pub p99: Option<u64>,
    /// The longest.
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
    /// The cycles so far.
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

    /// Lines of both accounts, fetched or not, by what served them.
    fn lines(&self) -> [u64; 4] {
        let lines =
            |served: usize| self.spent.map(|spent| spent.fetched[served] + spent.data[served]);
        std::array::from_fn(|served| lines(served).total())
    }
}

/// The levels up to the last one at which something was read.
fn up_to_last(levels: &EntryReads) -> Vec<ByServed> {
    let used = levels.iter().rposition(|reads| reads.iter().any(|&n| n != 0));
    levels[..used.map_or(0, |last| last + 1)].iter().map(|&reads| reads.into()).collect()
}
