//! A report as tables to read.

use super::{HostReport, Report};
use crate::table::{Table, count, left, print, right, table};
use emmu_timing::{
    Account, ByAccount, CyclesByCause, KindCounts, PerThousand, SecondStageReport, TlbReport,
};
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    write_head(report, out)?;
    section(out, "References", &references(report))?;
    section(out, "TLBs", &tlbs(report))?;
    section(out, "Page walks", &walks(report))?;
    section(out, "Entry reads of walks, by level and by what served them", &entry_reads(report))?;
    section(out, "Cycles", &cycles(report))?;
    write_foot(report, out)
}

fn write_head(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Report { trace, machine, .. } = report;
    let mut head = table(&["emmu", ""]);
    head.set_header([left("emmu"), left(report.version)]);
    let plural = if trace.records == 1 { "" } else { "s" };
    let records = format!("{}, {} record{plural}", trace.name, count(trace.records));
    head.add_row([left("trace"), left(&records)]);
    if let Some(provenance) = &trace.provenance {
        head.add_row([left(""), left(provenance)]);
    }
    if trace.vsyscall_fetches > 0 {
        let fetches = if trace.vsyscall_fetches == 1 { "fetch" } else { "fetches" };
        let skipped = count(trace.vsyscall_fetches);
        let note = format!("{skipped} {fetches} from the vsyscall page skipped");
        head.add_row([left(""), left(&note)]);
    }
    if trace.skipped_lines > 0 {
        let lines = if trace.skipped_lines == 1 { "line" } else { "lines" };
        let note =
            format!("{} {lines} skipped, not of the trace's format", count(trace.skipped_lines));
        head.add_row([left(""), left(&note)]);
    }
    head.add_row([left("machine"), left(&format!("{}, {}", machine.name, machine.format))]);
    head.add_row([left(""), left(&machine.description)]);
    print(out, &head)
}

fn references(report: &Report) -> Table {
    let mut rows = table(&["", "program", "kernel", "total"]);
    let both = &report.counters.references;
    let mut add = |name, kind: fn(&KindCounts) -> u64| {
        let counts = both.map(kind);
        if counts.total() > 0 {
            add_counts(&mut rows, name, &counts);
        }
    };
    add("fetches", |kinds| kinds.fetch);
    add("loads", |kinds| kinds.load);
    add("stores", |kinds| kinds.store);
    add("atomics", |kinds| kinds.amo);
    add_counts(
        &mut rows,
        "all",
        &both.map(|kinds| kinds.fetch + kinds.load + kinds.store + kinds.amo),
    );
    add_row(&mut rows, "page faults", [count(report.os.page_faults)]);
    rows
}

fn tlbs(report: &Report) -> Table {
    let unit = match report.counters.per_thousand {
        PerThousand::Instructions { .. } => "MPKI",
        PerThousand::References { .. } => "misses/1000",
    };
    let mut rows = table(&["", "lookups", "hits", "misses", "of the program", "hit ratio", unit]);
    for tlb in &report.counters.tlbs {
        let (hits, misses) = (tlb.hits.total(), tlb.misses.total());
        let cells = [
            count(hits + misses),
            count(hits),
            count(misses),
            count(tlb.misses[Account::User]),
            percent(tlb.hit_ratio),
            decimal(tlb.mpki),
        ];
        add_row(&mut rows, &tlb_name(tlb), cells);
    }
    rows
}

fn tlb_name(tlb: &TlbReport) -> String {
    format!("L{} {}", tlb.level, tlb.side.replace('_', "-"))
}

fn walks(report: &Report) -> Table {
    let (walks, latency) = (&report.counters.walks, &report.cycles.walk_latency);
    let mut rows = table(&["", ""]);
    add_row(&mut rows, "walks of the program", [count(walks.begun[Account::User])]);
    add_row(&mut rows, "walks of the kernel", [count(walks.begun[Account::Supervisor])]);
    add_row(&mut rows, "ended in a fault", [count(walks.faulted)]);
    add_row(&mut rows, "references a walk", [decimal(walks.reads_per_walk)]);
    add_row(&mut rows, "walk-cache hit ratio", [percent(report.counters.walk_cache.hit_ratio)]);
    for (level, &hits) in report.counters.walk_cache.hits.iter().enumerate() {
        add_row(&mut rows, &format!("  knew the table of level {level}"), [count(hits)]);
    }
    if let Some(second) = &report.counters.second_stage {
        second_stage(&mut rows, second);
    }
    add_row(&mut rows, "cycles a walk, mean", [decimal(latency.mean)]);
    add_row(&mut rows, "  p50", [whole(latency.p50)]);
    add_row(&mut rows, "  p99", [whole(latency.p99)]);
    add_row(&mut rows, "  longest", [whole(latency.max)]);
    rows
}

fn second_stage(rows: &mut Table, second: &SecondStageReport) {
    add_row(rows, "walks of the second stage", [count(second.walks.begun.total())]);
    add_row(rows, "  references a walk", [decimal(second.walks.reads_per_walk)]);
    add_row(rows, "  walk-cache hit ratio", [percent(second.walk_cache.hit_ratio)]);
}

fn entry_reads(report: &Report) -> Table {
    let mut rows = table(&["", "reads", "a walk", "L1", "L2", "LLC", "memory"]);
    let levels = report.cycles.entry_reads_by_level_and_cache.iter().enumerate();
    for (level, served) in levels.rev() {
        let reads = &report.counters.walks;
        let cells = [
            count(reads.reads.get(level).copied().unwrap_or(0)),
            decimal(reads.reads_per_walk_by_level.get(level).copied().flatten()),
            count(served.l1),
            count(served.l2),
            count(served.llc),
            count(served.memory),
        ];
        add_row(&mut rows, &format!("level {level}"), cells);
    }
    rows
}

/// Rows without cycles are left out.
fn cycles(report: &Report) -> Table {
    let mut rows = table(&["", "program", "kernel", "total", "share"]);
    let all = report.cycles.total;
    let mut add = |name: &str, cause: &dyn Fn(&CyclesByCause) -> u64| {
        let cycles = report.cycles.by_cause.map(cause);
        if cycles.total() > 0 {
            add_share(&mut rows, name, &cycles, all);
        }
    };
    add("fetches", &|cause| cause.fetches.iter().sum());
    add("loads and stores", &|cause| cause.data.iter().sum());
    for level in 0..8 {
        add(&format!("L{} TLB lookups", level + 1), &|cause| cause.tlb[level]);
    }
    add("walk-cache lookups", &|cause| cause.walk_cache);
    add("entry reads", &|cause| cause.entry_reads);
    add("entry updates", &|cause| cause.entry_updates);
    add("second-stage TLB lookups", &|cause| cause.second_stage.tlb.iter().sum());
    add("second-stage walk-cache lookups", &|cause| cause.second_stage.walk_cache);
    add("second-stage entry reads", &|cause| cause.second_stage.entry_reads);
    add("second-stage entry updates", &|cause| cause.second_stage.entry_updates);
    add("trap entries", &|cause| cause.trap_entries);
    add("trap returns", &|cause| cause.trap_returns);
    add("register writes", &|cause| cause.register_writes);
    add("invalidations", &|cause| cause.invalidations);
    add_share(&mut rows, "all", &report.cycles.by_account, all);
    rows
}

fn write_foot(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let overheads = &report.cycles.overhead_by_account;
    let mut rows = table(&["", ""]);
    let perfect = "Overhead against a perfect TLB";
    add_row(&mut rows, perfect, [factor(report.cycles.overhead)]);
    add_row(&mut rows, "  of the program alone", [factor(overheads[Account::User])]);
    print(out, &rows)?;
    match report.host {
        Some(HostReport { seconds, references_per_second }) => {
            let rate = references_per_second / 1e6;
            writeln!(out, "{rate:.1} million references a second, {seconds:.2} s")
        }
        None => Ok(()),
    }
}

fn section(out: &mut impl Write, title: &str, rows: &Table) -> io::Result<()> {
    writeln!(out, "{title}")?;
    print(out, rows)
}

fn add_row<const N: usize>(rows: &mut Table, name: &str, cells: [String; N]) {
    let name = left(&format!("  {name}"));
    rows.add_row([name].into_iter().chain(cells.map(right)));
}

fn add_counts(rows: &mut Table, name: &str, counts: &ByAccount<u64>) {
    let [user, supervisor] = Account::ALL.map(|account| count(counts[account]));
    add_row(rows, name, [user, supervisor, count(counts.total())]);
}

fn add_share(rows: &mut Table, name: &str, cycles: &ByAccount<u64>, all: u64) {
    let [user, supervisor] = Account::ALL.map(|account| count(cycles[account]));
    #[expect(clippy::cast_precision_loss, reason = "a share to read")]
    let share = (all > 0).then(|| cycles.total() as f64 / all as f64);
    add_row(rows, name, [user, supervisor, count(cycles.total()), percent(share)]);
}

fn whole(number: Option<u64>) -> String {
    number.map_or_else(none, count)
}

fn decimal(number: Option<f64>) -> String {
    number.map_or_else(none, |number| format!("{number:.3}"))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(none, |ratio| format!("{:.2} %", ratio * 100.0))
}

fn factor(ratio: Option<f64>) -> String {
    ratio.map_or_else(none, |ratio| format!("{ratio:.4}x"))
}

/// Returns the mark that stands where there is nothing to divide by.
fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MachineReport, replay::Replayed, simulation::Outcome};
    use emmu_core::{Access, Event, GuestAccess, PhysAddr, Probe, VirtAddr};
    use emmu_os::{Exit, OsStats};
    use emmu_timing::{Counters, Cycles, Machine};

    /// The report of a run of so many records, in which these events happened.
    fn text(records: u64, events: &[Event]) -> String {
        let machine = Machine::preset("textbook-sv39").unwrap();
        let mut meters = (Counters::default(), Cycles::new(&machine));
        events.iter().for_each(|&event| meters.on(event));
        let outcome = Outcome { exit: Exit::Code(0), stats: OsStats::default(), meters };
        let replayed = Replayed {
            records,
            vsyscall_fetches: 0,
            skipped_lines: 0,
            hash: None,
            provenance: None,
        };
        let report = Report::new("none", replayed, MachineReport::new(&machine), 0, &outcome);
        let mut out = Vec::new();
        write(&report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_record_is_told_as_one() {
        for (records, told) in
            [(0, "none, 0 records"), (1, "none, 1 record"), (2, "none, 2 records")]
        {
            let text = text(records, &[]);
            assert!(text.lines().any(|line| line.trim_end().ends_with(told)), "{text}");
        }
    }

    #[test]
    fn a_second_stage_has_lines_only_where_it_did_something() {
        let access = Access::load(VirtAddr::new(0), 8);
        let addr = PhysAddr::new(0x1000);
        let guest = GuestAccess { addr, kind: access.kind, walk: true, rights: 0 };
        let walk = [
            Event::WalkBegin(access),
            Event::EntryRead { level: 0, addr, raw: 0 },
            Event::WalkEnd { faulted: false },
        ];
        let nested = [&[Event::SecondStage(guest)], &walk[..], &[Event::SecondStageEnd]].concat();
        let alone = text(0, &walk);
        assert!(!alone.contains("second stage") && !alone.contains("second-stage"), "{alone}");
        let shown = text(0, &nested);
        assert!(shown.contains("walks of the second stage      1"), "{shown}");
        assert!(shown.contains("second-stage entry reads"), "{shown}");
    }
}
