//! A report as one table: a row for each number, with the columns that say which number it is.

mod metrics;

use super::Report;
use csv::Writer;
use metrics::{Index, index_of, unit_in};
use serde_json::Value;
use std::io::{self, Write};

/// The columns. `value` is always a number.
const HEADER: [&str; 9] =
    ["trace", "machine", "seed", "metric", "unit", "account", "side", "level", "value"];

/// The parts of a report that have metrics in them. The others identify the run.
const PARTS: [&str; 5] = ["trace", "os", "counters", "cycles", "host"];

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    // The text is whole before a byte is written, so that an error of the output is no error of CSV.
    let mut rows = Writer::from_writer(Vec::new());
    rows.write_record(HEADER)?;
    let seed = report.seed.to_string();
    for row in rows_of(&serde_json::to_value(report).map_err(io::Error::other)?) {
        let Row { metric, account, side, level, value } = &row;
        let (trace, machine) = (&report.trace.name, &report.machine.name);
        let unit = unit_in(metric, report.counters.per_thousand).unwrap_or_default();
        rows.write_record([trace, machine, &seed, metric, unit, account, side, level, value])?;
    }
    out.write_all(&rows.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// A number and its place in the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    /// The keys of the JSON object on the way to the number, joined by dots, without those that are columns.
    metric: String,
    account: String,
    side: String,
    level: String,
    value: String,
}

fn rows_of(report: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for part in PARTS {
        if let Some(value) = report.get(part) {
            Row::default().below(part).add(value, &mut rows);
        }
    }
    rows
}

impl Row {
    /// Adds a row for each number in `value`. Texts identify and are no metrics; a quotient that would divide by zero
    /// is null, and has no row.
    fn add(&self, value: &Value, rows: &mut Vec<Self>) {
        match value {
            Value::Object(members) => {
                let at = self.of_tlb(value);
                for (name, value) in members.iter().filter(|(name, _)| !at.has_column(name)) {
                    at.member(name, value).add(value, rows);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.item(index).add(value, rows);
                }
            }
            Value::Number(number) => rows.push(Self { value: number.to_string(), ..self.clone() }),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    fn below(&self, name: &str) -> Self {
        let dot = if self.metric.is_empty() { "" } else { "." };
        Self { metric: format!("{}{dot}{name}", self.metric), ..self.clone() }
    }

    /// The place of a member of an object. Accounts and the second stage are columns.
    fn member(&self, name: &str, value: &Value) -> Self {
        match name {
            "user" | "supervisor" => Self { account: name.to_owned(), ..self.clone() },
            "second_stage" if value.is_object() => Self { side: name.to_owned(), ..self.clone() },
            _ => self.below(name),
        }
    }

    /// The place of an item of an array.
    fn item(&self, index: usize) -> Self {
        match index_of(&self.metric) {
            Index::Own => self.clone(),
            Index::Level { first } => Self { level: (first + index).to_string(), ..self.clone() },
            Index::Served => self.below(metrics::SERVED.get(index).copied().unwrap_or("other")),
        }
    }

    /// The place of the members of an object that says its own level and side: a TLB.
    fn of_tlb(&self, value: &Value) -> Self {
        match (
            value.get("level").and_then(Value::as_u64),
            value.get("side").and_then(Value::as_str),
        ) {
            (Some(level), Some(side)) => {
                Self { level: level.to_string(), side: side.to_owned(), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Says if this member of the object is a column already.
    fn has_column(&self, name: &str) -> bool {
        name == "level" && !self.level.is_empty() || name == "side" && !self.side.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(report: &Value) -> Vec<[String; 5]> {
        let rows = rows_of(report).into_iter();
        rows.map(|row| [row.metric, row.account, row.side, row.level, row.value]).collect()
    }

    #[test]
    fn an_account_and_a_second_stage_are_columns() {
        let report = json!({"cycles": {"by_cause": {
            "user": {"entry_reads": 7, "second_stage": {"entry_reads": 8}},
            "supervisor": {"entry_reads": 9},
        }}});
        let metric = "cycles.by_cause.entry_reads";
        assert_eq!(
            rows(&report),
            [
                [metric, "user", "", "", "7"],
                [metric, "user", "second_stage", "", "8"],
                [metric, "supervisor", "", "", "9"],
            ]
        );
    }

    #[test]
    fn a_tlb_has_its_side_and_level_in_columns() {
        let tlb = json!({"level": 2, "side": "unified", "fills": 5, "hits": {"user": 6}});
        assert_eq!(
            rows(&json!({"counters": {"tlbs": [tlb]}})),
            [
                ["counters.tlbs.fills", "", "unified", "2", "5"],
                ["counters.tlbs.hits", "user", "unified", "2", "6"],
            ]
        );
    }

    #[test]
    fn levels_of_tlbs_count_from_one_and_levels_of_tables_from_zero() {
        let tlb = json!({"cycles": {"by_cause": {"user": {"tlb": [4, 5]}}}});
        let levels = |rows: Vec<[String; 5]>| rows.into_iter().map(|[.., level, _]| level);
        assert!(levels(rows(&tlb)).eq(["1", "2"]));
        assert!(levels(rows(&json!({"counters": {"walks": {"reads": [4, 5]}}}))).eq(["0", "1"]));
    }

    #[test]
    fn what_served_a_read_is_in_the_name_of_the_metric() {
        let report = json!({"cycles": {"by_cause": {"user": {"data": [1, 2, 3, 4]}}}});
        let names = rows(&report).into_iter().map(|[metric, ..]| metric);
        let expected = ["l1", "l2", "llc", "memory"].map(|n| format!("cycles.by_cause.data.{n}"));
        assert!(names.eq(expected));
    }

    #[test]
    fn a_scope_that_is_called_like_a_side_stays_a_metric() {
        let report = json!({"counters": {"invalidations": {"second_stage": 3}}});
        assert_eq!(rows(&report), [["counters.invalidations.second_stage", "", "", "", "3"]]);
    }

    #[test]
    fn texts_and_missing_quotients_have_no_row() {
        let report = json!({"trace": {"name": "7", "records": 1}, "seed": 9,
                            "cycles": {"overhead": null}});
        assert_eq!(rows(&report), [["trace.records", "", "", "", "1"]]);
    }
}
