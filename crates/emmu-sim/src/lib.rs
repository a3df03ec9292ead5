//! Traces on machines: everything that the command `emmu sim` does between its arguments and its report.
//!
//! Models: the replay of a memory trace as the only program of the minimal operating system, on a machine of emmu-timing
//! or on a translation unit of your own; and the report of the run, as data, as text, as JSON and as CSV.
//!
//! Does not model: time on the host. A caller that wants the speed in the report measures it, and hands it over
//! ([`Report::with_host_time`]).
//!
//! Which type you want: [`Simulation`]. [`Simulation::run`] takes a trace through the machine that a description names,
//! [`Simulation::run_format`] through the same machine with page tables of your own format, and
//! [`Simulation::run_unit`] through any translation unit. Each returns a [`Report`].
//!
//! ```
//! use emmu_sim::Simulation;
//! use emmu_timing::Machine;
//! use emmu_trace::open;
//!
//! let machine = Machine::preset("textbook-sv39")?;
//! let trace = open(&b"I  04016b30,3\n L 1ffeffe7e0,8\nI  04016b33,2\n S 1ffeffe7e8,8\n"[..])?;
//! let report = Simulation::new(&machine).run("four references", trace)?;
//! assert_eq!(report.trace.records, 4);
//! assert_eq!(report.os.page_faults, 2);
//! assert!(report.cycles.overhead > Some(1.0));
//!
//! let mut text = Vec::new();
//! report.write_text(&mut text)?;
//! assert!(String::from_utf8(text)?.contains("four references, 4 records"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod replay;
mod report;
mod simulation;
pub mod table;
mod tables;

pub use error::SimError;
pub use report::{HostReport, MachineReport, OsReport, Report, TraceReport};
pub use simulation::{KERNEL_BYTES, Meters, Simulation};
pub use tables::{WithTables, with_tables};
