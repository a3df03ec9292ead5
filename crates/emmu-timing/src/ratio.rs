//! Ratios of counts.

/// Returns `part / whole`, or `None` if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "statistics: 53 bits of a count are enough")]
pub(crate) fn of(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

/// Returns `part` per thousand of `whole`, or `None` if `whole` is 0.
pub(crate) fn per_thousand(part: u64, whole: u64) -> Option<f64> {
    of(part, whole).map(|ratio| ratio * 1000.0)
}
