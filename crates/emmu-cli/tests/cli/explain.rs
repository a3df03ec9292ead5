//! `emmu explain`.

use crate::{emmu, refusal};

/// The numbers of the textbook.
const BASE_BOUNDS: [&str; 6] = ["explain", "base-bounds", "--base", "12418", "--bounds", "472"];
const OSTEP: [&str; 8] = [
    "explain",
    "segments",
    "--segment",
    "32K:2K:r-x",
    "--segment",
    "34K:3K",
    "--segment",
    "28K:2K:rw-:down",
];

fn explained(arguments: &[&str], more: &[&str]) -> String {
    let run = emmu(&[arguments, more].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out
}

fn refused(arguments: &[&str], more: &[&str]) -> String {
    refusal(&[arguments, more].concat(), b"")
}

#[test]
fn base_and_bounds_add_and_compare() {
    insta::assert_snapshot!(explained(&BASE_BOUNDS, &["430", "523", "472", "0x1ae"]));
}

#[test]
fn a_fault_says_by_how_much_and_what_the_os_does() {
    let out = explained(&BASE_BOUNDS, &["523"]);
    let told = "523 >= bounds 472 by 51 bytes -> exception -> the OS kills pid 3";
    assert!(out.contains(told), "{out}");
    let out = explained(&BASE_BOUNDS, &["523", "--pid", "7"]);
    assert!(out.contains("the OS kills pid 7"), "{out}");
}

#[test]
fn an_access_past_the_last_address_of_all_is_refused_before_any_piece_is_translated() {
    let segments = ["--segment", "0:4K", "--segment", "8K:4K:rw-:down", "--address-bits", "64"];
    let access = ["--size", "8", "0xffffffffffffffff"];
    let out = explained(&["explain", "segments"], &[&segments[..], &access].concat());
    assert!(
        out.contains("1 address    the access would run past the last 64-bit address"),
        "{out}"
    );
    assert!(!out.contains("piece"), "{out}");
}

#[test]
fn bounds_may_be_an_end_address() {
    let arguments = ["explain", "base-bounds", "--base", "12418", "--end", "12890"];
    insta::assert_snapshot!(explained(&arguments, &["430", "523"]));
}

#[test]
fn segments_are_selected_bounded_and_added() {
    let addresses = ["4200", "7168", "11264", "10239", "12288", "0x4000", "0b111"];
    insta::assert_snapshot!(explained(&OSTEP, &addresses));
}

#[test]
fn rights_are_told() {
    insta::assert_snapshot!(explained(&OSTEP, &["--access", "store", "100", "4200"]));
}

#[test]
fn segments_can_be_selected_by_use() {
    let arguments =
        ["explain", "segments", "--implicit", "--segment", "4K:1K:r-x", "--segment", "8K:1K"];
    let arguments = [&arguments[..], &["--segment", "12K:1K:rw-:down"]].concat();
    let data = explained(&arguments, &["7"]);
    let code = explained(&arguments, &["--access", "fetch", "7"]);
    let stack = explained(&arguments, &["--stack", "16383"]);
    insta::assert_snapshot!([data, code, stack].join("\n"));
}

#[test]
fn a_table_in_memory_is_read_and_cached() {
    let arguments = [
        "explain",
        "table",
        "--segment",
        "2047=0x80000:300:rw-",
        "--segment",
        "5=absent",
        "--segment",
        "6=0x90000:64:r--:down",
    ];
    let addresses =
        ["0x7ff0012b", "0x7ff00000", "0x7ff0012c", "0x500000", "0x6fffff", "0x80000000"];
    insta::assert_snapshot!(explained(&arguments, &addresses));
}

#[test]
fn an_access_of_two_segments_is_explained_piece_by_piece() {
    let arguments = [
        "explain",
        "table",
        "--address-bits",
        "8",
        "--selector-bits",
        "2",
        "--segment",
        "0=0x8000:64",
        "--segment",
        "1=0x9000:4",
    ];
    insta::assert_snapshot!(explained(&arguments, &["62", "--size", "4"]));
    insta::assert_snapshot!(explained(&arguments, &["62", "--size", "8"]));
}

#[test]
fn pages_are_looked_up_and_read() {
    let arguments = ["explain", "paging", "--entry", "3=0x80000006"];
    insta::assert_snapshot!(explained(&arguments, &["0x3229", "0x3229", "0x1000"]));
}

#[test]
fn two_levels_of_pages_are_walked() {
    // The textbook's 15-bit machine: directory in frame 108, entries of one byte, bit 7 valid.
    let arguments = [
        "explain",
        "paging",
        "--address-bits",
        "15",
        "--page",
        "32",
        "--levels",
        "2",
        "--entry-bytes",
        "1",
        "--ptbr",
        "3456",
        "--entry",
        "24=0xa1",
        "--entry",
        "@1064=0xb5",
    ];
    insta::assert_snapshot!(explained(&arguments, &["0x611c"]));
}

#[test]
fn json_has_the_same_steps() {
    insta::assert_snapshot!(explained(&BASE_BOUNDS, &["--json", "430", "523"]));
}

#[test]
fn memory_that_is_not_there_refuses() {
    let out = explained(&BASE_BOUNDS, &["--memory", "4K", "430"]);
    let told = "no memory or device answers at physical address 0x3230 -> exception";
    assert!(out.contains(told), "{out}");
}

#[test]
fn another_machine_has_other_prices() {
    let out = explained(&BASE_BOUNDS, &["--machine", "skylake-sp", "430"]);
    assert!(!out.contains(" 100\n"), "{out}");
}

#[test]
fn wrong_input_is_refused_in_one_line() {
    let shape = ["explain", "segments", "--address-bits", "65", "--segment", "0:1"];
    let implicit = ["explain", "segments", "--implicit", "--segment", "0:1"];
    let table = |segment| ["explain", "table", "--segment", segment, "0"];
    let paging = |option, value| ["explain", "paging", option, value, "0"];
    let messages = [
        refused(&BASE_BOUNDS, &["12z"]),
        refused(&BASE_BOUNDS, &["0x1_0000_0000_0000_0000"]),
        refused(&BASE_BOUNDS, &["--size", "0", "1"]),
        refused(&BASE_BOUNDS, &["--memory", "much", "1"]),
        refused(&BASE_BOUNDS, &["--machine", "pentium", "1"]),
        refused(&OSTEP, &["--segment", "1K", "1"]),
        refused(&OSTEP, &["--segment", "1K:2K:rwxx", "1"]),
        refused(&OSTEP, &["--segment", "1K:2K:down:r--", "1"]),
        refused(&OSTEP, &["--segment", "1K:8K", "1"]),
        refused(&OSTEP, &["--selector-bits", "1", "1"]),
        refused(&shape, &["1"]),
        refused(&implicit, &["1"]),
        refused(&table("7"), &[]),
        refused(&table("5000=0:1"), &[]),
        refused(&table("1=0:72057594037927936"), &[]),
        refused(&table("1=0:1"), &["--table", "8"]),
        refused(&table("1=0:1"), &["--table", "0x4000000"]),
        refused(&paging("--page", "3K"), &[]),
        refused(&paging("--page", "1M"), &[]),
        refused(&paging("--levels", "3"), &[]),
        refused(&paging("--entry-bytes", "3"), &[]),
        refused(&paging("--entry", "3"), &[]),
        refused(&paging("--entry", "3=0x100000000"), &[]),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

const PAGE: &str = include_str!("../../../../docs/src/guide/segments.md");

#[test]
fn what_the_book_shows_is_what_one_gets() {
    let blocks: Vec<_> = PAGE.split("```console\n$ emmu ").skip(1).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let shown = block.split("```").next().unwrap();
        let (line, out) = shown.split_once('\n').unwrap();
        let arguments: Vec<_> = line.split(' ').collect();
        assert_eq!(emmu(&arguments).out, out, "{line}");
    }
}
