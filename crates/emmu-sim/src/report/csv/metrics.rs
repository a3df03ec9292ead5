//! The metrics of a report, each with its unit: the schema of the CSV.

use emmu_timing::PerThousand;

/// The metrics and their units, in the order of a report. `*` stands for one name that depends on the run. The page
/// "Measure" of the book has the same rows.
pub(super) const METRICS: [(&str, &str); 59] = [
    ("trace.records", "records"),
    ("trace.vsyscall_fetches", "records"),
    ("trace.skipped_lines", "lines"),
    ("os.faults", "faults"),
    ("os.page_faults", "faults"),
    ("os.spurious", "faults"),
    ("counters.references.*", "references"),
    ("counters.restarts", "references"),
    ("counters.per_thousand.count", "references"),
    ("counters.tlbs.hits", "lookups"),
    ("counters.tlbs.misses", "lookups"),
    ("counters.tlbs.fills", "translations"),
    ("counters.tlbs.hit_ratio", "1"),
    (MPKI, "lookups/1000 instructions"),
    ("counters.walks.begun", "walks"),
    ("counters.walks.faulted", "walks"),
    ("counters.walks.reads", "entries"),
    ("counters.walks.updates", "entries"),
    ("counters.walks.reads_per_walk", "entries/walk"),
    ("counters.walks.reads_per_walk_by_level", "entries/walk"),
    ("counters.walks.by_reads", "walks"),
    ("counters.walk_cache.hits", "lookups"),
    ("counters.walk_cache.misses", "lookups"),
    ("counters.walk_cache.hit_ratio", "1"),
    ("counters.faults.*", "faults"),
    ("counters.traps_entered", "traps"),
    ("counters.traps_returned", "traps"),
    ("counters.invalidations.*", "invalidations"),
    ("counters.register_writes", "writes"),
    ("counters.transfers.count.*", "transfers"),
    ("counters.transfers.bytes.*", "bytes"),
    ("cycles.total", "cycles"),
    ("cycles.by_account", "cycles"),
    ("cycles.by_cause.tlb", "cycles"),
    ("cycles.by_cause.walk_cache", "cycles"),
    ("cycles.by_cause.entry_reads", "cycles"),
    ("cycles.by_cause.entry_updates", "cycles"),
    ("cycles.by_cause.trap_entries", "cycles"),
    ("cycles.by_cause.trap_returns", "cycles"),
    ("cycles.by_cause.register_writes", "cycles"),
    ("cycles.by_cause.invalidations", "cycles"),
    ("cycles.by_cause.fetches.*", "cycles"),
    ("cycles.by_cause.data.*", "cycles"),
    ("cycles.translation", "cycles"),
    ("cycles.perfect", "cycles"),
    ("cycles.overhead", "1"),
    ("cycles.overhead_by_account", "1"),
    ("cycles.walk_latency.walks", "walks"),
    ("cycles.walk_latency.cycles", "cycles"),
    ("cycles.walk_latency.mean", "cycles"),
    ("cycles.walk_latency.p50", "cycles"),
    ("cycles.walk_latency.p99", "cycles"),
    ("cycles.walk_latency.max", "cycles"),
    ("cycles.entry_reads_by_cache.*", "entries"),
    ("cycles.entry_reads_by_level_and_cache.*", "entries"),
    ("cycles.second_stage_entry_reads_by_level_and_cache.*", "entries"),
    ("cycles.lines_by_cache.*", "lines"),
    ("host.seconds", "seconds"),
    ("host.references_per_second", "references/second"),
];

/// The one metric whose unit depends on the trace.
const MPKI: &str = "counters.tlbs.mpki";

/// Names of what serves a read, in the order of the arrays that have one number for each.
pub(super) const SERVED: [&str; 4] = ["l1", "l2", "llc", "memory"];

/// The meaning of an index into an array of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// None: each item says its own place.
    Own,
    /// A level, of which the first item has this number.
    Level {
        /// The number of the first item.
        first: usize,
    },
    /// One of [`SERVED`].
    Served,
}

/// Returns the unit of a metric in a report whose misses are divided by this number.
pub(super) fn unit_in(metric: &str, per_thousand: PerThousand) -> Option<&'static str> {
    match per_thousand {
        PerThousand::References { .. } if metric == MPKI => Some("lookups/1000 references"),
        _ => unit_of(metric),
    }
}

/// Returns the unit of a metric, of a trace that has instructions.
fn unit_of(metric: &str) -> Option<&'static str> {
    let is_this = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => metric.strip_prefix(start).is_some_and(|name| !name.contains('.')),
        None => pattern == metric,
    };
    METRICS.iter().find(|(pattern, _)| is_this(pattern)).map(|&(_, unit)| unit)
}

/// Returns the meaning of an index into the array of this metric. Levels of TLBs count from 1, and levels of page tables
/// from 0.
pub(super) fn index_of(metric: &str) -> Index {
    match metric {
        "counters.tlbs" => Index::Own,
        "cycles.by_cause.tlb" => Index::Level { first: 1 },
        "cycles.by_cause.fetches" | "cycles.by_cause.data" => Index::Served,
        _ => Index::Level { first: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented_with_its_unit() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/guide/measure.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table = page.split("| `metric` | unit |").nth(1).unwrap();
        let rows = table.lines().skip(2).map_while(|row| row.strip_prefix("| `"));
        let documented: Vec<Vec<_>> = rows.map(|row| row.split(" | ").take(2).collect()).collect();
        let expected: Vec<Vec<_>> = METRICS
            .iter()
            .map(|(metric, unit)| vec![format!("{metric}`"), unit.to_string()])
            .collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn a_star_stands_for_one_name() {
        assert_eq!(unit_of("counters.faults.absent"), Some("faults"));
        assert_eq!(unit_of("counters.faults.absent.more"), None);
        assert_eq!(unit_of("counters.unheard_of"), None);
    }
}
