//! The segmentation homework of OSTEP, ch. 16, as its own simulator answers it, save where it answers what
//! no hardware can.

use emmu_core::{
    Access, Bus, BusError, Cause, PhysAddr, Privilege, Transfer, TranslationUnit, VirtAddr,
};
use emmu_memory::Memory;
use emmu_property::vector_files_named;
use emmu_segmentation::{Segment, SegmentFlags, Segmentation, Selection};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};

fn number(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_else(|| panic!("{key} in {record}"))
}

/// Checks every address of a record; returns how many there were.
///
/// Left out are records that their simulator refused, which have no trace, and those whose address space
/// is no power of two (quirk `asize_not_pow2`), which therefore have no top bit.
fn check(record: &Value) -> usize {
    let trace = record["trace"].as_array().expect("a trace, empty or not");
    let asize = number(record, "asize");
    if trace.is_empty() || !asize.is_power_of_two() {
        return 0;
    }
    let selection = Selection::Explicit { selector_bits: 1, segments: 2 };
    let unit = Segmentation::new(asize.ilog2(), selection).expect("a legal shape");
    let segments = record["seg"].as_array().expect("two segments");
    let unit = (0..).zip(segments).fold(unit, |unit, (number, described)| {
        unit.with_segment(number, segment(described)).expect("legal values")
    });
    let memory = Memory::ram(number(record, "psize"));
    trace.iter().for_each(|step| check_step(&unit, &memory, step));
    trace.len()
}

fn segment(described: &Value) -> Segment {
    let down = described["grows"] == "down";
    let direction = if down { SegmentFlags::GROWS_DOWN } else { SegmentFlags::empty() };
    Segment {
        base: number(described, "base"),
        bounds: number(described, "limit"),
        flags: SegmentFlags::READ | direction,
    }
}

/// The simulator's address is ours too, if there is such memory. An address below 0 is a fault here (quirk
/// `seg1_below_zero`), and one past the end of memory (`…_past_end_of_memory`) is refused by the bus.
fn check_step(unit: &Segmentation, memory: &Memory, step: &Value) {
    let access = Access::load(VirtAddr::new(number(step, "va")), 1).with_privilege(Privilege::User);
    let found = TranslationUnit::<(), ()>::peek(unit, access, &());
    match step["pa"].as_i64().map(u64::try_from) {
        Some(Ok(expected)) => {
            let addr = PhysAddr::new(expected);
            assert_eq!(found.map(|found| found.addr), Ok(addr), "{unit:?}, {step}");
            let there = memory.regions()[0].contains(addr);
            let answer = if there { Ok(()) } else { Err(BusError::Unmapped { addr }) };
            assert_eq!(memory.check(addr, 1, Transfer::Read), answer);
        }
        Some(Err(_)) | None => {
            let cause = found.map_err(|fault| fault.cause);
            assert_eq!(cause, Err(Cause::Bounds), "{unit:?}, {step}");
        }
    }
}

#[test]
fn every_address_of_the_homework_goes_where_its_simulator_says() {
    for file in vector_files_named("textbook", "segmentation") {
        let text = BufReader::new(GzDecoder::new(File::open(&file.path).unwrap()));
        let records = text.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let checked: usize = records.map(|record| check(&record)).sum();
        println!("{}: {checked} addresses", file.path.display());
        assert!(checked > if file.is_sample { 50 } else { 500 }, "{checked}");
    }
}
