//! `emmu compare`: one program under every memory system, from one process at a time to paging.

mod args;
mod attack;
mod cost;
mod program;
mod report;
mod system;

pub(crate) use args::Compare;

use crate::machines;
use anyhow::{Result, ensure};
use emmu_os::FRAME;
use program::Shape;
use report::Report;
use std::io::Write;
use system::{Kind, Setting};

/// Measures every system, attacks every system, and prints the tables.
pub(crate) fn run(arguments: &Compare, out: &mut impl Write) -> Result<()> {
    let machine = machines::find(&arguments.machine)?.with_seed(arguments.seed);
    ensure!(
        machine.format.page() == FRAME,
        "machine {}: format {}: not modelled: pages of {} bytes; expected a format with pages of {FRAME}, for which \
         the programs and all systems are made",
        machine.name,
        machine.format,
        machine.format.page()
    );
    let shape = Shape::new(arguments)?;
    let setting = Setting::new(&machine, &shape, arguments.disk);
    let mut report = Report::new(arguments, &machine, &shape, &setting);
    for kind in Kind::ALL {
        let cost = cost::measure(kind, &setting, &shape)?;
        let attacks = attack::all(kind, &setting, &shape)?;
        report.add(kind, cost, attacks);
    }
    arguments.output.write(&report, Report::write_text, out)
}
