//! A report as text to read: a line for each step, and a bar of the heap below it.

use super::report::{Comparison, Report, Step, Summary, Used};
use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets::NOTHING};
use std::io::Write;

/// The largest number of characters of a bar.
const WIDEST: u64 = 100;
/// The characters for the slots. They repeat if there are more slots.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

pub(super) fn report<W: Write>(report: &Report, out: &mut W) -> Result<()> {
    let Report { manager, base, size, unit_bytes, .. } = report;
    writeln!(out, "{manager}{}", rounding(report))?;
    writeln!(out, "{size} units from {base} on; a unit is {unit_bytes} bytes of emulated memory")?;
    let cell = report.steps.iter().map(|step| step.end - base).max().unwrap_or(0).div_ceil(WIDEST);
    write!(out, "in the bars: a digit or letter is in use, by slot; = header, ~ rounding, . free")?;
    if cell > 1 {
        write!(out, "; {cell} units each")?;
    }
    writeln!(out)?;
    for step in &report.steps {
        writeln!(out, "\n{:<6} {}", step.op, outcome(step))?;
        writeln!(out, "       [{}]", bar(step, *base, cell.max(1)))?;
        writeln!(out, "       free{}", free(step))?;
    }
    writeln!(out)?;
    summary(&report.summary, out)
}

fn rounding(report: &Report) -> String {
    let header = match report.header {
        0 => String::new(),
        units => format!(", headers of {units}"),
    };
    match report.align {
        1 => header,
        units => format!("{header}, sizes rounded to {units}"),
    }
}

fn outcome(step: &Step) -> String {
    let searched = step.searched.map_or(String::new(), |count| format!(", {count} searched"));
    match (&step.error, step.slot, step.addr) {
        (Some(error), _, _) => format!("{error}{searched}"),
        (None, Some(slot), Some(addr)) if step.searched.is_some() => {
            format!("slot {slot} at {addr}{searched}")
        }
        (None, Some(slot), Some(addr)) => format!("slot {slot} at {addr} is freed"),
        (None, _, addr) => format!("{} is freed", addr.unwrap_or(0)),
    }
}

fn free(step: &Step) -> String {
    if step.free.is_empty() {
        return " nothing".to_owned();
    }
    step.free.iter().map(|block| format!(" {}+{}", block.addr, block.size)).collect()
}

/// Draws the heap with one character for each `cell` units, which stands for the first of them.
fn bar(step: &Step, base: u64, cell: u64) -> String {
    let count = (step.end - base).div_ceil(cell);
    (0..count).map(|place| character(step, base + place * cell)).collect()
}

fn character(step: &Step, addr: u64) -> char {
    let used = step.used.partition_point(|used| used.start <= addr).checked_sub(1);
    match used.and_then(|place| step.used.get(place)) {
        Some(used) if addr < used.start + used.size => part(used, addr),
        _ => '.',
    }
}

fn part(used: &Used, addr: u64) -> char {
    if addr < used.addr {
        '='
    } else if addr >= used.addr + used.requested {
        '~'
    } else {
        let digit = usize::try_from(used.slot % 36).unwrap_or(0);
        DIGITS.get(digit).copied().map_or('#', char::from)
    }
}

fn summary<W: Write>(summary: &Summary, out: &mut W) -> Result<()> {
    let Summary { allocations, failures, frees, bad_frees, searched, .. } = summary;
    let torn = summary.failures_by_fragmentation;
    writeln!(out, "requests met {allocations}, failed {failures} ({torn} though enough was free)")?;
    writeln!(out, "frees {frees}, refused {bad_frees}; elements searched {searched}")?;
    if summary.grown > 0 {
        writeln!(out, "the heap grew by {}", summary.grown)?;
    }
    let Summary { free, free_blocks, largest_free, requested, wasted, .. } = summary;
    let external = percent(summary.external_fragmentation);
    writeln!(
        out,
        "free {free}, blocks {free_blocks}, largest {largest_free}, external fragmentation {external}"
    )?;
    writeln!(out, "in use {requested}, wasted on headers and rounding {wasted}")?;
    if !summary.leaked.is_empty() {
        let slots: Vec<_> = summary.leaked.iter().map(ToString::to_string).collect();
        writeln!(out, "leak: never freed: slot {}", slots.join(", "))?;
    }
    Ok(())
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", 100.0 * ratio)
}

pub(super) fn comparison<W: Write>(comparison: &Comparison, out: &mut W) -> Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let head = [
        "", "met", "failed", "torn", "searched", "free", "blocks", "largest", "external", "wasted",
        "leaked",
    ];
    table.set_header(head.map(right));
    for report in &comparison.managers {
        let summary = &report.summary;
        let mut row = vec![Cell::new(report.name)];
        let numbers = [
            summary.allocations,
            summary.failures,
            summary.failures_by_fragmentation,
            summary.searched,
            summary.free,
            summary.free_blocks,
            summary.largest_free,
        ];
        row.extend(numbers.iter().map(|number| right(&number.to_string())));
        row.push(right(&percent(summary.external_fragmentation)));
        row.push(right(&summary.wasted.to_string()));
        row.push(right(&summary.leaked.len().to_string()));
        table.add_row(row);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.strip_prefix(' ').unwrap_or(&line).trim_end())?;
    }
    writeln!(
        out,
        "\nfailed: requests that were not met; torn: those of them for which enough was free in pieces"
    )?;
    writeln!(
        out,
        "external: 1 - largest / free; wasted: units for headers and rounding; leaked: blocks never freed"
    )?;
    Ok(())
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
