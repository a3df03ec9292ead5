//! Dinero's text, traditional and extended.

use emmu_core::VirtAddr;
use emmu_property::quickcheck;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{DineroReader, Record, RecordKind, RecordSource, TraceError};

fn read(text: &str) -> Result<Vec<String>, TraceError> {
    DineroReader::new(text.as_bytes()).records().map(|record| Ok(record?.to_string())).collect()
}

fn refusal(text: &str) -> String {
    read(text).expect_err("no text of dinero's").to_string()
}

#[test]
fn labels_are_loads_stores_and_fetches_of_aligned_words() {
    let records = read("0 1000\n1 2003\n2 400123\n3 10\n").unwrap();
    assert_eq!(records, [" L 00001000,4", " S 00002000,4", "I  00400120,4", " L 00000010,4"]);
}

#[test]
fn letters_of_the_extended_format_have_a_hexadecimal_size_and_any_address() {
    let records = read("r 1003 8\nW 2000 10\ni 0x400123 0X3\nm ffffffffffffffff 1\n").unwrap();
    let expected = [" L 00001003,8", " S 00002000,16", "I  00400123,3", " L ffffffffffffffff,1"];
    assert_eq!(records, expected);
}

#[test]
fn maintenance_of_the_cache_is_no_reference() {
    assert_eq!(read("4 1000\n5 1000\nc 1000 40\nV 1000 40\n").unwrap(), Vec::<String>::new());
}

#[test]
fn everything_behind_the_fields_is_a_comment() {
    assert_eq!(
        read("0 1000 8 bytes\nr 1000 8 of them").unwrap(),
        [" L 00001000,4", " L 00001000,8"]
    );
    assert_eq!(read(" \t2\t0 \n\n0x2 0x0\r\n").unwrap(), ["I  00000000,4", "I  00000000,4"]);
}

#[test]
fn each_malformed_part_is_named() {
    let label = "a label from 0 to 5, or one of the letters r, w, i, m, c, v";
    let cases = [
        ("6 1000\n", label),
        ("x 1000\n", label),
        ("rr 1000 8\n", label),
        ("-1 1000\n", label),
        ("# a comment\n", label),
        ("0\n", "a hexadecimal address"),
        ("0 x\n", "a hexadecimal address"),
        ("0 10,4\n", "a hexadecimal address"),
        ("0 11112222333344445\n", "an address of at most 16 hexadecimal digits"),
        ("r 1000\n", "a hexadecimal size from 1 to ffff"),
        ("r 1000 0\n", "a hexadecimal size from 1 to ffff"),
        ("r 1000 10000\n", "a hexadecimal size from 1 to ffff"),
        ("r 1000 bytes\n", "a hexadecimal size from 1 to ffff"),
    ];
    for (text, expected) in cases {
        let message = refusal(&format!("2 0\n{text}"));
        assert!(message.starts_with(&format!("line 2: expected {expected}")), "{message}");
    }
}

quickcheck! {
    fn any_bytes_are_read_as_text(bytes: Vec<u8>) -> Verdict {
        check::dinero_bytes(&bytes)
    }

    fn any_labels_and_numbers_are_read_as_text(lines: Vec<(u8, u64, u16, bool)>) -> Verdict {
        let labels = ["0", "1", "2", "3", "4", "5", "r", "w", "i", "m", "c", "v", "6", "0x2", "I", ""];
        let line = |(label, addr, size, extended): &(u8, u64, u16, bool)| {
            let label = labels[usize::from(label % 16)];
            let size = if *extended { format!(" {size:x}") } else { String::new() };
            format!("{label} {addr:x}{size}\n")
        };
        check::dinero_bytes(lines.iter().map(line).collect::<String>().as_bytes())
    }

    fn any_references_of_the_extended_format_come_back(references: Vec<(u8, u64, u16)>) -> bool {
        let kinds = [(RecordKind::Load, "r"), (RecordKind::Store, "w"), (RecordKind::Fetch, "i")];
        let chosen = references.iter().map(|(kind, addr, size)| (kinds[usize::from(kind % 3)], *addr, (*size).max(1)));
        let text: String = chosen.clone().map(|((_, letter), addr, size)| format!("{letter} {addr:x} {size:x}\n")).collect();
        let records = chosen.map(|((kind, _), addr, size)| Record::new(kind, VirtAddr::new(addr), size).to_string());
        read(&text).unwrap() == records.collect::<Vec<_>>()
    }
}
