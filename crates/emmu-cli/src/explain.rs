//! `emmu explain`: the steps of an access, bit by bit.
//!
//! A CPU makes the access on the unit itself. The explanation consists of the unit's own events with their prices, and
//! of the unit's own account of the parts of an address. Nothing is translated here.

mod args;
mod base_bounds;
mod contents;
mod paging;
mod parts;
mod segments;
mod story;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use args::Explain;

use crate::number::Radix;
use anyhow::Result;
use args::{Accesses, Unit};
use emmu_core::{AccessFlags, TranslationUnit};
use emmu_memory::Memory;
use serde::Serialize;
use std::io::Write;
use story::{Explanation, Narrator, Stage, Tell};

/// Explains every address.
pub(crate) fn run(arguments: &Explain, out: &mut impl Write) -> Result<()> {
    let accesses = arguments.unit.accesses();
    let explained = explain(&arguments.unit)?;
    let report = Report { prices: &accesses.machine, explained: &explained };
    accesses.output.write(&report, |report, out| text::write(report.explained, out), out)
}

/// The JSON object.
#[derive(Serialize)]
struct Report<'a> {
    /// The name of the machine whose prices are told.
    prices: &'a str,
    explained: &'a [Explanation],
}

fn explain(unit: &Unit) -> Result<Vec<Explanation>> {
    let (accesses, no_flags) = (unit.accesses(), AccessFlags::empty());
    match unit {
        Unit::BaseBounds(arguments) => tell_all(arguments.unit(), no_flags, |_| Ok(()), accesses),
        Unit::Segments(arguments) => {
            tell_all(arguments.unit()?, arguments.flags(), |_| Ok(()), accesses)
        }
        Unit::Table(arguments) => {
            let (unit, table) = arguments.unit()?;
            tell_all(unit, no_flags, |stage| table.put(stage), accesses)
        }
        Unit::Paging(arguments) => {
            let (unit, table) = arguments.unit()?;
            tell_all(unit, no_flags, |stage| table.put(stage), accesses)
        }
    }
}

/// Makes one access after the other on one unit: an access finds the caches as the accesses before left them.
fn tell_all<U>(
    unit: U,
    flags: AccessFlags,
    prepare: impl FnOnce(&mut Stage<U>) -> Result<()>,
    accesses: &Accesses,
) -> Result<Vec<Explanation>>
where
    U: Tell + TranslationUnit<Memory, Narrator>,
{
    let machine = crate::machines::find(&accesses.machine)?;
    let mut memory = Memory::ram(accesses.memory.unwrap_or(machine.memory.value.size));
    for byte in &accesses.bytes {
        byte.put(&mut memory)?;
    }
    let mut stage = Stage::new(unit, flags, memory, &machine)?;
    prepare(&mut stage)?;
    stage.cool(&machine);
    accesses.addresses.iter().map(|number| stage.tell(*number, accesses)).collect()
}
