//! Lackey's text, line by line: what is read, what is skipped, what is refused.

use emmu_core::VirtAddr;
use emmu_property::quickcheck;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{LackeyReader, Record, RecordKind, RecordSource, TraceError};

fn read(text: impl AsRef<[u8]>) -> Result<Vec<Record>, TraceError> {
    LackeyReader::new(text.as_ref()).records().collect()
}

fn one(text: &str) -> Record {
    let records = read(text).expect("lackey's text");
    assert_eq!(records.len(), 1);
    records[0]
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    read(text).expect_err("no text of lackey's").to_string()
}

#[test]
fn a_fetch_begins_its_line() {
    assert_eq!(
        one("I  04016b30,3\n"),
        Record::new(RecordKind::Fetch, VirtAddr::new(0x0401_6b30), 3)
    );
}

#[test]
fn data_is_indented_and_wider_than_eight_digits() {
    let addr = VirtAddr::new(0x1f_feff_e7e0);
    assert_eq!(one(" L 1ffeffe7e0,8\n"), Record::new(RecordKind::Load, addr, 8));
    assert_eq!(one(" S 1ffeffe7e0,32\n"), Record::new(RecordKind::Store, addr, 32));
    assert_eq!(one(" M 1ffeffe7e0,1\n"), Record::new(RecordKind::Modify, addr, 1));
}

#[test]
fn the_number_of_blanks_is_free() {
    assert_eq!(one("I 04016b30,3\n"), one("I  04016b30,3\n"));
    assert_eq!(one("L 10,4\n"), one("   L    10,4\n"));
}

#[test]
fn a_carriage_return_is_dropped() {
    assert_eq!(one("I  04016b30,3\r\n"), one("I  04016b30,3\n"));
}

#[test]
fn the_last_address_and_the_largest_size_are_read() {
    let last = Record::new(RecordKind::Load, VirtAddr::new(u64::MAX), u16::MAX);
    assert_eq!(one(" L FFFFffffFFFFffff,65535\n"), last);
}

#[test]
fn lines_of_valgrind_and_blank_lines_are_skipped() {
    let text =
        "==12== Lackey\n==12== \n\n--12-- debug\n**12** told\n  \nI  10,2\n==12== Exit code: 0\n";
    assert_eq!(one(text).addr, VirtAddr::new(0x10));
}

#[test]
fn a_long_line_of_valgrind_is_skipped_whole() {
    let text = format!("==12== Command: {}I  20,2\nI  10,2\n", "x".repeat(100_000));
    assert_eq!(one(&text).addr, VirtAddr::new(0x10));
}

#[test]
fn the_recorded_command_is_the_provenance() {
    let mut reader =
        LackeyReader::new(&b"==12== Command: /usr/bin/sqlite3 a.db\n==12== \nI  10,2\n"[..]);
    assert!(reader.next_chunk().unwrap().is_some());
    assert_eq!(reader.provenance(), Some("/usr/bin/sqlite3 a.db"));
}

#[test]
fn an_error_names_line_expectation_and_text() {
    assert_eq!(
        refusal("==1== \nI  10,2\n X 10,2\n"),
        r#"line 3: expected one of the letters I, L, S, M, found " X 10,2""#
    );
}

#[test]
fn each_malformed_part_is_named() {
    let cases = [
        (" L 1ffeffe7e0 8\n", "a comma"),
        (" L 1ffeffe7e0\n", "a comma"),
        (" L 0x10,8\n", "a comma"),
        (" L ,8\n", "a hexadecimal address"),
        (" L\n", "a hexadecimal address"),
        (" L zz,8\n", "a hexadecimal address"),
        (" L 10000000000000000,8\n", "an address of at most 16"),
        (" L 00000000000000010,8\n", "an address of at most 16"),
        (" L 10,\n", "a decimal size"),
        (" L 10,0\n", "a decimal size"),
        (" L 10,+8\n", "a decimal size"),
        (" L 10,8,8\n", "a decimal size"),
        (" L 10,eight\n", "a decimal size"),
        (" L 10,65536\n", "a decimal size"),
        (" L 10,99999999999999999999\n", "a decimal size"),
        ("=12== \n", "one of the letters"),
        ("== Command\n", "one of the letters"),
    ];
    for (text, expected) in cases {
        assert!(refusal(text).starts_with(&format!("line 1: expected {expected}")), "{text:?}");
    }
}

#[test]
fn a_last_line_needs_no_end_but_must_be_whole() {
    assert_eq!(one(" L 1ffeffe7e0,8"), one(" L 1ffeffe7e0,8\n"));
    assert!(refusal("I  10,2\n L 1ffeffe7e0,").contains("line 2: expected a decimal size"));
}

#[test]
fn blanks_behind_a_line_are_dropped() {
    assert_eq!(one(" L 1ffeffe7e0,8 \t \r\n"), one(" L 1ffeffe7e0,8\n"));
    assert_eq!(one("\tL 10,8\n"), one(" L 10,8\n"));
}

#[test]
fn entries_of_superblocks_are_skipped() {
    assert_eq!(one("SB 04025310\nI  04025310,3\nSB 10 \n").addr, VirtAddr::new(0x0402_5310));
    for text in ["SB 04025310,3\n", "SB\n", "SB zz\n", "SB04025310\n"] {
        assert!(refusal(text).starts_with("line 1: expected"), "{text:?}");
    }
}

#[test]
fn a_lenient_reader_skips_and_counts_what_the_program_printed() {
    let text = "I  10,2\nHello, world!\n S 10,\nI 5 apples\n L 20,8\n\n";
    let mut reader = LackeyReader::new(text.as_bytes()).lenient();
    assert_eq!(reader.next_chunk().unwrap().map(<[_]>::len), Some(2));
    assert!(reader.next_chunk().unwrap().is_none());
    assert_eq!(reader.skipped_lines(), 3);
}

#[test]
fn a_lenient_reader_skips_a_line_of_any_length_as_one() {
    let text = format!("I  10,2\n{}I  20,2\nI  30,2\n", "x".repeat(100_000));
    let mut reader = LackeyReader::new(text.as_bytes()).lenient();
    assert_eq!(reader.next_chunk().unwrap().map(<[_]>::len), Some(2));
    assert_eq!(reader.skipped_lines(), 1);
}

#[test]
fn a_line_of_4095_bytes_is_read_and_one_of_4096_refused() {
    let padded = |length: usize| format!("{}I  10,2\n", " ".repeat(length - 8));
    assert_eq!(one(&padded(4096)).addr, VirtAddr::new(0x10));
    let message = refusal(padded(4097));
    assert!(message.contains("a line of less than 4096 bytes"), "{message}");
}

#[test]
fn a_line_that_begins_with_4096_blanks_is_refused_and_not_lost() {
    let text = format!("I  400000,3\n{}L 1000,8\n S 2000,4\n", " ".repeat(5000));
    let expected = "line 2: expected a line of less than 4096 bytes, found \"\"";
    assert_eq!(refusal(&text), expected);
    let mut reader = LackeyReader::new(text.as_bytes()).lenient();
    assert_eq!(reader.next_chunk().unwrap().map(<[_]>::len), Some(2));
    assert_eq!(reader.skipped_lines(), 1);
}

#[test]
fn the_command_of_a_long_line_is_the_provenance() {
    let text = format!("==12== Command: ls {}\nI  10,2\n", "x".repeat(5000));
    let mut reader = LackeyReader::new(text.as_bytes());
    assert!(reader.next_chunk().unwrap().is_some());
    assert!(reader.provenance().is_some_and(|command| command.starts_with("ls xxx")));
}

#[test]
fn bytes_that_are_no_text_are_an_error_that_can_be_printed() {
    assert!(refusal(b" L \xff\xfe,8\n").contains("line 1: expected a hexadecimal address"));
    assert!(refusal(b"\x00\x01\x02\n").contains("one of the letters"));
}

#[test]
fn an_endless_line_is_refused_and_quoted_short() {
    let message = refusal("I".repeat(10_000_000));
    assert!(message.contains("a line of less than 4096 bytes") && message.len() < 300);
}

#[test]
fn what_precedes_an_error_is_delivered_and_nothing_after() {
    let mut reader = LackeyReader::new(&b"I  10,2\nbad\nI  20,2\n"[..]).records();
    assert!(reader.next().is_some_and(|first| first.is_ok()));
    assert!(reader.next().is_some_and(|second| second.is_err()));
    assert!(reader.next().is_none());
}

quickcheck! {
    fn any_bytes_are_read_as_text(bytes: Vec<u8>) -> Verdict {
        check::lackey_bytes(&bytes)
    }

    fn any_references_are_read_back_from_text(bytes: Vec<u8>) -> Verdict {
        check::text_round_trip(&bytes)
    }

    fn a_printed_record_is_read_back(number: u64, addr: u64, size: u16) -> bool {
        let kind = RecordKind::from_number(number % 4).unwrap();
        let record = Record::new(kind, VirtAddr::new(addr), size.max(1));
        read(format!("{record}\n")).unwrap() == [record]
    }
}
