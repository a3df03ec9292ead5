//! `emmu compare`.

use crate::{emmu, file, refusal};
use serde_json::Value;

fn compare(options: &[&str]) -> Value {
    let run = emmu(&[&["compare", "--json"], options].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    serde_json::from_str(&run.out).unwrap()
}

/// One value of the row of a system.
fn of(report: &Value, system: &str, path: &str) -> Value {
    let rows = report["systems"].as_array().unwrap();
    let row = rows.iter().find(|row| row["system"] == system).unwrap();
    row.pointer(path).unwrap_or_else(|| panic!("{path} in {row}")).clone()
}

const ALL: [&str; 6] = [
    "uniprogramming",
    "time sharing",
    "static relocation",
    "base and bounds",
    "segmentation",
    "paging",
];

#[test]
fn the_story_of_memory_in_one_table() {
    let run = emmu(&["compare"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(run.out);
}

#[test]
fn the_guide_shows_what_emmu_prints() {
    let page = include_str!("../../../../docs/src/guide/systems.md");
    let shown = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(emmu(&["compare"]).out, shown);
}

#[test]
fn json_has_what_the_table_has() {
    let run = emmu(&["compare", "--json", "--accesses", "10"]);
    insta::assert_snapshot!(run.out);
}

#[test]
fn lines_fit_into_100_columns_whatever_the_numbers() {
    let options = ["--space", "2097152", "--heap", "500000", "--disk", "100000000"];
    let run = emmu(&[&["compare", "--accesses", "100"][..], &options].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    for line in run.out.lines() {
        assert!(line.chars().count() <= 100 && line == line.trim_end(), "{line:?}");
    }
}

#[test]
fn memory_is_what_each_system_has_to_give() {
    let report = compare(&["--heap", "20000", "--stack", "5000"]);
    let program = &report["program"];
    let wanted: u64 =
        ["code", "heap", "stack"].map(|part| program[part].as_u64().unwrap()).iter().sum();
    let allocated = ALL.map(|system| of(&report, system, "/cost/allocated").as_u64().unwrap());
    let page = |bytes: u64| bytes.next_multiple_of(4096);
    let pages = page(program["code"].as_u64().unwrap()) + page(20000) + page(5000);
    let grains = wanted.next_multiple_of(16);
    // All of memory; all of the space; what is used; pages and four tables: a root, one below, and, as heap and
    // stack are within 2 MiB, one of pages.
    let (memory, space) = (1 << 20, 1 << 18);
    assert_eq!(allocated[..4], [memory, space, space, space]);
    assert!((wanted..=grains + 16).contains(&allocated[4]), "{allocated:?}");
    assert_eq!(allocated[5], pages + 3 * 4096);
    for (system, allocated) in ALL.iter().zip(allocated) {
        assert_eq!(of(&report, system, "/cost/wasted"), allocated - wanted, "{system}");
    }
}

#[test]
fn the_disk_is_paid_for_each_block_of_the_image_out_and_in() {
    let switch = |disk| {
        let report = compare(&["--disk", disk, "--accesses", "10"]);
        of(&report, "time sharing", "/cost/switch").as_u64().unwrap()
    };
    let blocks = (1 << 18) / 4096;
    assert_eq!(switch("1000") - switch("0"), 2 * blocks * 1000);
}

#[test]
fn a_disk_may_be_as_slow_as_the_cycles_can_be_counted() {
    let switch = |disk| {
        let report = compare(&["--disk", disk, "--accesses", "10"]);
        of(&report, "time sharing", "/cost/switch").as_u64().unwrap()
    };
    let slowest = 10_000_000_000_000_000;
    assert_eq!(switch("10_000_000_000_000_000") - switch("0"), 128 * slowest);
    for disk in ["100000000000000000", "0xffff_ffff_ffff_ffff"] {
        assert_eq!(
            refusal(&["compare", "--accesses", "10", "--disk", disk], b""),
            "--disk: the cycles of the disk are more than 64 bits can count"
        );
    }
}

#[test]
fn only_paging_pays_for_lookups_and_walks() {
    let report = compare(&[]);
    let translation = |system| of(&report, system, "/cost/translation_cycles").as_u64().unwrap();
    for system in &ALL[..5] {
        assert_eq!(translation(system), 0, "{system}");
    }
    // A lookup of a cycle in the first level at least; a walk of three entries for each access at most.
    let accesses = of(&report, "paging", "/cost/accesses").as_u64().unwrap();
    let paid = translation("paging");
    assert!(paid >= accesses && paid < of(&report, "paging", "/cost/cycles").as_u64().unwrap());
}

#[test]
fn a_switch_of_registers_costs_their_prices() {
    let report = compare(&["--accesses", "10"]);
    let switch = |system| of(&report, system, "/cost/switch");
    // A trap in (1000) and out (500), and 30 for each register: none; base and bounds; base, bounds and flags
    // of four segments; the root.
    assert_eq!(switch("static relocation"), 1500);
    assert_eq!(switch("base and bounds"), 1500 + 2 * 30);
    assert_eq!(switch("segmentation"), 1500 + 12 * 30);
    assert_eq!(switch("paging"), 1500 + 30);
    assert_eq!(switch("uniprogramming"), Value::Null);
    assert_eq!(of(&report, "base and bounds", "/switch_ratio"), 1.0);
    let ratio = of(&report, "time sharing", "/switch_ratio").as_f64().unwrap();
    assert!(ratio > 1000.0, "{ratio}");
}

#[test]
fn translation_stops_what_nothing_else_does() {
    for machine in ["textbook-sv39", "textbook-x86-64", "cortex-a53"] {
        let report = compare(&["--machine", machine, "--accesses", "10"]);
        let outcomes = |system| {
            [
                "read_neighbour",
                "write_neighbour",
                "overwrite_os",
                "write_register",
                "read_leftovers",
            ]
            .map(|attack| of(&report, system, &format!("/attacks/{attack}")))
        };
        let (yes, no, none) = ("succeeds", "stopped", "no_target");
        assert_eq!(outcomes("uniprogramming"), [none, none, yes, none, no], "{machine}");
        for system in ["time sharing", "static relocation"] {
            assert_eq!(outcomes(system), [yes, yes, yes, none, yes], "{machine}: {system}");
        }
        for system in ["base and bounds", "segmentation", "paging"] {
            assert_eq!(outcomes(system), [no; 5], "{machine}: {system}");
        }
    }
}

#[test]
fn the_same_options_give_the_same_report_and_another_seed_another() {
    let cycles = |seed| of(&compare(&["--seed", seed]), "paging", "/cost/cycles");
    assert_eq!(compare(&["--seed", "1"]), compare(&["--seed", "1"]));
    assert_ne!(cycles("1"), cycles("2"));
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let messages = [
        &["--space", "100000"][..],
        &["--heap", "65537"],
        &["--stack", "70000"],
        &["--accesses", "9000"],
        &["--machine", "pdp-11"],
    ]
    .map(|options| refusal(&[&["compare"], options].concat(), b""));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_32_bit_machine_can_be_compared_and_one_with_large_pages_cannot() {
    let of_format = |format: &str| {
        let memory = "memory = { size = '2M', latency = 7 }";
        file("mine.toml", format!("name = 'mine'\nformat = '{format}'\n{memory}"))
    };
    let (_folder, path) = of_format("riscv-sv32");
    let report = compare(&["--machine", path.to_str().unwrap(), "--accesses", "10"]);
    assert_eq!(of(&report, "paging", "/attacks/overwrite_os"), "stopped");
    let (_folder, path) = of_format("aarch64-64k-48");
    assert_eq!(
        refusal(&["compare", "--machine", path.to_str().unwrap()], b""),
        "machine mine: format aarch64-64k-48: not modelled: pages of 65536 bytes; expected a format with pages of \
         4096, for which the programs and all systems are made"
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for options in [["--heap", "7"], ["--accesses", "0"], ["--space", "8192"], ["--space", "-1"]] {
        assert_eq!(emmu(&[&["compare"][..], &options].concat()).code, Some(2), "{options:?}");
    }
}
