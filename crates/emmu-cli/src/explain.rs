//! `emmu explain`: what becomes of an address, bit by bit.
//!
//! The access is made by a CPU on the unit itself. What is told are the unit's own events, with their prices, and
//! its own account of the parts of an address; nothing is translated here.

mod args;
mod base_bounds;
mod number;
mod paging;
mod segments;
mod story;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use args::Explain;

use anyhow::{Context, Result};
use args::{Accesses, Unit};
use emmu_core::TranslationUnit;
use emmu_memory::Memory;
use emmu_timing::Machine;
use number::Number;
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

/// All that `--json` says.
#[derive(Serialize)]
struct Report<'a> {
    /// The machine whose prices they are.
    prices: &'a str,
    explained: &'a [Explanation],
}

fn explain(unit: &Unit) -> Result<Vec<Explanation>> {
    match unit {
        Unit::BaseBounds(arguments) => tell_all(arguments.unit()?, |_| Ok(()), &arguments.accesses),
        Unit::Segments(arguments) => tell_all(arguments.unit()?, |_| Ok(()), &arguments.accesses),
        Unit::Table(arguments) => {
            let (unit, table) = arguments.unit()?;
            tell_all(unit, |stage| table.put(stage), &arguments.accesses)
        }
        Unit::Paging(arguments) => {
            let (unit, table) = arguments.unit()?;
            tell_all(unit, |stage| table.put(stage), &arguments.accesses)
        }
    }
}

/// Sets the stage and makes one access after the other: what a cache learns from one, the next one finds.
fn tell_all<U>(
    unit: U,
    prepare: impl FnOnce(&mut Stage<U>) -> Result<()>,
    accesses: &Accesses,
) -> Result<Vec<Explanation>>
where
    U: Tell + TranslationUnit<Memory, Narrator>,
{
    let machine = crate::machines::find(&accesses.machine)?;
    let size = accesses.memory_size(&machine)?;
    let mut stage = Stage::new(unit, Memory::ram(size), &machine)?;
    prepare(&mut stage)?;
    stage.cool(&machine);
    let numbers: Result<Vec<_>> = accesses.numbers().collect();
    numbers?.into_iter().map(|number| stage.tell(number, accesses)).collect()
}

impl Accesses {
    fn numbers(&self) -> impl Iterator<Item = Result<Number>> {
        self.addresses.iter().map(|text| number::parse("address", text))
    }

    fn memory_size(&self, machine: &Machine) -> Result<u64> {
        match &self.memory {
            Some(text) => Ok(number::parse("--memory", text)?.value),
            None => Ok(machine.memory.value.size),
        }
    }

    fn size(&self) -> Result<u32> {
        let size = number::parse("--size", &self.size)?.value;
        let fits = u32::try_from(size).ok().filter(|size| (1..=4096).contains(size));
        fits.with_context(|| format!("--size: expected 1 to 4096 bytes, found {size}"))
    }
}
