//! `emmu sim`.

use crate::{LACKEY, emmu, emmu_reading, file, refusal, without_speed};
use serde_json::Value;
use std::process::Command;

/// The JSON report without what differs from run to run.
fn json(arguments: &[&str]) -> Value {
    let run = emmu_reading(&[&["sim", "--format", "json"], arguments].concat(), LACKEY.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.err);
    let mut report: Value = serde_json::from_str(&run.out).unwrap();
    assert!(report["host"]["references_per_second"].as_f64().unwrap() > 0.0);
    report.as_object_mut().unwrap().remove("host");
    report
}

#[test]
fn a_small_trace_on_a_small_machine() {
    let run = emmu_reading(&["sim", "-", "--machine", "textbook-sv39"], LACKEY.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.err);
    insta::assert_snapshot!(without_speed(&run.out));
}

#[test]
fn the_bundled_trace_on_an_aarch64_core() {
    let run = emmu(&["sim", "--machine", "cortex-a53"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    insta::assert_snapshot!(without_speed(&run.out));
}

/// The path of a machine like `textbook-sv39`, but with tables of this format and no walk caches.
fn with_format(format: &str) -> (tempfile::TempDir, String) {
    let page = format.split('-').find(|part| part.ends_with('k')).unwrap_or("4k").to_uppercase();
    let text = emmu(&["machines", "textbook-sv39"]).out;
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("format", _)) => format!("format = {format:?}"),
        Some(("pages", _)) => format!("pages = [{page:?}]"),
        Some(("levels", _)) => "levels = [0]".to_owned(),
        _ => line.to_owned(),
    });
    let text: Vec<_> = lines.collect();
    let (folder, path) = file("mine.toml", text.join("\n"));
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_trace_runs_on_tables_of_every_format() {
    for format in [
        "riscv-sv32",
        "riscv-sv48",
        "riscv-sv57",
        "x86-32",
        "x86-pae",
        "x86-64-5level",
        "aarch64-4k-48",
        "aarch64-16k-48",
        "aarch64-64k-48",
    ] {
        let (_folder, path) = with_format(format);
        let (_trace, trace) = file("t.txt", " L 1000,8\n S 41000,4\n L 81000,8\n");
        let report = json(&[trace.to_str().unwrap(), "--machine", &path]);
        assert_eq!(report["machine"]["format"], format);
        let user = &report["counters"]["references"]["user"];
        assert_eq!((&user["load"], &user["store"]), (&2.into(), &1.into()), "{format}");
        assert_eq!(report["os"]["page_faults"], 3, "{format}");
    }
}

#[test]
fn a_64_bit_trace_leaves_a_32_bit_machine() {
    let (_folder, path) = with_format("riscv-sv32");
    let message = refusal(&["sim", "-", "--machine", &path], b" L 1ffeffe000,8\n");
    assert!(message.contains("record 1: the program was ended: outside its regions"), "{message}");
}

#[test]
fn a_modify_is_a_load_and_a_store() {
    let report = json(&["-"]);
    let user = &report["counters"]["references"]["user"];
    assert_eq!((&user["fetch"], &user["load"], &user["store"]), (&4.into(), &2.into(), &2.into()));
    assert_eq!(report["trace"]["records"], 7);
}

#[test]
fn the_same_run_gives_the_same_numbers() {
    for machine in ["skylake-sp", "sifive-u74", "cortex-a53", "zen-2", "textbook-x86-64"] {
        let arguments = ["--machine", machine, "--limit", "100000"];
        assert_eq!(json(&arguments), json(&arguments));
    }
}

#[test]
fn json_names_trace_machine_seed_and_version() {
    let report = json(&["--limit", "1000", "--seed", "7"]);
    assert_eq!(report["trace"]["hash"].as_str().unwrap().len(), 32);
    assert_eq!(report["machine"]["hash"].as_str().unwrap().len(), 32);
    assert_eq!(report["seed"], 7);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn one_trace_has_one_hash_in_any_encoding() {
    let (_folder, text) = file("t.txt", LACKEY);
    let native = text.with_extension("emt");
    let (text, native) = (text.to_str().unwrap(), native.to_str().unwrap());
    assert_eq!(emmu(&["import", text, native]).code, Some(0));
    let mut reports = [json(&[text]), json(&[native])];
    for report in &mut reports {
        report["trace"].as_object_mut().unwrap().retain(|key, _| key == "hash");
    }
    assert_eq!(reports[0], reports[1], "and everything else is equal, too");
}

#[test]
fn csv_has_the_numbers_of_json() {
    let run = emmu_reading(&["sim", "-", "--format", "csv"], LACKEY.as_bytes());
    let report = json(&["-"]);
    let total = report["cycles"]["total"].to_string();
    let total = format!("standard input,skylake-sp,0,cycles.total,cycles,,,,{total}");
    assert!(run.out.lines().any(|line| line == total), "{}", run.out);
    assert!(run.out.starts_with("trace,machine,seed,metric,unit,account,side,level,value\n"));
}

#[test]
fn a_seed_changes_random_replacement_and_nothing_else() {
    let text = emmu(&["machines", "skylake-sp"]).out;
    let random = text.replace("replacement = \"lru\"", "replacement = \"random\"");
    assert_ne!(text, random);
    let (_folder, path) = file("random.toml", random);
    let path = path.to_str().unwrap();
    let run = |seed| json(&["--limit", "200000", "--machine", path, "--seed", seed]);
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1")["cycles"]["total"], run("2")["cycles"]["total"]);
    let lru = |seed| json(&["--limit", "1000", "--machine", "textbook-sv39", "--seed", seed]);
    assert_eq!(lru("1")["cycles"], lru("2")["cycles"]);
}

#[test]
fn lines_that_are_skipped_are_counted_in_the_report() {
    let printed = LACKEY.replace(" M ", "Hello, world!\n M ");
    let message = refusal(&["sim", "-"], printed.as_bytes());
    assert!(message.ends_with("; --lenient skips lines that are not of the trace"), "{message}");
    let run = emmu_reading(&["sim", "-", "--lenient"], printed.as_bytes());
    assert!(run.out.contains(" 1 line skipped, not of the trace's format"), "{}", run.out);
    let run = emmu_reading(&["sim", "-", "--lenient", "--json"], printed.as_bytes());
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&report["trace"]["records"], &report["trace"]["skipped_lines"]),
        (&7.into(), &1.into())
    );
}

#[test]
fn a_malformed_line_is_named() {
    let bad = format!("{LACKEY} L zz,8\n");
    let message = refusal(&["sim", "-"], bad.as_bytes());
    assert!(message.starts_with("standard input: line 9: expected "), "{message}");
}

#[test]
fn a_truncated_or_damaged_native_trace_is_refused_with_its_offset() {
    let whole = emmu_trace::bundled();
    let (_folder, cut) = file("cut.emt", &whole[..whole.len() - 1]);
    let message = refusal(&["sim", cut.to_str().unwrap()], b"");
    assert!(message.contains(&format!("cut.emt: byte {}", whole.len() - 1)), "{message}");
    let mut damaged = whole.to_vec();
    damaged[whole.len() / 2] ^= 1;
    let (_folder, damaged) = file("damaged.emt", damaged);
    let message = refusal(&["sim", damaged.to_str().unwrap()], b"");
    assert!(message.contains("damaged.emt: byte ") && message.contains("expected"), "{message}");
}

#[test]
fn an_empty_trace_is_no_trace() {
    assert_eq!(
        refusal(&["sim", "-"], b""),
        "standard input: expected a trace, found an empty input"
    );
}

#[test]
fn a_folder_is_no_trace_and_the_cause_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let message = refusal(&["sim", path], b"");
    assert!(message.starts_with(path), "{message}");
    assert_eq!(message.matches("os error").count(), 1, "{message}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = refusal(&["sim", "no/such.emt"], b"");
    assert!(message.starts_with("no/such.emt: cannot open: "), "{message}");
}

#[test]
fn a_program_that_leaves_its_address_space_is_reported_with_the_record() {
    let message = refusal(&["sim", "-"], b" L ffff800000000000,8\n");
    assert!(message.starts_with("standard input: record 1: the program was ended: "), "{message}");
}

#[test]
fn a_modify_that_fails_at_its_load_is_counted() {
    let message = refusal(&["sim", "-"], b" L 1000,8\n M ffff800000000000,8\n");
    assert!(message.starts_with("standard input: record 2: the program was ended: "), "{message}");
}

#[test]
fn the_longest_record_runs() {
    let run = emmu_reading(&["sim", "-"], b" S 1fff,65535\n");
    assert_eq!(run.code, Some(0), "{}", run.err);
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    for format in ["text", "json", "csv"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_emmu"));
        command.args(["sim", "--limit", "1000", "--format", format]).stdout(writer);
        let run = command.output().unwrap();
        assert_eq!((run.status.code(), run.stderr.as_slice()), (Some(0), &b""[..]), "{format}");
    }
}

/// The path of a machine like `textbook`, but for the size of its memory.
fn with_memory(textbook: &str, size: &str) -> (tempfile::TempDir, String) {
    let text = emmu(&["machines", textbook]).out;
    let old = text.lines().find(|line| line.starts_with("size = ")).unwrap();
    let (folder, path) = file("sized.toml", text.replacen(old, &format!("size = {size:?}"), 1));
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn too_little_memory_is_said() {
    let (_folder, path) = with_memory("textbook-sv39", "2M");
    let message = refusal(&["sim", "--machine", &path], b"");
    assert!(message.contains("out of frames: "), "{message}");
}

#[test]
fn the_largest_memories_can_be_had() {
    for (textbook, size) in [("textbook-sv39", "256G"), ("textbook-x86-64", "64T")] {
        let (_folder, path) = with_memory(textbook, size);
        let run = emmu(&["sim", "--limit", "1000", "--machine", &path]);
        assert_eq!(run.code, Some(0), "{textbook}: {}", run.err);
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    assert_eq!(emmu(&["sim", "--limit", "0"]).code, Some(2));
    assert_eq!(emmu(&["sim", "--limit", "-1"]).code, Some(2));
}
