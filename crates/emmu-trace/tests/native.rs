//! The native format: what is written comes back, and what is damaged is refused.

use emmu_core::VirtAddr;
use emmu_property::quickcheck;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{ContentHasher, Record, RecordKind, RecordSource, TraceError, emt};
use std::io::{Cursor, Read};

/// References of a loop that walks an array, as a processor with a stack would make them.
fn a_loop(turns: u64) -> Vec<Record> {
    (0..turns)
        .flat_map(|turn| {
            [
                (RecordKind::Fetch, 0x40_1000, 4),
                (RecordKind::Load, 0x7f00_0000 + 8 * turn, 8),
                (RecordKind::Fetch, 0x40_1004, 3),
                (RecordKind::Modify, 0x1f_feff_e7e0, 8),
                (RecordKind::Fetch, 0x40_1007, 2),
            ]
        })
        .map(|(kind, addr, size)| Record::new(kind, VirtAddr::new(addr), size))
        .collect()
}

fn native(records: &[Record]) -> Vec<u8> {
    let mut writer = emt::Writer::new(Vec::new(), "a test").expect("a header");
    writer.write(records).expect("references");
    writer.finish().expect("a footer").0
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, TraceError> {
    emt::Reader::new(bytes)?.verifying().records().collect()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).expect_err("a damaged trace").to_string()
}

#[test]
fn header_and_footer_tell_what_was_written() {
    let bytes = native(&a_loop(10));
    let mut reader = emt::Reader::new(&bytes[..]).unwrap();
    assert_eq!((reader.provenance(), reader.total_records()), (Some("a test"), None));
    while reader.next_chunk().unwrap().is_some() {}
    let mut hasher = ContentHasher::new();
    hasher.update(&a_loop(10));
    assert_eq!(reader.footer().map(|footer| footer.records), Some(50));
    assert_eq!(reader.content_hash(), Some(hasher.finish()));
}

#[test]
fn a_trace_of_nothing_is_whole() {
    assert_eq!(read(&native(&[])).unwrap(), []);
}

#[test]
fn a_loop_costs_almost_nothing() {
    let bytes = native(&a_loop(100_000));
    assert_eq!(read(&bytes).unwrap(), a_loop(100_000));
    assert!(bytes.len() < 1000, "{} bytes", bytes.len());
}

#[test]
fn an_instruction_of_many_data_references_comes_back() {
    let mut records = a_loop(1);
    records.extend((0..1000).map(|n| Record::new(RecordKind::Store, VirtAddr::new(n * n), 1)));
    assert_eq!(read(&native(&records)).unwrap(), records);
}

#[test]
fn data_without_any_fetch_comes_back() {
    let data = |n: u64| Record::new(RecordKind::Load, VirtAddr::new(n * 64), 1 << (n % 4));
    let records: Vec<_> = (0..1000).map(data).collect();
    assert_eq!(read(&native(&records)).unwrap(), records);
}

#[test]
fn extremes_come_back() {
    let addrs = [0, u64::MAX, 1, 1 << 63, u64::MAX - 1, 0, 0, u64::MAX];
    let records: Vec<_> = (0..64)
        .map(|n| (RecordKind::ALL[n % 4], addrs[n / 4 % 8], [1, u16::MAX, 512][n % 3]))
        .map(|(kind, addr, size)| Record::new(kind, VirtAddr::new(addr), size))
        .collect();
    assert_eq!(read(&native(&records)).unwrap(), records);
}

#[test]
fn a_reference_of_no_bytes_is_not_written() {
    let mut writer = emt::Writer::new(Vec::new(), "").unwrap();
    writer.write(&a_loop(1)).unwrap();
    let empty = Record::new(RecordKind::Load, VirtAddr::ZERO, 0);
    let message = writer.write(&[a_loop(1)[0], empty]).unwrap_err().to_string();
    assert_eq!(message, "reference 6: expected a size of 1 byte or more, found 0");
    let (bytes, _) = writer.finish().unwrap();
    assert_eq!(read(&bytes).unwrap(), a_loop(1), "nothing was added, and the hash is right");
}

#[test]
fn a_count_can_be_entered_afterwards() {
    let mut writer = emt::Writer::new(Cursor::new(Vec::new()), "counted").unwrap();
    writer.write(&a_loop(7)).unwrap();
    let (output, _) = writer.finish_with_count().unwrap();
    let reader = emt::Reader::new(&output.get_ref()[..]).unwrap();
    assert_eq!(reader.total_records(), Some(35));
    assert_eq!(reader.records().count(), 35);
}

#[test]
fn a_promised_count_must_be_kept() {
    let header = emt::Header { records: Some(6), ..emt::Header::new("") };
    let mut writer = emt::Writer::with_header(Vec::new(), header).unwrap();
    writer.write(&a_loop(1)).unwrap();
    assert!(
        writer.finish().unwrap_err().to_string().contains("as many references as were written")
    );
}

#[test]
fn headers_out_of_range_are_not_written() {
    for block_records in [0, (1 << 20) + 1] {
        let header = emt::Header { block_records, ..emt::Header::new("") };
        assert!(emt::Writer::with_header(Vec::new(), header).is_err());
    }
    assert!(emt::Writer::new(Vec::new(), &"x".repeat(4097)).is_err());
    assert!(emt::Writer::new(Vec::new(), &"x".repeat(4096)).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = native(&a_loop(100));
    for end in 0..bytes.len() {
        assert!(refusal(&bytes[..end]).contains("cut off"), "at {end}");
    }
}

#[test]
fn damage_to_any_bit_is_refused() {
    let bytes = native(&a_loop(3));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn bytes_after_the_footer_are_refused() {
    let bytes = [native(&a_loop(1)), vec![0]].concat();
    let expected = format!("byte {}: expected the end after the footer", bytes.len() - 1);
    assert!(refusal(&bytes).starts_with(&expected));
}

#[test]
fn a_block_left_out_or_out_of_place_is_refused() {
    let records = a_loop(10);
    let whole = check::written(&records).unwrap();
    let starts: Vec<_> = (0..whole.len()).filter(|at| whole[*at..].starts_with(b"BLOK")).collect();
    let [first, second, third] = starts[..] else { panic!("three blocks, not {starts:?}") };
    let without = [&whole[..first], &whole[second..]].concat();
    let swapped =
        [&whole[..first], &whole[second..third], &whole[first..second], &whole[third..]].concat();
    for bytes in [without, swapped] {
        assert!(refusal(&bytes).contains("expected the block that follows the one before"));
    }
    let footer = whole.len() - 32;
    let without_last = [&whole[..third], &whole[footer..]].concat();
    assert!(refusal(&without_last).contains("expected the count of the references"));
}

#[test]
fn a_block_after_one_that_is_not_full_is_refused() {
    let in_blocks = |block_records| {
        let header = emt::Header { block_records, ..emt::Header::new("") };
        let mut writer = emt::Writer::with_header(Vec::new(), header).unwrap();
        writer.write(&a_loop(8)).unwrap();
        let bytes = writer.finish().unwrap().0;
        let is_block = |at: &usize| bytes[*at..].starts_with(b"BLOK");
        let starts: Vec<_> = (0..bytes.len()).filter(is_block).collect();
        (bytes, starts)
    };
    let ((thirties, starts), (tens, ends)) = (in_blocks(30), in_blocks(10));
    let end = thirties.len() - 32;
    assert_eq!((starts.len(), ends.len()), (2, 4));
    let bytes = [&thirties[..end], &tens[ends[3]..]].concat();
    assert!(refusal(&bytes).contains("expected the block that follows"));
    let bytes = [&thirties[..starts[0]], &tens[ends[0]..]].concat();
    assert!(refusal(&bytes).contains("expected the footer, since the last block was not full"));
}

#[test]
fn a_hash_of_other_references_is_found_when_verifying() {
    let (mut bytes, other) = (native(&a_loop(2)), native(&a_loop(3)));
    let at = bytes.len() - 32;
    let hash = other.len() - 20..other.len() - 4;
    bytes[at + 12..at + 28].copy_from_slice(&other[hash]);
    let checksum = crc32fast::hash(&bytes[at..at + 28]);
    bytes[at + 28..].copy_from_slice(&checksum.to_le_bytes());
    assert!(refusal(&bytes).contains("the hash of the references"));
    assert_eq!(emt::Reader::new(&bytes[..]).unwrap().records().count(), 10);
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = native(&[]);
    bytes[8] = 2;
    assert_eq!(refusal(&bytes), "byte 8: expected format version 1, found 2");
}

#[test]
fn what_is_no_block_is_quoted_readably() {
    let mut bytes = native(&[]);
    let at = bytes.len() - 32;
    bytes[at..at + 4].copy_from_slice(b"\x00BAD");
    let expected = format!(r"byte {at}: expected a block or the footer, found \x00BAD");
    assert_eq!(refusal(&bytes), expected);
}

#[test]
fn a_block_header_that_promises_gigabytes_takes_no_memory() {
    let header = emt::Header { block_records: 1 << 20, ..emt::Header::new("") };
    let mut bytes = emt::Writer::with_header(Vec::new(), header).unwrap().finish().unwrap().0;
    bytes.truncate(bytes.len() - 32);
    let mut block = b"BLOK".to_vec();
    block.extend((1u32 << 20).to_le_bytes());
    block.extend(0u64.to_le_bytes());
    block.extend([0xff; 24]);
    block.extend([0; 4]);
    block.extend(crc32fast::hash(&block).to_le_bytes());
    bytes.extend(block);
    let endless = bytes.chain(std::io::repeat(0));
    let error = emt::Reader::new(endless).unwrap().next_chunk().unwrap_err().to_string();
    assert!(error.contains("at most 32 bytes a reference"), "{error}");
}

#[test]
fn seeking_finds_every_reference_of_several_blocks() {
    let records = a_loop(50);
    let bytes = check::written(&records).unwrap();
    let mut reader = emt::Reader::new(Cursor::new(&bytes)).unwrap();
    for from in (0..250).rev() {
        assert_eq!(reader.seek(from as u64).unwrap(), from as u64);
        assert_eq!(reader.next_chunk().unwrap().unwrap()[0], records[from]);
    }
    assert_eq!(reader.seek(1000).unwrap(), 250);
    assert!(reader.next_chunk().unwrap().is_none());
}

quickcheck! {
    fn any_references_come_back(bytes: Vec<u8>) -> Verdict {
        check::round_trip(&bytes)
    }

    fn any_truncation_is_refused(bytes: Vec<u8>, at: usize) -> Verdict {
        check::truncation(&bytes, at)
    }

    fn any_damaged_byte_is_refused(bytes: Vec<u8>, at: usize, flip: u8) -> Verdict {
        check::corruption(&bytes, at, flip)
    }

    fn any_end_can_be_sought(bytes: Vec<u8>, from: u64) -> Verdict {
        check::seek(&bytes, from)
    }

    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) -> Verdict {
        check::native_bytes(&bytes)
    }

    fn any_altered_streams_under_right_checksums_are_read_without_panic(
        bytes: Vec<u8>,
        at: usize,
        flip: u8
    ) -> Verdict {
        check::altered_block(&bytes, at, flip)
    }

    fn any_streams_under_right_checksums_are_read_without_panic(bytes: Vec<u8>) -> Verdict {
        check::hostile_block(&bytes)
    }
}
