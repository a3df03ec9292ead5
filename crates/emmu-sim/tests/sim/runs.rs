//! Options of a run, and what is wrong with it.

use crate::{LACKEY, run};
use emmu_base_bounds::BaseBounds;
use emmu_core::VirtAddr;
use emmu_os::{Layout, Paged, Region, Rights, RiscVTables};
use emmu_sim::{SimError, Simulation};
use emmu_timing::Machine;
use emmu_trace::{bundled, open};

fn machine() -> Machine {
    Machine::preset("textbook-sv39").unwrap()
}

fn error(simulation: Simulation<'_>) -> SimError {
    simulation.run("t.txt", open(LACKEY.as_bytes()).unwrap()).unwrap_err()
}

#[test]
fn memory_that_is_not_made_of_pages_is_named() {
    let mut machine = machine();
    machine.memory.value.size += 1;
    let message = error(Simulation::new(&machine)).to_string();
    assert!(message.starts_with("machine textbook-sv39: memory.size: "), "{message}");
}

#[test]
fn tlbs_that_cannot_be_are_named_with_the_machine() {
    let mut machine = machine();
    let emmu_timing::Banks::Unified(tables) = &mut machine.stage.tlb[1].banks else {
        panic!("its second level is unified")
    };
    tables[0].value.page_bits = vec![];
    let error = error(Simulation::new(&machine));
    assert!(matches!(error, SimError::Unit { .. }), "{error}");
    assert!(error.to_string().starts_with("machine textbook-sv39: "), "{error}");
}

#[test]
fn a_unit_that_the_address_spaces_do_not_fit_does_not_boot() {
    let (unit, spaces) = (BaseBounds::default(), Paged::new(RiscVTables::SV39));
    let trace = open(LACKEY.as_bytes()).unwrap();
    let done = Simulation::new(&machine()).run_unit("mine", unit, spaces, "t.txt", trace);
    let message = done.unwrap_err().to_string();
    let expected = "machine textbook-sv39: the operating system does not boot: ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_layout_beyond_the_machine_is_refused_before_the_first_record() {
    let region = Region::new(VirtAddr::new(1 << 62), 0x1000, Rights::all()).unwrap();
    let error = error(Simulation::new(&machine()).with_layout(Layout::new([region]).unwrap()));
    assert!(matches!(error, SimError::Os { record: 0, .. }), "{error}");
}

#[test]
fn damage_of_a_trace_is_named_before_the_end_of_the_program() {
    let error = run("textbook-sv39", &format!("{LACKEY} L zz,8\n")).unwrap_err();
    assert!(error.to_string().starts_with("t.txt: line 8: expected "), "{error}");
}

#[test]
fn progress_rises_to_the_last_record() {
    let mut seen = Vec::new();
    let trace = open(bundled()).unwrap().with_limit(10_000);
    let simulation = Simulation::new(&machine()).on_progress(|records| seen.push(records));
    simulation.run("bundled", trace).unwrap();
    assert!(seen.is_sorted() && seen.len() > 2, "{seen:?}");
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&10_000)));
}

#[test]
fn the_last_seed_counts() {
    let text = Machine::preset_text("textbook-sv39").unwrap();
    let random = text.replace("entries = 4", "entries = 4\nreplacement = \"random\"");
    let machine = Machine::from_toml("random.toml", &random).unwrap();
    let run = |simulation: Simulation<'_>| {
        simulation.run("bundled", open(bundled()).unwrap().with_limit(10_000)).unwrap()
    };
    let once = run(Simulation::new(&machine).with_seed(2));
    assert_eq!(once, run(Simulation::new(&machine).with_seed(1).with_seed(2)));
    assert_ne!(once.cycles.total, run(Simulation::new(&machine).with_seed(1)).cycles.total);
    assert_eq!(once.seed, 2);
}
