//! Tests that the statements of `docs/src` about machines and cycles are true.

use crate::events::{dtlb, load, read, stlb, transfer};
use emmu_core::{Event, PhysAddr, Probe};
use emmu_paging::Policy;
use emmu_timing::{Cycles, Machine, MachineError};
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Returns the keys that the section with this header may have, as the error for another key lists them.
fn keys_of(header: &str) -> Vec<String> {
    let memory = "[memory]\nsize = '2M'\nlatency = 1\n";
    let memory = if header == "[memory]" { "" } else { memory };
    let text = if header.is_empty() {
        "nonsense = 1".to_owned()
    } else {
        format!("name = 'x'\nformat = 'riscv-sv39'\n{memory}{header}\nnonsense = 1")
    };
    match Machine::from_toml("x", &text) {
        Err(MachineError::Key { problem, expected, .. }) if problem == "unknown key" => {
            expected.trim_start_matches("one of ").split(", ").map(str::to_owned).collect()
        }
        other => panic!("{header}: {other:?}"),
    }
}

/// Returns the keys that have rows in a section of the page.
fn documented_keys(page: &str, title: &str) -> Vec<String> {
    let start = page.find(&format!("### {title}")).unwrap_or_else(|| panic!("no section {title}"));
    let section = page[start + 4..].split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn every_key_of_a_machine_is_documented_and_no_other() {
    let machines = page("machines.md");
    let sections = [
        ("The whole machine", ""),
        ("`[memory]`", "[memory]"),
        ("`[tlb]`", "[tlb]"),
        ("`[tlb.l1]`", "[tlb.l1]"),
        ("`[[tlb.l1.instruction]]`", "[[tlb.l1.instruction]]"),
        ("`[walk_cache]`", "[walk_cache]"),
        ("`[[walk_cache.tables]]`", "[[walk_cache.tables]]"),
        ("`[invalid_entries]`", "[invalid_entries]"),
        ("`[invalidate]`", "[invalidate]"),
        ("`[second_stage]`", "[second_stage]"),
        ("`[walker]`", "[walker]"),
        ("`[cache]`", "[cache]"),
        ("`[cache.l1i]`", "[cache.l1i]"),
        ("`[prices]`", "[prices]"),
        ("`[prices.invalidate]`", "[prices.invalidate]"),
    ];
    for (title, header) in sections {
        let mut known = keys_of(header);
        known.retain(|key| key != "source" && key != "confidence");
        assert_eq!(documented_keys(&machines, title), known, "{title}");
    }
}

#[test]
fn every_reach_of_an_invalidation_is_documented() {
    let machines = page("machines.md");
    for (scope, _, possible) in emmu_paging::InvalidationReach::default().scopes() {
        let names: Vec<_> = possible.iter().map(|reach| format!("`\"{reach}\"`")).collect();
        let row = format!("| `{scope}` | | {} | `\"exact\"` |", names.join(", "));
        assert!(machines.contains(&row), "{row}");
    }
}

#[test]
fn every_replacement_policy_is_documented_as_its_code_says() {
    let machines = page("machines.md");
    for policy in Policy::BUILT_IN {
        let parameters: Vec<_> = policy
            .parameters()
            .iter()
            .map(|parameter| match parameter.value {
                Some(default) => format!("`{}`, {default} unless given", parameter.name),
                None => format!("`{}`, which can be left out", parameter.name),
            })
            .collect();
        let [sets, ways] = [policy.sets(), policy.ways()].map(emmu_paging::Limit::expected);
        let (name, summary) = (policy.name(), policy.summary().unwrap());
        let row =
            format!("| `\"{name}\"` | {sets} | {ways} | {} | {summary} |", parameters.join(", "));
        assert!(machines.contains(&row), "{row}");
    }
}

#[test]
fn every_preset_is_in_the_table_of_bundled_machines() {
    let machines = page("machines.md");
    for name in Machine::presets() {
        let format = Machine::preset(name).unwrap().format;
        assert!(machines.contains(&format!("| `{name}` | `{format}` |")), "{name}");
    }
}

#[test]
fn every_format_is_documented_with_its_page_sizes_and_memory() {
    let machines = page("machines.md");
    for format in emmu_timing::PagingFormat::ALL {
        let size = |bits: u32| {
            format!("{}{}", 1u64 << (bits % 10), ["", "K", "M", "G", "T"][(bits / 10) as usize])
        };
        let pages: Vec<_> =
            format.page_bits().iter().map(|&bits| format!("`\"{}\"`", size(bits.into()))).collect();
        let most = size(format.memory_sizes().end().ilog2());
        let row = format!("| `{format}` | {} | {} | {most} |", format.levels(), pages.join(", "));
        assert!(machines.contains(&row), "{row}");
    }
}

/// The page's example is AArch64: the placeholder `ARCH` stands for it.
#[test]
fn every_file_that_the_checklist_for_architectures_names_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = page("guide/add-an-architecture.md");
    let spans = page.split('`').skip(1).step_by(2);
    let is_path =
        |span: &&str| ["crates/", "docs/", "fuzz/"].iter().any(|folder| span.starts_with(folder));
    let paths: Vec<_> = spans.filter(is_path).map(|span| span.replace("ARCH", "aarch64")).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(top.join(&path).exists(), "{path}");
    }
}

#[test]
fn the_example_machine_is_one_and_its_error_is_as_shown() {
    let machines = page("machines.md");
    let example = machines.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(Machine::from_toml("small.toml", example).is_ok());
    let wrong = example.replacen("sets = 4", "sets = 100", 1);
    let error = Machine::from_toml("small.toml", &wrong).unwrap_err();
    let shown = machines.split("```text\n").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(error.to_string(), shown);
}

/// Returns the events of the worked example, with the names that the page gives them.
fn worked_example() -> Vec<(&'static str, Vec<Event>)> {
    let (first, second, third) = (load(0x4000_1000), load(0x4000_203c), load(0x4000_2030));
    let miss = |tlb, access| vec![Event::TlbMiss { tlb, access }];
    let update = Event::EntryUpdate { level: 0, addr: PhysAddr::new(0x3008), raw: 1 };
    let end = Event::WalkEnd { faulted: false };
    vec![
        ("miss in TLB level 1", miss(dtlb(), first)),
        ("miss in TLB level 2", miss(stlb(), first)),
        ("miss in the walk caches", vec![Event::WalkBegin(first), Event::WalkCacheMiss]),
        ("entry read at 0x1008", vec![read(2, 0x1008)]),
        ("entry read at 0x2000", vec![read(1, 0x2000)]),
        ("entry read at 0x3008", vec![read(0, 0x3008)]),
        ("entry update at 0x3008", vec![update, end]),
        ("transfer of 8 bytes at 0x8000", vec![transfer(first, 0x8000)]),
        ("miss in TLB level 1", miss(dtlb(), second)),
        ("miss in TLB level 2", miss(stlb(), second)),
        (
            "hit in the walk caches, level 0",
            vec![Event::WalkBegin(second), Event::WalkCacheHit { level: 0 }],
        ),
        ("entry read at 0x3010", vec![read(0, 0x3010), end]),
        ("transfer of 8 bytes at 0x903c", vec![transfer(second, 0x903c)]),
        ("hit in TLB level 1", vec![Event::TlbHit { tlb: dtlb(), access: third }]),
        ("transfer of 8 bytes at 0x9030", vec![transfer(third, 0x9030)]),
    ]
}

#[test]
fn the_worked_example_costs_what_the_page_says() {
    let timing = page("timing.md");
    let rows = timing.split("| event | cycles | why |").nth(1).unwrap().lines().skip(2);
    let mut cycles = Cycles::new(&Machine::preset("textbook-sv39").unwrap());
    for ((name, events), row) in worked_example().into_iter().zip(rows) {
        let before = cycles.total();
        events.into_iter().for_each(|event| cycles.on(event));
        let expected = format!("| {name} | {} |", cycles.total() - before);
        assert!(row.starts_with(&expected), "{expected} is on the page as {row}");
    }
    let report = cycles.report();
    let results = [
        ("cycles", report.total.to_string()),
        ("translation", report.translation.total().to_string()),
        ("perfect", report.perfect.total().to_string()),
        ("overhead", format!("{:.3}", report.overhead.unwrap())),
        ("walks", report.walk_latency.walks.to_string()),
        ("mean walk latency", report.walk_latency.mean.unwrap().to_string()),
        ("50th percentile", report.walk_latency.p50.unwrap().to_string()),
        ("99th percentile", report.walk_latency.p99.unwrap().to_string()),
        ("entry reads from memory", report.entry_reads_by_cache.memory.to_string()),
        ("entry reads from the first-level cache", report.entry_reads_by_cache.l1.to_string()),
    ];
    let rows = timing.split("| result | value |").nth(1).unwrap().lines().skip(2);
    for ((name, value), row) in results.into_iter().zip(rows) {
        assert_eq!(row, format!("| {name} | {value} |"));
    }
    assert_eq!(report.total, 687);
}
