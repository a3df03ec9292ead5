//! Compares the unit with the relocation homework of OSTEP, ch. 15, as its own simulator answers it.

use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::{Access, Bus, Cause, Privilege, Transfer, TranslationUnit, VirtAddr};
use emmu_memory::Memory;
use emmu_property::vector_files_named;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};

fn number(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_else(|| panic!("{key} in {record}"))
}

/// Checks every address of a record, and returns their number. A record with an `error` has none.
fn check(record: &Value) -> usize {
    let Some(trace) = record["trace"].as_array() else { return 0 };
    let (base, limit) = (number(record, "base"), number(record, "limit"));
    let memory = Memory::ram(number(record, "psize"));
    for (convention, bounds) in [(Convention::Size, limit), (Convention::End, base + limit)] {
        let mut unit = BaseBounds::new(convention).with_registers(base, bounds);
        trace.iter().for_each(|step| check_step(&mut unit, &memory, step));
    }
    trace.len()
}

fn check_step(unit: &mut BaseBounds, memory: &Memory, step: &Value) {
    let access = Access::load(VirtAddr::new(number(step, "va")), 1).with_privilege(Privilege::User);
    let found = TranslationUnit::<(), ()>::translate(unit, access, &mut (), &mut ());
    match found {
        Ok(found) => {
            assert_eq!(step["pa"].as_u64(), Some(found.addr.raw()), "{unit:?}, {step}");
            assert_eq!(memory.check(found.addr, 1, Transfer::Read), Ok(()), "{unit:?}, {step}");
        }
        Err(fault) => {
            assert_eq!(fault.cause, Cause::Bounds);
            assert_eq!(step["fault"].as_str(), Some("bounds"), "{unit:?}, {step}");
        }
    }
}

#[test]
fn every_address_of_the_homework_goes_where_its_simulator_says() {
    for file in vector_files_named("textbook", "relocation") {
        let text = BufReader::new(GzDecoder::new(File::open(&file.path).unwrap()));
        let records = text.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let checked: usize = records.map(|record| check(&record)).sum();
        println!("{}: {checked} addresses", file.path.display());
        assert!(checked > if file.is_sample { 50 } else { 500 }, "{checked}");
    }
}
