//! Comma-separated values.

use emmu_property::quickcheck;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{CsvReader, RecordSource, TraceError};

fn read(text: impl AsRef<[u8]>) -> Result<Vec<String>, TraceError> {
    CsvReader::new(text.as_ref()).records().map(|record| Ok(record?.to_string())).collect()
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    read(text).expect_err("no trace in CSV").to_string()
}

#[test]
fn columns_are_found_by_their_names_among_others() {
    let text =
        "cycle,Size,ADDRESS,\"kind\",note\n1,8,0x1000,load,\"one, two\"\n2, 4 ,4097,store,\n";
    assert_eq!(read(text).unwrap(), [" L 00001000,8", " S 00001001,4"]);
}

#[test]
fn kinds_have_names_and_letters_in_either_case() {
    let kinds =
        ["fetch", "I", "i", "Load", "l", "read", "r", "STORE", "s", "write", "W", "modify", "m"];
    let text: String = kinds.iter().map(|kind| format!("{kind},1,1\n")).collect();
    let letters: String = read(format!("kind,address,size\n{text}"))
        .unwrap()
        .iter()
        .filter_map(|line| line.trim_start().chars().next())
        .collect();
    assert_eq!(letters, "IIILLLLSSSSMM");
}

#[test]
fn numbers_are_decimal_or_hexadecimal_after_their_prefix() {
    let text =
        "kind,address,size\nload,18446744073709551615,65535\nload,0XFFFFffffFFFFffff,0xFFFF\n";
    assert_eq!(read(text).unwrap(), [" L ffffffffffffffff,65535"; 2]);
}

#[test]
fn a_pc_is_fetched_once_for_the_references_of_an_instruction() {
    let text = "\
pc,kind,address,size
0x10,load,0x1000,8
0x10,store,0x1000,8
0x13,store,0x2000,8
,load,0x3000,8
0x17,fetch,0x17,4
0x17,load,0x4000,8
0x17,fetch,0x17,4
";
    let expected = [
        "I  00000010,1",
        " L 00001000,8",
        " S 00001000,8",
        "I  00000013,1",
        " S 00002000,8",
        " L 00003000,8",
        "I  00000017,4",
        " L 00004000,8",
        "I  00000017,4",
    ];
    assert_eq!(read(text).unwrap(), expected);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_not_matter() {
    let text = b"\xef\xbb\xbfkind,address,size\r\n\r\nload,1,1\r\n";
    assert_eq!(read(text).unwrap(), [" L 00000001,1"]);
}

#[test]
fn a_heading_without_a_column_or_with_two_of_it_is_refused() {
    for (heading, column) in [
        ("address,size", "kind"),
        ("kind,addr,size", "address"),
        ("kind,address", "size"),
        ("kind,size,address,SIZE", "size"),
        ("kind,address,size,pc,PC", "pc at most"),
    ] {
        let expected = format!("line 1: expected a heading with one column named {column}, found");
        assert!(refusal(format!("{heading}\nload,1,1\n")).starts_with(&expected), "{heading}");
    }
}

#[test]
fn a_heading_that_is_cut_is_refused() {
    let text = format!("kind,address,size,{},pc\nload,1,1,,16\n", "x".repeat(5000));
    let expected = "line 1: expected a line of less than 4096 bytes, found";
    assert!(refusal(text).starts_with(expected));
}

#[test]
fn a_row_that_is_refused_for_its_length_fetches_nothing() {
    let long = format!("load,1,1,16,{}", "x".repeat(5000));
    let text = format!("kind,address,size,pc,note\n{long}\nstore,2,1,16,\n");
    let reader = CsvReader::new(text.as_bytes()).lenient();
    let records: Vec<_> = reader.records().map(|record| record.unwrap().to_string()).collect();
    assert_eq!(records, ["I  00000010,1", " S 00000002,1"]);
}

#[test]
fn each_malformed_field_is_named() {
    let cases = [
        ("jump,1,1,", "fetch, load, store or modify in column kind"),
        (",,,", "fetch, load, store or modify in column kind"),
        ("load", "an address in column address"),
        ("load,1a,1,", "an address in column address"),
        ("load,-1,1,", "an address in column address"),
        ("load,18446744073709551616,1,", "an address in column address"),
        ("load,1", "a number from 1 to 65535 in column size"),
        ("load,1,0,", "a number from 1 to 65535 in column size"),
        ("load,1,0x,", "a number from 1 to 65535 in column size"),
        ("load,1,1,x", "an address in column pc"),
        ("fetch,1,1,2", "a fetch at its own pc"),
        ("load,\"1,1", "a quotation mark at the end"),
    ];
    for (row, expected) in cases {
        let message = refusal(format!("kind,address,size,pc\n{row}\n"));
        assert!(message.starts_with(&format!("line 2: expected {expected}")), "{message}");
    }
}

quickcheck! {
    fn any_bytes_are_read_as_text(bytes: Vec<u8>) -> Verdict {
        check::csv_bytes(&bytes)
    }

    fn any_fields_are_read_as_text(rows: Vec<(u8, u8, u8, u8)>) -> Verdict {
        let fields = ["load", "fetch", "M", "0x10", "16", "1", "", "\"4\"", "\"4", "4\"", "x", ",", "0xffffffffffffffff"];
        let field = |number: u8| fields[usize::from(number) % fields.len()];
        let row = |row: &(u8, u8, u8, u8)| {
            format!("{},{},{},{}\n", field(row.0), field(row.1), field(row.2), field(row.3))
        };
        let rows: String = rows.iter().map(row).collect();
        check::csv_bytes(format!("kind,address,size,pc\n{rows}").as_bytes())
    }
}
