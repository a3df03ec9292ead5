//! The results of a comparison, as data and as tables.

use super::args::Compare;
use super::attack::{Attacks, Outcome};
use super::cost::Cost;
use super::program::Shape;
use super::system::{Kind, OS, Setting};
use anyhow::Result;
use emmu_sim::MachineReport;
use emmu_sim::table::{Table, count, left, print, right, table};
use emmu_timing::Machine;
use serde::Serialize;
use std::io::Write;

/// All that `emmu compare` prints. The options alone determine it, on every host.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of emmu.
    version: &'static str,
    seed: u64,
    machine: MachineReport,
    program: ProgramReport,
    memory: MemoryReport,
    /// Cycles that the disk takes for a block.
    disk_cycles_per_block: u64,
    systems: Vec<SystemReport>,
}

/// The program, in bytes.
#[derive(Debug, Serialize)]
struct ProgramReport {
    code: u64,
    heap: u64,
    stack: u64,
    space: u64,
    /// Its loads and stores.
    accesses: u64,
}

/// Physical memory, in bytes.
#[derive(Debug, Serialize)]
struct MemoryReport {
    operating_system: u64,
    processes: u64,
}

/// A row of the tables.
#[derive(Debug, Serialize)]
struct SystemReport {
    system: &'static str,
    cost: Cost,
    /// Cycles of a switch, divided by those with base and bounds.
    switch_ratio: Option<f64>,
    attacks: Attacks,
    /// The number of attacks that succeed.
    attacks_that_succeed: usize,
}

const LEGEND: &str = "\
allocated, wasted: bytes of memory that the program takes, and those that it did not ask for
translation: cycles of TLB lookups and page walks in a fetch, load or store, all caches warm
access: all its cycles; they depend mostly on where the program's data fall in the caches,
        and each system places the program elsewhere
switch: cycles from one process to another; against registers: against base and bounds
yes: the attack succeeds; no: it is stopped; -: there is nothing to attack";

impl Report {
    pub(crate) fn new(
        arguments: &Compare,
        machine: &Machine,
        shape: &Shape,
        setting: &Setting<'_>,
    ) -> Self {
        let &Shape { accesses, heap, stack, space, .. } = shape;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            seed: arguments.seed,
            machine: MachineReport::new(machine),
            program: ProgramReport { code: shape.code(), heap, stack, space, accesses },
            memory: MemoryReport { operating_system: OS, processes: setting.memory() },
            disk_cycles_per_block: arguments.disk,
            systems: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, kind: Kind, cost: Cost, attacks: Attacks) {
        let succeed = attacks.outcomes().into_iter().filter(|&came| came == Outcome::Succeeds);
        self.systems.push(SystemReport {
            system: kind.name(),
            cost,
            switch_ratio: None,
            attacks,
            attacks_that_succeed: succeed.count(),
        });
        let registers = self.systems.iter().find(|row| row.system == Kind::BaseBounds.name());
        let registers = registers.and_then(|row| row.cost.switch);
        for row in &mut self.systems {
            row.switch_ratio = ratio(row.cost.switch, registers);
        }
    }

    pub(crate) fn write_text(&self, out: &mut impl Write) -> Result<()> {
        print(out, &self.head())?;
        print(out, &self.costs())?;
        writeln!(out, "Attacks of one program on others")?;
        print(out, &self.attacks())?;
        writeln!(out, "{LEGEND}")?;
        Ok(())
    }

    fn head(&self) -> Table {
        let mut head = table(&["emmu", ""]);
        head.set_header([left("emmu"), left(self.version)]);
        let ProgramReport { code, heap, stack, space, accesses } = self.program;
        let [code, heap, stack, space, accesses] = [code, heap, stack, space, accesses].map(count);
        let parts = format!(
            "{code} bytes of code, {heap} of heap, {stack} of stack, in a space of {space}"
        );
        head.add_row([left("program"), left(&parts)]);
        let does = format!("{accesses} loads and stores, seed {}", self.seed);
        head.add_row([left(""), left(&does)]);
        let memory = format!("{} bytes for processes", count(self.memory.processes));
        head.add_row([left("memory"), left(&memory)]);
        let disk = count(self.disk_cycles_per_block);
        let (name, format) = (&self.machine.name, &self.machine.format);
        let prices = format!("{name}, {format}; {disk} cycles for a block of the disk");
        head.add_row([left("prices"), left(&prices)]);
        head
    }

    fn costs(&self) -> Table {
        let mut rows = table(&[
            "",
            "allocated",
            "wasted",
            "translation",
            "access",
            "switch",
            "against registers",
        ]);
        for SystemReport { system, cost, switch_ratio, .. } in &self.systems {
            let dash = || "-".to_owned();
            rows.add_row([
                left(&format!("  {system}")),
                right(count(cost.allocated)),
                right(count(cost.wasted)),
                right(format!("{:.3}", cost.translation_cycles_per_access)),
                right(format!("{:.3}", cost.cycles_per_access)),
                right(cost.switch.map_or_else(dash, count)),
                right(switch_ratio.map_or_else(dash, |ratio| format!("{ratio:.2}x"))),
            ]);
        }
        rows
    }

    fn attacks(&self) -> Table {
        let titles = ["", "read", "write", "overwrite", "write", "read", "succeed"];
        let objects = ["", "another's", "another's", "the OS", "a register", "leftovers", "of 5"];
        let mut rows = table(&titles);
        rows.add_row(objects.map(right));
        for row in &self.systems {
            let outcomes = row.attacks.outcomes().map(|outcome| {
                right(match outcome {
                    Outcome::Succeeds => "yes",
                    Outcome::Stopped => "no",
                    Outcome::NoTarget => "-",
                })
            });
            let name = left(&format!("  {}", row.system));
            rows.add_row(
                [name].into_iter().chain(outcomes).chain([right(row.attacks_that_succeed)]),
            );
        }
        rows
    }
}

#[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
fn ratio(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    Some(part? as f64 / whole.filter(|&whole| whole > 0)? as f64)
}
