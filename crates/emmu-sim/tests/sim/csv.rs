//! The report as a table.

use crate::{LACKEY, run};
use csv::{Reader, StringRecord};
use emmu_timing::Machine;
use serde_json::Value;
use std::time::Duration;

fn rows(machine: &str) -> Vec<StringRecord> {
    rows_of(machine, LACKEY)
}

fn rows_of(machine: &str, trace: &str) -> Vec<StringRecord> {
    let report = run(machine, trace).unwrap().with_host_time(Duration::from_secs(2));
    let mut text = Vec::new();
    report.write_csv(&mut text).unwrap();
    let mut reader = Reader::from_reader(&text[..]);
    let header = "trace,machine,seed,metric,unit,account,side,level,value";
    assert_eq!(reader.headers().unwrap(), header.split(',').collect::<Vec<_>>());
    reader.records().collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_value_is_a_number_and_every_metric_has_a_unit() {
    for machine in Machine::presets() {
        let rows = rows(machine);
        assert!(rows.len() > 100, "{machine}: {} rows", rows.len());
        for row in rows {
            assert!(row[8].parse::<f64>().unwrap().is_finite(), "{row:?}");
            assert!(row[2].parse::<u64>().is_ok(), "{row:?}");
            assert!(row[7].is_empty() || row[7].parse::<u8>().is_ok(), "{row:?}");
            assert!(!row[4].is_empty(), "no unit: {row:?}");
            assert_eq!((&row[0], &row[1]), ("t.txt", machine));
        }
    }
}

#[test]
fn no_two_rows_are_of_the_same_number() {
    let rows = rows("skylake-sp");
    let mut keys: Vec<_> = rows.iter().map(|row| row.iter().take(8).collect::<Vec<_>>()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), rows.len());
}

/// How many numbers there are in a part of the report.
fn numbers(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(numbers).sum(),
        Value::Object(members) => members.values().map(numbers).sum(),
        _ => 0,
    }
}

#[test]
fn every_number_of_the_report_has_a_row() {
    let report = run("cortex-a53", LACKEY).unwrap().with_host_time(Duration::from_secs(2));
    let json = serde_json::to_value(&report).unwrap();
    // The level of a TLB is a column, and the seed one of the run.
    let in_columns = report.counters.tlbs.len() + 1;
    assert_eq!(rows("cortex-a53").len(), numbers(&json) - in_columns);
}

#[test]
fn a_row_has_the_number_of_the_report() {
    let report = run("textbook-sv39", LACKEY).unwrap();
    let misses = report.counters.tlbs.iter().find(|tlb| tlb.side == "data").unwrap().misses;
    let row = rows("textbook-sv39").into_iter().find(|row| {
        [&row[3], &row[5], &row[6], &row[7]] == ["counters.tlbs.misses", "user", "data", "1"]
    });
    let expected = misses[emmu_timing::Account::User].to_string();
    assert_eq!(row.unwrap()[8], expected);
}

#[test]
fn misses_of_a_trace_without_fetches_are_per_thousand_references() {
    for (trace, expected) in [
        (LACKEY, "lookups/1000 instructions"),
        (" L 1000,8\n S 2000,4\n", "lookups/1000 references"),
    ] {
        let rows = rows_of("textbook-sv39", trace);
        let mut units = rows.iter().filter(|row| &row[3] == "counters.tlbs.mpki").peekable();
        assert!(units.peek().is_some());
        assert!(units.all(|row| &row[4] == expected), "{expected}");
    }
}
