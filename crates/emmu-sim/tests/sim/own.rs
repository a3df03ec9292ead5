//! A policy, a format and a unit of the caller's own in the full report.

use crate::{LACKEY, run};
use emmu_base_bounds::BaseBounds;
use emmu_core::VirtAddr;
use emmu_os::{Contiguous, Layout, Paged, Region, Rights, RiscVTables};
use emmu_paging::{Own, Paging, Replace, RiscV};
use emmu_sim::{Report, Simulation};
use emmu_timing::Machine;
use emmu_trace::{Trace, bundled, open};

fn machine() -> Machine {
    Machine::preset("textbook-sv39").unwrap()
}

fn trace() -> Trace<'static> {
    open(LACKEY.as_bytes()).unwrap()
}

/// Asserts that a report is that of the named machine, but for the identity of the machine.
fn assert_same_numbers(own: &Report) {
    let named = run("textbook-sv39", LACKEY).unwrap();
    assert_eq!((&own.counters, &own.cycles), (&named.counters, &named.cycles));
    assert_eq!((own.os, &own.trace), (named.os, &named.trace));
    assert_eq!((own.machine.format.as_str(), &own.machine.hash), ("mine", &None));
}

#[test]
fn a_format_of_ones_own_is_in_the_report() {
    let simulation = Simulation::new(&machine());
    let (format, tables) = (RiscV::rv64(), RiscVTables::SV39);
    assert_same_numbers(&simulation.run_format("mine", format, tables, "t.txt", trace()).unwrap());
}

#[test]
fn a_unit_of_ones_own_is_in_the_report() {
    let machine = machine();
    let unit = Paging::new(RiscV::rv64(), &machine.paging_config()).unwrap();
    let spaces = Paged::new(RiscVTables::SV39);
    let report = Simulation::new(&machine).run_unit("mine", unit, spaces, "t.txt", trace());
    assert_same_numbers(&report.unwrap());
}

#[test]
fn a_unit_may_keep_the_program_in_one_piece() {
    let region = Region::new(VirtAddr::new(0), 0x1_0000, Rights::all()).unwrap();
    let layout = Layout::new([region]).unwrap();
    let unit = BaseBounds::default();
    let trace = open(&b"I  00001000,4\n S 0000fff8,8\n"[..]).unwrap();
    let simulation = Simulation::new(&machine()).with_layout(layout);
    let report = simulation.run_unit("mine", unit, Contiguous::default(), "t.txt", trace).unwrap();
    assert_eq!((report.os.page_faults, report.counters.tlbs.len()), (0, 0));
    assert_eq!(report.counters.references[emmu_timing::Account::User].store, 1);
}

/// Evicts the way that was filled last.
#[derive(Clone, Debug)]
struct LastIn(Vec<usize>);

impl Replace for LastIn {
    fn new(sets: usize, _: usize) -> Self {
        Self(vec![0; sets])
    }
    fn hit(&mut self, _: usize, _: usize) {}
    fn filled(&mut self, set: usize, way: usize) {
        self.0[set] = way;
    }
    fn victim(&mut self, set: usize) -> usize {
        self.0[set]
    }
    fn name() -> &'static str {
        "last-in"
    }
}

#[test]
fn a_policy_of_ones_own_is_in_the_report() {
    let text = Machine::preset_text("textbook-sv39").unwrap();
    let text = text.replace("entries = 4", "entries = 4\nreplacement = \"last-in\"");
    let own = Machine::from_toml_with("mine.toml", &text, &[Own::of::<LastIn>()]).unwrap();
    let run = |machine: &Machine| {
        let trace = open(bundled()).unwrap().with_limit(20_000);
        Simulation::new(machine).run("bundled", trace).unwrap()
    };
    let (own, lru) = (run(&own), run(&machine()));
    assert_ne!(own.counters.tlbs[0].misses, lru.counters.tlbs[0].misses);
    assert_ne!(own.machine.hash, lru.machine.hash, "a policy counts by its name");
}
