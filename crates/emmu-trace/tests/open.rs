//! Opening a trace by its content, its identity, and the trace in the box.

use emmu_property::quickcheck;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{
    ContentHash, ContentHasher, OpenOptions, Record, RecordKind, RecordSource, TextFormat,
    TextWriter, TraceError, TraceFormat, bundled, champsim::Instruction, emt, open,
};
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Read, Write};

const TEXT: &str = "==1== Command: ls\nI  04016b30,3\n L 1ffeffe7e0,8\nI  04016b33,2\n M 10,4\n";

/// `TEXT`: its first 40 bytes compressed by `xz`, and then the rest, one after the other.
const XZ: &[u8] = include_bytes!("compressed/two-streams.xz");
/// `TEXT`: its first 40 bytes compressed by `zstd --check`, and then the rest, one after the other.
const ZSTD: &[u8] = include_bytes!("compressed/two-frames.zst");
/// `TEXT`, compressed by `bzip2`.
const BZIP2: &[u8] = include_bytes!("compressed/text.bz2");

/// The end of the message about compressed data that are not whole.
const DAMAGED: &str = "data are cut off or damaged at this place of the decompressed trace";
/// Number of bytes that tell every compressed format.
const MAGIC_BYTES: usize = 6;

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

/// The references as text of this format.
fn text_of(records: &[Record], format: TextFormat) -> Vec<u8> {
    let mut writer = TextWriter::new(Vec::new(), format, "ls").expect("a heading");
    writer.write(records).expect("references");
    writer.finish().expect("memory")
}

/// The format that these bytes tell.
fn format_of(bytes: &[u8]) -> Result<TraceFormat, String> {
    open(bytes).map(|trace| trace.format()).map_err(|error| error.to_string())
}

#[test]
fn every_encoding_of_a_trace_has_the_same_references_and_the_same_hash() {
    let expected = run(TEXT.as_bytes()).unwrap();
    assert_eq!((expected.0.len(), expected.1.is_some()), (4, true));
    let skippable = [&b"\x5f\x2a\x4d\x18\x03\x00\x00\x00abc"[..], ZSTD].concat();
    for bytes in
        [native(), gzip(TEXT.as_bytes()), gzip(&native()), XZ.to_vec(), ZSTD.to_vec(), skippable]
    {
        assert_eq!(run(&bytes[..]).unwrap(), expected);
        check::any_bytes(&bytes).unwrap();
    }
    for format in [TextFormat::Lackey, TextFormat::Csv] {
        assert_eq!(run(&text_of(&expected.0, format)[..]).unwrap(), expected);
    }
}

#[test]
fn content_tells_the_format() {
    let champsim = Instruction { ip: 0x40_0123, ..Instruction::default() }.to_bytes();
    assert_eq!(format_of(TEXT.as_bytes()), Ok(TraceFormat::Lackey));
    assert_eq!(format_of(b"SB 10\n"), Ok(TraceFormat::Lackey));
    assert_eq!(format_of(b"\nhello\n2 0\nr 10 4"), Ok(TraceFormat::Dinero));
    assert_eq!(format_of(b"size,kind,address\n"), Ok(TraceFormat::Csv));
    assert_eq!(
        format_of(b"size,kind,address,size,pc,pc\n"),
        Ok(TraceFormat::Csv),
        "its reader refuses"
    );
    let long = format!("kind,address,size,{},pc\n", "x".repeat(5000));
    assert_eq!(format_of(long.as_bytes()), Ok(TraceFormat::Csv), "its reader refuses");
    assert_eq!(format_of(&champsim), Ok(TraceFormat::ChampSim));
    assert_eq!(format_of(&native()), Ok(TraceFormat::Native));
}

#[test]
fn a_line_of_valgrind_tells_lackey_whatever_the_program_prints() {
    assert_eq!(format_of(b"0 1\n==1== Lackey\nI  10,2\n"), Ok(TraceFormat::Lackey));
}

#[test]
fn lines_of_two_formats_are_ambiguous_until_the_caller_insists() {
    let text = b"0 1\n\nI  10,2\n";
    let message = "expected a trace of one format, found dinero in line 1 and lackey in line 3";
    assert_eq!(format_of(text).unwrap_err(), message);
    let options = OpenOptions::new().format(TraceFormat::Lackey).lenient(true);
    assert_eq!(options.open(&text[..]).unwrap().records().count(), 1);
}

#[test]
fn a_byte_order_mark_before_a_text_is_no_part_of_it() {
    let texts = [
        ("I  10,2\n", TraceFormat::Lackey),
        ("==1== Lackey\nI  10,2\n", TraceFormat::Lackey),
        ("2 10\n", TraceFormat::Dinero),
        ("\"kind\",address,size\nload,1,1\n", TraceFormat::Csv),
    ];
    for (text, format) in texts {
        let marked = format!("\u{feff}{text}");
        assert_eq!(format_of(marked.as_bytes()), Ok(format));
        assert_eq!(run(marked.as_bytes()).unwrap(), run(text.as_bytes()).unwrap());
    }
    let options = OpenOptions::new().format(TraceFormat::Lackey);
    let records = |text| options.open(text).unwrap().records().collect::<Result<Vec<_>, _>>();
    let message = records(&b"\xef\xbb\xbf X 1,1\n"[..]).unwrap_err().to_string();
    assert_eq!(message, r#"line 1: expected one of the letters I, L, S, M, found " X 1,1""#);
    assert!(records(&b"I  10,2\n\xef\xbb\xbfI  10,2\n"[..]).is_err(), "a mark within the text");
}

#[test]
fn what_is_of_no_format_is_quoted() {
    let expected = "expected a trace, native or of lackey, dinero, csv or champsim; found";
    for (bytes, found) in [
        (&b"hello\n"[..], r#""hello\n""#),
        (b"kind,size\nload,4\n", r#""kind,size\nload,4""#),
        (&[0; 128], r#""\0\0"#),
        (b"\x7fELF\x02\x01\x01", r#""\u{7f}ELF"#),
    ] {
        let message = format_of(bytes).unwrap_err();
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains(found) || found == r#""hello\n""#, "{message}");
    }
}

#[test]
fn only_plausible_instructions_tell_champsim() {
    let good = Instruction { ip: 1 << 40, is_branch: 1, branch_taken: 1, ..Instruction::default() };
    let implausible = [
        Instruction { is_branch: 0, ..good },
        Instruction { ip: 0, ..good },
        Instruction { is_branch: 2, ..good },
        Instruction { ip: 1 << 60, ..good },
        Instruction { source_memory: [0, 0, 0, 1 << 60], ..good },
    ];
    assert_eq!(format_of(&good.to_bytes()), Ok(TraceFormat::ChampSim));
    for other in implausible {
        assert!(format_of(&[good.to_bytes(), other.to_bytes()].concat()).is_err(), "{other:?}");
    }
    assert!(format_of(&[&good.to_bytes()[..], &[0]].concat()).is_err(), "part of an instruction");
    let options = OpenOptions::new().format(TraceFormat::ChampSim);
    assert_eq!(options.open(&implausible[1].to_bytes()[..]).unwrap().records().count(), 1);
}

#[test]
fn formats_are_read_from_their_names() {
    for format in TraceFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    let message = "din".parse::<TraceFormat>().unwrap_err().to_string();
    assert!(message.ends_with(r#"csv and champsim, found "din""#), "{message}");
}

#[test]
fn lines_cannot_be_skipped_in_a_format_without_lines() {
    let refused = OpenOptions::new().lenient(true).open(&native()[..]).err().unwrap();
    let message = "expected lines to skip, found a native trace, which has none";
    assert_eq!(refused.to_string(), message);
}

#[test]
fn other_compressed_files_are_named() {
    let expected = "expected a trace, plain or compressed by gzip, xz or zstd; found";
    assert_eq!(format_of(BZIP2).unwrap_err(), format!("{expected} a bzip2 file"));
    assert_eq!(
        format_of(b"PK\x03\x04\x14\0\0\0").unwrap_err(),
        format!("{expected} a ZIP archive")
    );
}

#[test]
fn a_compressed_file_inside_another_is_named() {
    let expected = "expected a trace, plain or compressed by gzip, xz or zstd; found";
    for (inner, name) in [(XZ, "an xz file"), (ZSTD, "a zstd file"), (BZIP2, "a bzip2 file")] {
        let message = format!("{expected} {name} inside a gzip file");
        assert_eq!(format_of(&gzip(inner)).unwrap_err(), message);
    }
}

#[test]
fn two_bytes_of_an_address_do_not_tell_gzip() {
    for ip in [0x40_8b1f, 0x4008_8b1f] {
        let bytes = Instruction { ip, ..Instruction::default() }.to_bytes();
        assert_eq!(format_of(&bytes), Ok(TraceFormat::ChampSim), "{ip:#x}");
        assert_eq!(run(&bytes[..]).unwrap().0.len(), 1);
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
fn a_truncated_compressed_file_is_refused() {
    for whole in [gzip(TEXT.as_bytes()), gzip(&native()), XZ.to_vec(), ZSTD.to_vec()] {
        let second = (2..whole.len()).find(|at| whole[*at..].starts_with(&whole[..6]));
        let ends = (2..whole.len()).filter(|end| Some(*end) != second);
        for end in ends {
            let message = run(&whole[..end]).unwrap_err().to_string();
            let is_clear = message.ends_with(DAMAGED) || end < MAGIC_BYTES;
            assert!(is_clear, "at {end} of {}: {message}", whole.len());
        }
    }
}

#[test]
fn a_damaged_xz_or_zstd_file_is_refused() {
    // Zstandard has a checksum of the contents only; it is in the last four bytes.
    for (whole, covered) in [(XZ, 0), (ZSTD, ZSTD.len() - 4)] {
        for at in covered..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 0x04;
            let message = run(&damaged[..]).unwrap_err().to_string();
            let is_clear = message.ends_with(DAMAGED) || at < MAGIC_BYTES;
            assert!(is_clear, "at {at} of {}: {message}", whole.len());
        }
    }
}

#[test]
fn a_window_that_is_too_large_is_no_damage() {
    // A frame of RFC 8878, 3.1.1.1, with a window of 256 MiB and without a size of its content.
    let frame = b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00";
    let message = run(&frame[..]).unwrap_err().to_string();
    assert_eq!(message, "byte 0: the zstd data need a window of more than 128 MiB");
}

#[test]
fn a_refusal_by_the_system_is_no_damage() {
    struct Refuses;
    impl Read for Refuses {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    for whole in [gzip(TEXT.as_bytes()), XZ.to_vec(), ZSTD.to_vec()] {
        for end in [10, whole.len() / 2] {
            let message = run(whole[..end].chain(Refuses)).unwrap_err().to_string();
            let system = io::Error::from_raw_os_error(5).to_string();
            assert!(message.ends_with(&system), "{message}");
        }
    }
}

#[test]
fn a_damaged_magic_is_refused() {
    let mut bytes = native();
    bytes[0] = b'E';
    assert!(run(&bytes[..]).unwrap_err().to_string().contains(r#"found "EEMT"#));
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

quickcheck! {
    fn any_bytes_are_read_alike_whole_and_in_parts(bytes: Vec<u8>) -> Verdict {
        check::any_bytes(&bytes)
    }

    fn any_damaged_compressed_bytes_are_read_alike(which: bool, at: usize, flip: u8) -> Verdict {
        let mut bytes = if which { XZ } else { ZSTD }.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        check::any_bytes(&bytes)
    }
}
