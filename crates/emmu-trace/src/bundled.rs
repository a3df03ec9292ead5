//! The trace that is part of the crate.

/// Name of the bundled trace.
pub const BUNDLED_NAME: &str = "sqlite-join";

/// The bundled trace, in the native format: SQLite joining and indexing tables, about seven million references
/// recorded by valgrind. `traces/README.md` in this crate says what ran and how to record it again.
///
/// ```
/// use emmu_trace::{RecordSource, bundled, open};
/// let trace = open(bundled())?;
/// assert!(trace.total_records() > Some(2_000_000));
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[must_use]
pub const fn bundled() -> &'static [u8] {
    include_bytes!("../traces/sqlite-join.emt")
}
