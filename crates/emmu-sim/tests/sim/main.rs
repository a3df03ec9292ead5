//! Whole runs through the library.
#![expect(clippy::unwrap_used, reason = "a test")]

mod csv;
mod json;
mod own;
mod runs;
mod vsyscall;

use emmu_sim::{Report, SimError, Simulation};
use emmu_timing::Machine;
use emmu_trace::open;

/// A trace with every kind of record.
const LACKEY: &str = "I  04016b30,3\n L 1ffeffe7e0,8\nI  04016b33,7\n S 1ffeffe7d8,8\n\
                      I  04016b3a,4\n M 04228ffc,8\nI  04016b3e,2\n";

/// Runs lackey's text on a preset.
fn run(machine: &str, text: &str) -> Result<Report, SimError> {
    let machine = Machine::preset(machine).unwrap();
    Simulation::new(&machine).run("t.txt", open(text.as_bytes()).unwrap())
}
