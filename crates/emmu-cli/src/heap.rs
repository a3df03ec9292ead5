//! `emmu heap`: a memory manager at work, step by step, or all of them side by side.

mod args;
mod ops;
mod report;
mod run;
mod setup;
mod text;

pub(crate) use args::Heap;

use anyhow::Result;
use report::{Comparison, Report};
use setup::Setup;
use std::io::Write;

/// Bytes of emulated memory for a unit. A free block of one unit has room for the node of any manager.
const UNIT: u64 = 64;

/// Runs the operations, and prints the result of each.
pub(crate) fn run(arguments: &Heap, out: &mut impl Write) -> Result<()> {
    let ops = ops::parse(&arguments.ops)?;
    if arguments.compare {
        let setups = Setup::all(arguments);
        let runs = setups.iter().map(|setup| run::run(setup, &ops));
        let comparison = Comparison::new(arguments, runs.collect::<Result<_>>()?);
        return arguments.output.write(&comparison, text::comparison, out);
    }
    let report: Report = run::run(&Setup::new(arguments)?, &ops)?;
    arguments.output.write(&report, text::report, out)
}
