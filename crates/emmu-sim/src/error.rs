//! Errors of a simulation.

use emmu_os::{Kill, MemoryError, OsError};
use emmu_paging::ConfigError;
use emmu_trace::TraceError;

/// Why a simulation has no report. Each error names the machine or the trace that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The machine's memory cannot be managed by the operating system.
    #[error("machine {machine}: memory.size: {source}")]
    Memory {
        /// Name of the machine.
        machine: String,
        /// The reason.
        source: MemoryError,
    },
    /// The machine's TLBs and walk caches do not fit its format.
    #[error("machine {machine}: {source}")]
    Unit {
        /// Name of the machine.
        machine: String,
        /// The reason.
        source: ConfigError,
    },
    /// The operating system refuses the machine.
    #[error("machine {machine}: the operating system does not boot: {source}")]
    Boot {
        /// Name of the machine.
        machine: String,
        /// The reason.
        source: Box<OsError>,
    },
    /// The operating system refuses to start or to continue the program.
    #[error("{trace}: record {record}: {source}")]
    Os {
        /// Name of the trace.
        trace: String,
        /// Number of the record at which the run ended, from 1; 0 before the first.
        record: u64,
        /// The reason.
        source: Box<OsError>,
    },
    /// The trace is malformed, damaged or unreadable.
    #[error("{trace}: {source}")]
    Trace {
        /// Name of the trace.
        trace: String,
        /// The reason, with the place in the trace.
        source: TraceError,
    },
    /// The operating system ended the program because of a record.
    #[error("{trace}: record {record}: the program was ended: {kill}")]
    Killed {
        /// Name of the trace.
        trace: String,
        /// Number of the record, from 1.
        record: u64,
        /// The reason.
        kill: Box<Kill>,
    },
    /// The trace has no references that can be run.
    #[error("{trace}: the trace has no references")]
    NoReferences {
        /// Name of the trace.
        trace: String,
    },
}
