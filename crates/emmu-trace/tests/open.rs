//! Opening a trace by its first bytes, its identity, and the trace in the box.

use emmu_trace::{
    ContentHash, ContentHasher, Record, RecordKind, RecordSource, TraceError, bundled, emt, open,
};
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Read, Write};

const TEXT: &str = "==1== Command: ls\nI  04016b30,3\n L 1ffeffe7e0,8\nI  04016b33,2\n M 10,4\n";

fn native() -> Vec<u8> {
    let mut writer = emt::Writer::new(Vec::new(), "ls").expect("a header");
    writer.import(&mut open(TEXT.as_bytes()).expect("text")).expect("references");
    writer.finish().expect("a footer").0
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
}

/// The references of a trace and its hash.
fn run(input: impl Read + Send) -> Result<(Vec<Record>, Option<ContentHash>), TraceError> {
    run_first(input, u64::MAX)
}

fn run_first(
    input: impl Read + Send,
    limit: u64,
) -> Result<(Vec<Record>, Option<ContentHash>), TraceError> {
    let mut trace = open(input)?.with_limit(limit);
    let mut records = vec![];
    while let Some(chunk) = trace.next_chunk()? {
        records.extend_from_slice(chunk);
    }
    Ok((records, trace.content_hash()))
}

/// An input that delivers one byte at a time, as a slow pipe may.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

#[test]
fn every_encoding_of_a_trace_has_the_same_references_and_the_same_hash() {
    let expected = run(TEXT.as_bytes()).unwrap();
    assert_eq!((expected.0.len(), expected.1.is_some()), (4, true));
    for bytes in [native(), gzip(TEXT.as_bytes()), gzip(&native())] {
        assert_eq!(run(&bytes[..]).unwrap(), expected);
        assert_eq!(run(Drip(&bytes)).unwrap(), expected);
    }
}

#[test]
fn a_limit_ends_the_trace_and_hashes_what_was_delivered() {
    let two: String = TEXT.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let expected = run(two.as_bytes()).unwrap();
    assert_eq!(expected.0.len(), 2);
    for bytes in [TEXT.as_bytes(), &native()] {
        assert_eq!(run_first(bytes, 2).unwrap(), expected);
    }
    assert_eq!(run_first(TEXT.as_bytes(), 0).unwrap().0, []);
}

#[test]
fn a_limit_beyond_the_end_changes_nothing() {
    assert_eq!(run_first(&native()[..], 5).unwrap(), run(&native()[..]).unwrap());
}

#[test]
fn the_hash_is_known_at_the_end_only() {
    let bytes = native();
    let mut trace = open(&bytes[..]).unwrap();
    assert!(trace.next_chunk().unwrap().is_some());
    assert_eq!(trace.content_hash(), None);
}

#[test]
fn an_empty_input_is_no_trace() {
    assert!(matches!(run(io::empty()), Err(TraceError::Empty)));
    assert!(matches!(run(&gzip(b"")[..]), Err(TraceError::Empty)));
}

#[test]
fn a_truncated_gzip_file_is_refused() {
    for whole in [gzip(TEXT.as_bytes()), gzip(&native())] {
        for end in 2..whole.len() {
            assert!(run(&whole[..end]).is_err(), "at {end}");
        }
    }
}

#[test]
fn a_damaged_magic_is_refused_as_text() {
    let mut bytes = native();
    bytes[0] = b'E';
    let message = run(&bytes[..]).unwrap_err().to_string();
    assert!(message.starts_with("line 1: expected one of the letters I, L, S, M"), "{message}");
}

#[test]
fn the_bundled_trace_is_real_whole_and_small() {
    let reader = emt::Reader::new(bundled()).unwrap().verifying();
    let total = reader.total_records().unwrap();
    let mut counts = [0u64; 4];
    for record in reader.records() {
        counts[usize::from(record.unwrap().kind.number())] += 1;
    }
    assert_eq!(counts, [4_769_149, 1_482_570, 666_746, 57_018]);
    assert_eq!(counts.iter().sum::<u64>(), total);
    assert!(bundled().len() < 1 << 20);
}

#[test]
fn the_bundled_trace_has_the_hash_that_its_readme_states() {
    let (mut trace, mut hasher) = (open(bundled()).unwrap(), ContentHasher::new());
    while let Some(chunk) = trace.next_chunk().unwrap() {
        hasher.update(chunk);
    }
    let readme = include_str!("../traces/README.md");
    assert_eq!(trace.content_hash(), Some(hasher.finish()));
    assert!(readme.contains(&hasher.finish().to_string()));
}

#[test]
fn a_modify_is_a_load_and_then_a_store() {
    use emmu_core::AccessKind::{Load, Store};
    assert_eq!(RecordKind::Modify.accesses(), [Load, Store]);
}
