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
    "3=28K:2K:rw-:down",
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
    let addresses = ["4200", "7168", "15K", "14335", "8192", "0x4000", "0b111"];
    insta::assert_snapshot!(explained(&OSTEP, &addresses));
}

#[test]
fn the_stack_of_the_textbook_is_at_selector_11() {
    let out = explained(&OSTEP, &["15K"]);
    assert!(out.starts_with("VA 15360 = 11 110000000000b, selector 3 | offset 3072, "), "{out}");
    assert!(out.contains("-> PA 27648"), "27 KB: {out}");
}

#[test]
fn a_fault_keeps_the_line_of_bits() {
    for (address, line) in [
        ("8192", "VA 8192 = 10 000000000000b, selector 2 | offset 0, "),
        ("0x7fff", "VA 0x7fff = 1 11 111111111111b, excess 0x1 | selector 0x3 | offset 0xfff, "),
    ] {
        let out = explained(&OSTEP, &[address]);
        assert!(out.starts_with(line) && out.contains("-> exception ->"), "{out}");
    }
    let table = ["explain", "table", "--segment", "0=32K:2K"];
    let out = explained(&table, &["0xfff00001"]);
    let line = "VA 0xfff00001 = 111111111111 00000000000000000001b, selector 0xfff | offset 0x1, ";
    assert!(out.starts_with(line), "{out}");
    let out = explained(&["explain", "paging"], &["0x4000", "0x3fff"]);
    assert!(out.contains("VA 0x4000 = 1 00 000000000000b, excess 0x1 | VPN 0x0 | "), "{out}");
    assert!(out.contains("VA 0x3fff = 11 111111111111b, VPN 0x3 | offset 0xfff, "), "{out}");
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
    let arguments = ["explain", "paging", "--entry", "3=0x80000006", "--byte", "0x6229=0x5a"];
    insta::assert_snapshot!(explained(&arguments, &["0x3229", "0x3229", "0x1000", "12841"]));
}

#[test]
fn an_entry_is_split_into_its_fields_and_its_rights_are_checked() {
    let format =
        ["explain", "paging", "--valid", "0", "--write", "1", "--read", "2", "--pfn", "31:12"];
    let entries = ["--entry", "3=0x6005", "--entry", "1=0x7007"];
    let arguments = [&format[..], &entries, &["--access", "store", "--size", "4"]].concat();
    insta::assert_snapshot!(explained(&arguments, &["0x3229", "0x1ffe", "0x1ffe", "0x3229"]));
}

#[test]
fn the_cache_that_served_a_read_is_named() {
    let arguments = ["explain", "paging", "--entry", "3=0x80000006", "--machine", "skylake-sp"];
    let out = explained(&arguments, &["0x3229", "0x322a"]);
    let [cold, warm] = out.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{out}") };
    assert!(cold.contains("1 byte at 0x6229 -> 0x0 ") && cold.contains("(memory)"), "{cold}");
    assert!(warm.contains("1 byte at 0x622a -> 0x0 ") && warm.contains("(L1 cache)"), "{warm}");
}

#[test]
fn the_value_that_is_read_is_little_endian() {
    let bytes = ["--byte", "100=0x34", "--byte", "101=0x12", "--byte", "0x66=1"];
    let arguments = ["explain", "base-bounds", "--base", "100", "--bounds", "90"];
    let arguments = [&arguments[..], &bytes].concat();
    let value = |size: &str| -> serde_json::Value {
        let out = explained(&arguments, &["--size", size, "--json", "0x0"]);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        report["explained"][0]["value"].clone()
    };
    assert_eq!(value("1"), 0x34);
    assert_eq!(value("2"), 0x1234);
    assert_eq!(value("8"), 0x1_1234);
    assert_eq!(value("9"), serde_json::Value::Null);
}

#[test]
fn all_numbers_of_a_story_are_in_the_base_of_its_address() {
    let table = ["explain", "table", "--segment", "2047=0x80000:300", "--segment", "2000=absent"];
    let levels = ["--levels", "2", "--page", "1K", "--entry", "2=0x80000010", "--entry"];
    let paging = [&["explain", "paging"], &levels[..], &["@0x400c=0x80000020"]].concat();
    for (arguments, addresses) in [
        (&BASE_BOUNDS[..], ["0x1ae", "0x20b"]),
        (&OSTEP, ["0x1068", "0x3fff"]),
        (&table, ["0x7ff0012b", "0x7d000000"]),
        (&paging, ["0x2c10", "0x2cff"]),
    ] {
        let out = explained(arguments, &addresses);
        // Numbers of steps, levels, pids and bytes have one digit; cycles stand in a column of their own.
        let steps = out.lines().filter(|line| !line.starts_with("VA "));
        let told = steps.filter_map(|line| line.get(15..72.min(line.len())));
        for word in told.flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric())) {
            let is_decimal = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_digit());
            assert!(!is_decimal, "{word} in {out}");
        }
    }
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
fn an_entry_in_no_table_or_at_a_place_that_is_taken_is_refused() {
    let refused = |entries: &[&str]| {
        let entries = entries.iter().flat_map(|entry| ["--entry", entry]).collect::<Vec<_>>();
        refused(&["explain", "paging", "--levels", "2", "0"], &entries)
    };
    let lost = |addr: &str| {
        format!(
            "--entry: no entry of 4 bytes begins at {addr}, neither in the first table nor in one that a valid \
             entry names"
        )
    };
    let taken = "--entry: the entry at 0x1000 is given twice";
    assert_eq!(refused(&["0=1", "0=2"]), taken);
    assert_eq!(refused(&["0=1", "@0x1000=1"]), taken);
    assert_eq!(refused(&["@0x1001=1"]), lost("0x1001"));
    assert_eq!(refused(&["@0x1008=1"]), lost("0x1008"), "behind the first table");
    assert_eq!(refused(&["@0x3000=1"]), lost("0x3000"));
    assert_eq!(
        refused(&["0=3", "@0x3000=1"]),
        lost("0x3000"),
        "the entry that names it is not valid"
    );
    assert_eq!(refused(&["0=0x80000003", "@0x3006=1"]), lost("0x3006"));
    assert_eq!(refused(&["0=0x80000003", "@0x3008=1"]), lost("0x3008"), "behind the second table");
    let page = refused(&["0=0x80000003", "@0x3000=0x80000005", "@0x5000=1"]);
    assert_eq!(page, lost("0x5000"), "a page is no table");
}

#[test]
fn tables_that_name_one_another_hold_their_entries() {
    let entries =
        ["--entry", "@0x3000=0x80000001", "--entry", "0=0x80000003", "--entry", "1=0x80000001"];
    let levels =
        ["explain", "paging", "--address-bits", "18", "--levels", "6", "--entry-bytes", "4"];
    let out = explained(&levels, &[&entries[..], &["0"]].concat());
    assert!(out.contains("level 5, 0 @ 4096 + 0 * 4 = 4096 -> 2147483651"), "{out}");
    assert!(out.contains("level 4, 0 @ 12288 + 0 * 4 = 12288 -> 2147483649"), "{out}");
    assert!(out.contains("-> PA 4096"), "{out}");
}

#[test]
fn entries_of_eight_bytes_and_the_largest_pages_need_no_field_for_the_frame() {
    let wide = ["explain", "paging", "--entry-bytes", "8", "--entry", "0=0x8000000000000001"];
    let out = explained(&wide, &["--address-bits", "48", "--levels", "4", "7"]);
    assert!(out.contains("-> PA 4103"), "{out}");
    let large = ["explain", "paging", "--page", "0x8000000000000000", "--address-bits", "64"];
    let out = explained(&large, &["--entry", "0=0x80000000", "7"]);
    assert!(out.contains("-> PA 7"), "{out}");
}

#[test]
fn every_number_may_be_in_any_base() {
    let out = explained(&BASE_BOUNDS, &["523", "--pid", "1_0"]);
    assert!(out.contains("the OS kills pid 10"), "{out}");
    let access = ["--entry", "3=0x6005", "0x3229", "--access", "store"];
    let decimal =
        ["--valid", "0", "--write", "2", "--read", "3", "--execute", "4", "--pfn", "31:12"];
    let other = [
        "--valid",
        "0x0",
        "--write",
        "0b10",
        "--read",
        "0x3",
        "--execute",
        "0x4",
        "--pfn",
        "0x1f:0b1100",
    ];
    let out = explained(&["explain", "paging"], &[&decimal[..], &access].concat());
    assert!(out.contains("-> PA 0x6229"), "{out}");
    assert_eq!(explained(&["explain", "paging"], &[&other[..], &access].concat()), out);
}

#[test]
fn an_amo_has_its_article() {
    let rights = ["--read", "30", "--write", "29", "--access", "amo", "0"];
    let paging = |entry| explained(&["explain", "paging", "--entry", entry], &rights);
    assert!(paging("0=0xe0000005").contains("rwx allows an amo"));
    assert!(paging("0=0xc0000005").contains("r-x lacks w for an amo"));
    let out = explained(&OSTEP, &["--access", "amo", "100"]);
    assert!(out.contains("r-x lacks w for an amo"), "{out}");
}

#[test]
fn json_has_the_same_steps() {
    insta::assert_snapshot!(explained(&BASE_BOUNDS, &["--json", "430", "523"]));
}

#[test]
fn memory_that_is_not_there_refuses() {
    let out = explained(&BASE_BOUNDS, &["--memory", "4K", "430"]);
    let told = "no memory or device answers at physical address 12848 -> exception";
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
        refused(&OSTEP, &["--selector-bits", "14", "1"]),
        refused(&OSTEP, &["--segment", "1=0:1", "1"]),
        refused(&OSTEP, &["--segment", "16=0:1", "1"]),
        refused(&OSTEP, &["--stack", "1"]),
        refused(&BASE_BOUNDS, &["--byte", "7", "1"]),
        refused(&BASE_BOUNDS, &["--byte", "7=256", "1"]),
        refused(&BASE_BOUNDS, &["--byte", "1T=1", "1"]),
        refused(&shape, &["1"]),
        refused(&implicit, &["1"]),
        refused(&table("7"), &[]),
        refused(&table("5000=0:1"), &[]),
        refused(&table("5=0:1"), &["--length", "1"]),
        refused(&table("1=0:72057594037927936"), &[]),
        refused(&table("1=0:1"), &["--table", "8"]),
        refused(&table("1=0:1"), &["--table", "0x4000000"]),
        refused(&paging("--page", "3K"), &[]),
        refused(&paging("--page", "1"), &[]),
        refused(&paging("--page", "1M"), &[]),
        refused(&paging("--levels", "3"), &[]),
        refused(&paging("--entry-bytes", "3"), &[]),
        refused(&paging("--entry", "3"), &[]),
        refused(&paging("--entry", "3=0x100000000"), &[]),
        refused(&paging("--entry", "4=1"), &[]),
        refused(&paging("--ptbr", "1T"), &["--entry", "0=1"]),
        refused(&paging("--valid", "32"), &[]),
        refused(&paging("--valid", "40"), &[]),
        refused(&paging("--execute", "63"), &[]),
        refused(&paging("--valid", "0"), &[]),
        refused(&paging("--pfn", "0:1"), &[]),
        refused(&paging("--pfn", "31:0"), &[]),
        refused(&paging("--pfn", "59:0"), &["--entry-bytes", "8"]),
        refused(&paging("--write", "64"), &[]),
        refused(&paging("--ptbr", "0xffffffffffffffff"), &["--entry", "1=0"]),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}
