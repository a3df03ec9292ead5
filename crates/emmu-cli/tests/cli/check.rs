//! `emmu check`.

use crate::{emmu, file, refusal};
use serde_json::{Value, json};

fn vector(pa: &str) -> String {
    format!(
        r#"{{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39", "regs": {{"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"}}, "frames": [], "mem": [], "mem_after": [], "ops": [{{"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {{"pa": "{pa}"}}}}]}}"#
    )
}

#[test]
fn vectors_that_agree_pass() {
    let (_folder, path) = file("v.jsonl", vector("0x1234"));
    for arguments in [vec!["check"], vec!["check", "--reference"]] {
        let run = emmu(&[&arguments[..], &[path.to_str().unwrap()]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(0), "1 passed, 0 failed\n"));
    }
}

#[test]
fn a_mismatch_is_printed_with_id_op_expected_and_got() {
    let (_folder, path) = file("v.jsonl", vector("0x9999"));
    let path = path.to_str().unwrap();
    let run = emmu(&["check", path]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.out,
        format!(
            "{path}: bare-0, op 0 (user load of 4 bytes at 0x1234): expected pa 0x9999, got pa 0x1234\n\
             0 passed, 1 failed\n"
        )
    );
}

#[test]
fn a_file_that_does_not_parse_is_refused_with_line_and_field() {
    let (_folder, path) =
        file("v.jsonl", vector("0x1234") + "\n" + &vector("0x1234").replace("0x1234", "1234"));
    let message = refusal(&["check", path.to_str().unwrap()], b"");
    assert!(message.contains("v.jsonl:2: "), "{message}");
    assert!(message.contains("ops[0].va: expected a lower-case hexadecimal string"), "{message}");
}

/// A directory in frame 0 whose entry 3 names the table in frame 2, whose entry 1 names the page in frame 5.
fn multilevel() -> String {
    let mut memory = ["7f"; 4096];
    (memory[3], memory[2 * 32 + 1], memory[5 * 32 + 9]) = ("82", "85", "2a");
    format!(
        r#"{{"id": 4, "pdbr": 0, "mem": "{}", "trace": [{{"va": 3113, "pde_index": 3, "pde": 130, "pde_valid": 1, "pde_pfn": 2, "pte_index": 1, "pte": 133, "pte_valid": 1, "pte_pfn": 5, "pa": 169, "value": 42}}, {{"va": 0, "pde_index": 0, "pde": 127, "pde_valid": 0, "pde_pfn": 127, "fault": "pde"}}]}}"#,
        memory.concat()
    )
}

/// A record of each textbook machine, each with two loads.
fn textbook() -> [String; 4] {
    [
        r#"{"id": 1, "asize": 1024, "psize": 16384, "base": 100, "limit": 50, "trace": [{"va": 10, "pa": 110}, {"va": 50, "fault": "bounds"}]}"#.to_owned(),
        r#"{"id": 2, "asize": 16, "psize": 64, "seg": [{"base": 32, "limit": 2, "grows": "up"}, {"base": 18, "limit": 5, "grows": "down"}], "trace": [{"va": 11, "seg": 1, "pa": 13}, {"va": 10, "seg": 1, "fault": "bounds"}]}"#.to_owned(),
        r#"{"id": 3, "asize": 32, "psize": 128, "page": 8, "pt": [2147483651, 0, 0, 0], "trace": [{"va": 5, "vpn": 0, "pa": 29}, {"va": 8, "vpn": 1, "fault": "invalid"}]}"#.to_owned(),
        multilevel(),
    ]
}

#[test]
fn textbook_records_of_every_machine_pass() {
    for record in textbook() {
        let (_folder, path) = file("records", record);
        for arguments in [vec!["check"], vec!["check", "--reference"]] {
            let run = emmu(&[&arguments[..], &[path.to_str().unwrap()]].concat());
            assert_eq!(
                (run.code, run.out.as_str()),
                (Some(0), "2 passed, 0 failed\n"),
                "{}",
                run.err
            );
        }
    }
}

#[test]
fn a_textbook_mismatch_is_printed_with_id_step_expected_and_got() {
    for ((record, right), told) in textbook().iter().zip([110, 13, 29, 169]).zip([
        "1, step 0 (load at 10): expected pa 7, got pa 110",
        "2, step 0 (load at 11): expected pa 7, got pa 13",
        "3, step 0 (load at 5): expected pa 7, pte 0 = 2147483651, got pa 29, pte 0 = 2147483651",
        "4, step 0 (load at 3113): expected pa 7 value 42, pde 3 = 130, pte 1 = 133, \
         got pa 169 value 42, pde 3 = 130, pte 1 = 133",
    ]) {
        let wrong = record.replace(&format!(r#""pa": {right}"#), r#""pa": 7"#);
        let (_folder, path) = file("records", wrong);
        let path = path.to_str().unwrap();
        let run = emmu(&["check", path]);
        assert_eq!(run.out, format!("{path}: {told}\n1 passed, 1 failed\n"));
        assert_eq!(run.code, Some(1));
    }
}

#[test]
fn a_malformed_textbook_record_is_refused_with_line_and_field() {
    for (record, (from, to, complaint)) in textbook().iter().zip([
        (
            r#""limit": 50"#,
            r#""limit": "50""#,
            r#"limit: expected an integer from 0 to 4294967295, found "50""#,
        ),
        (r#""down""#, r#""sideways""#, r#"seg[1].grows: expected down, found "sideways""#),
        (
            r#""vpn": 1"#,
            r#""vpn": 9"#,
            "trace[1].vpn: expected the number of an entry in pt, found 9",
        ),
        (
            r#""pde_pfn": 2"#,
            r#""pde_pfn": 3"#,
            "trace[0].pde_pfn: expected 2, bits 6 to 0 of pde, found 3",
        ),
    ]) {
        let (_folder, path) = file("records", format!("{record}\n{}", record.replace(from, to)));
        let path = path.to_str().unwrap();
        assert_eq!(refusal(&["check", path], b""), format!("{path}:2: {complaint}"));
    }
}

#[test]
fn files_of_both_kinds_may_be_mixed() {
    let (_textbook, records) = file("records", textbook().join("\n"));
    let (_translation, vectors) = file("vectors", vector("0x1234"));
    let [records, vectors] = [&records, &vectors].map(|path| path.to_str().unwrap());
    let run = emmu(&["check", records, vectors, records]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "17 passed, 0 failed\n"), "{}", run.err);
}

#[test]
fn a_file_that_does_not_parse_keeps_no_other_from_being_run() {
    let (_vectors, right) = file("vectors", vector("0x1234"));
    let (_other, other) = file("other", "{");
    let [right, other] = [&right, &other].map(|path| path.to_str().unwrap());
    let run = emmu(&["check", right, other, right, "no/such/file"]);
    assert_eq!((run.code, run.out.as_str()), (Some(2), "2 passed, 0 failed\n"));
    let lines: Vec<_> = run.err.lines().collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("other:1: not JSON"), "{line}");
    assert!(line.contains("; no/such/file: cannot read: "), "{line}");
}

#[test]
fn the_counts_and_mismatches_of_each_file_are_also_data() {
    let [right, wrong, other] = [vector("0x1234"), vector("0x9999"), "{".to_owned()]
        .map(|content| file("vectors", content));
    let [right, wrong, other] = [&right, &wrong, &other].map(|(_, path)| path.to_str().unwrap());
    let passed = json!({"file": right, "passed": 1, "failed": 0, "skipped": 0, "mismatches": []});
    let told = "bare-0, op 0 (user load of 4 bytes at 0x1234): expected pa 0x9999, got pa 0x1234";
    let failed =
        json!({"file": wrong, "passed": 0, "failed": 1, "skipped": 0, "mismatches": [told]});
    let run = emmu(&["check", "--json", right, wrong]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report, json!({"passed": 1, "failed": 1, "skipped": 0, "files": [&passed, failed]}));
    assert_eq!(run.code, Some(1));
    let run = emmu(&["check", "--format", "json", other, right]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let error = run.err.strip_prefix("emmu: ").unwrap().trim_end();
    let refused = json!({"file": other, "mismatches": [], "error": error});
    assert_eq!(report["files"], json!([refused, passed]));
    assert_eq!(run.code, Some(2));
    assert!(refusal(&["check", "--json", other], b"").contains(":1: not JSON"));
}

#[test]
fn an_empty_file_is_refused() {
    let (_folder, path) = file("vectors", "\n\n");
    let path = path.to_str().unwrap();
    let message = refusal(&["check", path], b"");
    assert_eq!(message, format!("{path}: expected vectors, found an empty file"));
}

#[test]
fn a_space_without_a_top_bit_is_skipped() {
    let [_, segmentation, ..] = textbook();
    let (_folder, path) = file("records", segmentation.replace(r#""asize": 16"#, r#""asize": 15"#));
    let run = emmu(&["check", path.to_str().unwrap()]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "0 passed, 0 failed, 2 skipped\n"));
}

#[test]
fn textbook_files_on_other_things_are_refused_with_what_is_supported() {
    let (_folder, path) = file("policy", r#"{"id": 0, "sim": "policy", "frames": 3, "refs": []}"#);
    let path = path.to_str().unwrap();
    assert_eq!(
        refusal(&["check", path], b""),
        format!(
            "{path}:1: sim: expected a machine that translates (linear, multilevel, relocation or segmentation) \
             or a memory manager (malloc, kr_nextfit, firstfit_embedded or buddy), found \"policy\""
        )
    );
}
