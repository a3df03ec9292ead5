//! The results of a run, as data. Sizes and addresses are in units.

use super::UNIT;
use super::args::Heap as Arguments;
use serde::Serialize;

/// All that `emmu heap` prints about one manager.
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
    /// The number by which operations name the allocation.
    pub(crate) slot: Option<usize>,
    /// The address of the allocation, if it was made.
    pub(crate) addr: Option<u64>,
    /// The number of elements that the manager searched for the allocation.
    pub(crate) searched: Option<u64>,
    /// The reason for which the operation failed.
    pub(crate) error: Option<String>,
    /// The address of the end of the heap.
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
    /// The address of the block: of its header if it has one.
    pub(crate) start: u64,
    /// The size of the block with header and rounding.
    pub(crate) size: u64,
    /// The address of the requested memory.
    pub(crate) addr: u64,
    pub(crate) requested: u64,
}

/// The sums over all operations, and the state at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) allocations: u64,
    pub(crate) failures: u64,
    /// Requests that failed although enough units were free.
    pub(crate) failures_by_fragmentation: u64,
    pub(crate) frees: u64,
    /// Frees that the manager refused.
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

/// A run of the operations on each of several managers.
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
