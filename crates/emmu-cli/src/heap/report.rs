//! What came of it, as data. All numbers are units, but for counts and ratios.

use super::UNIT;
use super::args::Heap as Arguments;
use serde::Serialize;

/// Everything that `emmu heap` tells of one manager.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    pub(crate) manager: String,
    #[serde(skip)]
    pub(crate) name: &'static str,
    /// Bytes of emulated memory in a unit.
    pub(crate) unit_bytes: u64,
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) header: u64,
    pub(crate) align: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) summary: Summary,
}

/// An operation, and the heap after it.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) op: String,
    /// What the allocation is called.
    pub(crate) slot: Option<usize>,
    /// Where it is, if it is.
    pub(crate) addr: Option<u64>,
    /// Elements that were searched for it.
    pub(crate) searched: Option<u64>,
    /// Why it could not be done.
    pub(crate) error: Option<String>,
    /// Where the heap ends.
    pub(crate) end: u64,
    /// The free blocks, in the manager's order.
    pub(crate) free: Vec<Free>,
    /// The blocks in use, by address.
    pub(crate) used: Vec<Used>,
}

/// A free block.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Free {
    pub(crate) addr: u64,
    pub(crate) size: u64,
}

/// A block in use.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Used {
    pub(crate) slot: u64,
    /// Where its header is, or else what was asked for.
    pub(crate) start: u64,
    /// Header and rounding included.
    pub(crate) size: u64,
    /// Where what was asked for is.
    pub(crate) addr: u64,
    pub(crate) requested: u64,
}

/// What all of it came to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) allocations: u64,
    pub(crate) failures: u64,
    /// Requests that failed though as much was free.
    pub(crate) failures_by_fragmentation: u64,
    pub(crate) frees: u64,
    /// Frees that were refused.
    pub(crate) bad_frees: u64,
    pub(crate) searched: u64,
    pub(crate) grown: u64,
    pub(crate) free: u64,
    pub(crate) free_blocks: u64,
    pub(crate) largest_free: u64,
    /// 1 − largest / free.
    pub(crate) external_fragmentation: f64,
    pub(crate) requested: u64,
    /// Headers and rounding.
    pub(crate) wasted: u64,
    /// Slots that were never freed.
    pub(crate) leaked: Vec<u64>,
}

/// The same operations on several managers.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    version: &'static str,
    pub(crate) unit_bytes: u64,
    pub(crate) ops: String,
    pub(crate) managers: Vec<Report>,
}

impl Comparison {
    pub(crate) fn new(arguments: &Arguments, managers: Vec<Report>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self { version, unit_bytes: UNIT, ops: arguments.ops.clone(), managers }
    }
}
