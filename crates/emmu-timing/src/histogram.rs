//! A histogram of latencies, without rounding.

use std::collections::BTreeMap;

/// Each latency below this number has a counter in an array.
const DENSE: usize = 1024;

/// A histogram that counts how often each latency occurred. It rounds nothing. Its memory grows with the number
/// of *different* latencies, and a machine has few of them: the latency of a walk is the sum of a few reads,
/// each of which has one of four latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    dense: Vec<u64>,
    sparse: BTreeMap<u64, u64>,
    count: u64,
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { dense: vec![0; DENSE], sparse: BTreeMap::new(), count: 0, sum: 0 }
    }
}

impl Histogram {
    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, cycles: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(cycles);
        match usize::try_from(cycles).ok().and_then(|index| self.dense.get_mut(index)) {
            Some(times) => *times += 1,
            None => *self.sparse.entry(cycles).or_default() += 1,
        }
    }

    /// Returns the number of latencies recorded.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum of all latencies.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Returns the arithmetic mean, or `None` if nothing was recorded.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        crate::ratio::of(self.sum, self.count)
    }

    /// Returns the `percent`-th percentile by nearest rank: the smallest latency that at least `percent` % of
    /// the recorded latencies do not exceed. Returns `None` if nothing was recorded.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.iter().find_map(|(cycles, times)| {
            seen += u128::from(times);
            (seen >= rank).then_some(cycles)
        })
    }

    /// Returns the longest latency, or `None` if nothing was recorded.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.iter().last().map(|(cycles, _)| cycles)
    }

    /// Returns every latency that occurred and its count, the shortest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let dense = (0..).zip(self.dense.iter().copied()).filter(|&(_, times)| times != 0);
        dense.chain(self.sparse.iter().map(|(&cycles, &times)| (cycles, times)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    fn of(latencies: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        latencies.iter().for_each(|&cycles| histogram.record(cycles));
        histogram
    }

    #[test]
    fn nothing_recorded_has_no_mean_and_no_percentile() {
        let empty = Histogram::default();
        assert_eq!((empty.mean(), empty.percentile(50), empty.max()), (None, None, None));
    }

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let histogram = of(&[10, 20, 30, 5000]);
        assert_eq!(
            [50, 75, 76, 99].map(|p| histogram.percentile(p)),
            [20, 30, 5000, 5000].map(Some)
        );
    }

    quickcheck! {
        fn percentiles_are_those_of_the_sorted_list(latencies: Vec<u16>, percent: u8) -> bool {
            let mut sorted: Vec<_> = latencies.into_iter().map(u64::from).collect();
            let histogram = of(&sorted);
            sorted.sort_unstable();
            let percent = percent % 101;
            let rank = (sorted.len() * usize::from(percent)).div_ceil(100).max(1);
            histogram.percentile(percent) == sorted.get(rank - 1).copied()
                && histogram.sum() == sorted.iter().sum::<u64>()
                && histogram.max() == sorted.last().copied()
        }
    }
}
