//! What must hold of the readers and the writer for any bytes whatever: for `cargo test` and for fuzzers.
//!
//! Each check takes raw bytes and returns what it found broken. None panics by itself, so a panic is a finding.

use crate::emt::{self, Header};
use crate::{LackeyReader, Record, RecordKind, RecordSource, TraceError, open};
use emmu_core::VirtAddr;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use std::io::{Read, Write};

/// What a check found, or nothing.
pub type Verdict = Result<(), String>;

/// Reads any bytes as a native trace. If that succeeds, the references must survive being written again.
///
/// # Errors
/// If they do not.
pub fn native_bytes(bytes: &[u8]) -> Verdict {
    match read_native(bytes) {
        Ok(records) => same(&rewritten(&records)?, &records),
        Err(error) => explained(&error),
    }
}

/// Reads any bytes as lackey's text. If that succeeds, the references must survive being printed.
///
/// # Errors
/// If they do not.
pub fn lackey_bytes(bytes: &[u8]) -> Verdict {
    match LackeyReader::new(bytes).records().collect::<Result<Vec<_>, _>>() {
        Ok(records) => {
            let text: String = records.iter().map(|record| format!("{record}\n")).collect();
            let again = LackeyReader::new(text.as_bytes()).records().collect::<Result<Vec<_>, _>>();
            same(&again.map_err(|error| format!("own text is refused: {error}"))?, &records)
        }
        Err(error) => explained(&error),
    }
}

/// Reads any bytes as whatever they look like.
///
/// # Errors
/// If an error explains nothing.
pub fn any_bytes(bytes: &[u8]) -> Verdict {
    let records = open(bytes).and_then(|trace| trace.records().collect::<Result<Vec<_>, _>>());
    records.map_or_else(|error| explained(&error), |_| Ok(()))
}

/// Takes any bytes for the streams of a block, puts the right checksums on them and reads the block.
///
/// # Errors
/// If an error explains nothing, or a block gives other than the number of references it says.
pub fn hostile_block(bytes: &[u8]) -> Verdict {
    let (shape, streams) = bytes.split_at(bytes.len().min(6));
    let shape: [usize; 6] = std::array::from_fn(|at| shape.get(at).copied().unwrap_or(0).into());
    let mut rest = streams.len();
    let mut lengths = [0; 5];
    for (length, cut) in lengths.iter_mut().zip(&shape[1..5]) {
        *length = rest * cut / 256;
        rest -= *length;
    }
    lengths[4] = rest;
    read_block(1 + streams.len() / 8 + shape[0], lengths, streams)
}

/// Flips bits in the streams of a good block, puts the right checksums on them and reads the block.
///
/// # Errors
/// If an error explains nothing, or a block gives other than the number of references it says.
pub fn altered_block(bytes: &[u8], at: usize, flip: u8) -> Verdict {
    let records = records(bytes);
    if records.is_empty() {
        return Ok(());
    }
    let native = write(&records, Header::new(""))?;
    let block = &native[EMPTY_HEADER..];
    let number =
        |at: usize| block[at..at + 4].iter().rev().fold(0, |n, byte| n << 8 | *byte as usize);
    let lengths = std::array::from_fn(|stream| number(20 + 4 * stream));
    let mut streams = vec![];
    let inflated = DeflateDecoder::new(&block[48..]).read_to_end(&mut streams);
    inflated.map_err(|error| format!("own block does not inflate: {error}"))?;
    let at = at % streams.len();
    streams[at] ^= flip.max(1);
    read_block(records.len(), lengths, &streams)
}

/// Bytes of a header without provenance.
const EMPTY_HEADER: usize = 28;

/// Reads a trace of one block of `count` references with these streams and right checksums.
fn read_block(count: usize, lengths: [usize; 5], streams: &[u8]) -> Verdict {
    let mut trace = write(&[], Header::new(""))?;
    trace.truncate(EMPTY_HEADER);
    trace.extend(block(count, lengths, streams)?);
    match count_chunks(&trace) {
        Ok(found) if found == count => Ok(()),
        Ok(found) => Err(format!("{found} references came from a block of {count}")),
        Err(error) => explained(&error),
    }
}

fn block(count: usize, lengths: [usize; 5], streams: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder.write_all(streams).and_then(|()| encoder.finish());
    let compressed = compressed.map_err(|error| format!("deflating fails: {error}"))?;
    let mut bytes = b"BLOK".to_vec();
    bytes.extend(u32_of(count).to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(u32_of(compressed.len()).to_le_bytes());
    bytes.extend(lengths.into_iter().flat_map(|length| u32_of(length).to_le_bytes()));
    bytes.extend(crc32fast::hash(&compressed).to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(compressed);
    Ok(bytes)
}

fn u32_of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How many references come before the end of the file, which is taken for the end of the trace.
fn count_chunks(bytes: &[u8]) -> Result<usize, TraceError> {
    let mut reader = emt::Reader::new(bytes)?;
    let mut found = 0;
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => found += chunk.len(),
            Ok(None) | Err(TraceError::Truncated { .. }) => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

/// Writes the references that [`records`] makes of the bytes and reads them back.
///
/// # Errors
/// If other references come back, or the hash is not theirs.
pub fn round_trip(bytes: &[u8]) -> Verdict {
    let records = records(bytes);
    same(&rewritten(&records)?, &records)
}

/// Cuts the native trace of the references that [`records`] makes of the bytes, `at` bytes from its start.
///
/// # Errors
/// If the rest passes for a whole trace.
pub fn truncation(bytes: &[u8], at: usize) -> Verdict {
    let native = written(&records(bytes))?;
    let at = at % native.len();
    match read_native(&native[..at]) {
        Ok(_) => Err(format!("{at} bytes of {} pass for a whole trace", native.len())),
        Err(error) => explained(&error),
    }
}

/// Flips the bits of `flip` in the byte `at` of the native trace of the references that [`records`] makes of the bytes.
///
/// # Errors
/// If the damage is not noticed.
pub fn corruption(bytes: &[u8], at: usize, flip: u8) -> Verdict {
    let mut native = written(&records(bytes))?;
    let at = at % native.len();
    native[at] ^= flip.max(1);
    match read_native(&native) {
        Ok(_) => Err(format!("damage in byte {at} passes unnoticed")),
        Err(error) => explained(&error),
    }
}

/// Reads the native trace of the references that [`records`] makes of the bytes from reference `from` on.
///
/// # Errors
/// If they are not the last ones.
pub fn seek(bytes: &[u8], from: u64) -> Verdict {
    let records = records(bytes);
    let native = written(&records)?;
    let from = from % (records.len() as u64 + 2);
    let rest = records.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    let found = read_from(&native, from).map_err(|error| format!("seeking fails: {error}"))?;
    same(&found, rest)
}

/// A sequence of references that these bytes stand for: runs of a program's habits and the extremes.
#[must_use]
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut records = vec![];
    let (mut pc, mut data) = (0x0401_0000_u64, 0x1f_feff_e000_u64);
    for step in bytes.chunks(3) {
        let [code, a, b] = std::array::from_fn(|index| step.get(index).copied().unwrap_or(0));
        let (offset, size) = (u64::from(a).wrapping_sub(128), u16::from(b % 64) + 1);
        match code % 8 {
            0..=2 => pc = pc.wrapping_add(offset),
            3 => pc = 0x0401_0000 + u64::from(a % 8) * 16,
            4 => data = data.wrapping_add(offset),
            5 => data = u64::from(a) << (b % 64),
            6 => data = 0u64.wrapping_sub(u64::from(a % 2)),
            _ => pc = u64::MAX - u64::from(a % 2),
        }
        let size = if code == 255 { u16::MAX } else { size };
        let kind = RecordKind::from_number(u64::from(code >> 6)).unwrap_or(RecordKind::Fetch);
        let addr = if kind == RecordKind::Fetch { pc } else { data };
        records.push(Record::new(kind, VirtAddr::new(addr), size));
    }
    records
}

/// The native trace of these references, in blocks so small that there are several.
///
/// # Errors
/// If it cannot be written.
pub fn written(records: &[Record]) -> Result<Vec<u8>, String> {
    write(records, Header { block_records: 20, ..Header::new("a check") })
}

fn write(records: &[Record], header: Header) -> Result<Vec<u8>, String> {
    let write = || {
        let mut writer = emt::Writer::with_header(Vec::new(), header)?;
        writer.write(records)?;
        writer.finish()
    };
    write().map(|(bytes, _)| bytes).map_err(|error: TraceError| format!("writing fails: {error}"))
}

fn rewritten(records: &[Record]) -> Result<Vec<Record>, String> {
    read_native(&written(records)?).map_err(|error| format!("own trace is refused: {error}"))
}

fn read_native(bytes: &[u8]) -> Result<Vec<Record>, TraceError> {
    emt::Reader::new(bytes)?.verifying().records().collect()
}

fn read_from(bytes: &[u8], from: u64) -> Result<Vec<Record>, TraceError> {
    let mut reader = emt::Reader::new(std::io::Cursor::new(bytes))?;
    reader.seek(from)?;
    reader.records().collect()
}

fn same(found: &[Record], expected: &[Record]) -> Verdict {
    if found == expected {
        return Ok(());
    }
    let first = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} references came back for {}; number {first} differs",
        found.len(),
        expected.len()
    ))
}

/// Whether the message of an error is one: a line, not too long.
fn explained(error: &TraceError) -> Verdict {
    let message = error.to_string();
    let fine = (10..500).contains(&message.len()) && !message.contains('\n');
    fine.then_some(()).ok_or_else(|| format!("not a message: {message:?}"))
}
