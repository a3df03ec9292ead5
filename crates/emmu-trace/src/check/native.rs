//! Checks of the native format.

use super::{Verdict, explained, records, same};
use crate::emt::{self, Header};
use crate::{Record, RecordSource, TraceError};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use std::io::{Read, Write};

/// Reads any bytes as a native trace. If that succeeds, the references must survive being written again.
///
/// # Errors
/// Returns a finding if they do not.
pub fn native_bytes(bytes: &[u8]) -> Verdict {
    match read_native(bytes) {
        Ok(records) => same(&rewritten(&records)?, &records),
        Err(error) => explained(&error),
    }
}

/// Takes any bytes for the streams of a block, puts the right checksums on them and reads the block.
///
/// # Errors
/// Returns a finding if an error explains nothing, or a block gives other than the number of references it says.
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
/// Returns a finding if an error explains nothing, or a block gives other than the number of references it says.
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

/// Length of a header without provenance, in bytes.
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

/// Counts the references before the end of the file, which is taken for the end of the trace.
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
/// Returns a finding if other references come back, or the hash is not theirs.
pub fn round_trip(bytes: &[u8]) -> Verdict {
    let records = records(bytes);
    same(&rewritten(&records)?, &records)
}

/// Cuts the native trace of the references that [`records`] makes of the bytes, `at` bytes from its start.
///
/// # Errors
/// Returns a finding if the rest passes for a whole trace.
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
/// Returns a finding if the damage is not noticed.
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
/// Returns a finding if they are not the last ones.
pub fn seek(bytes: &[u8], from: u64) -> Verdict {
    let records = records(bytes);
    let native = written(&records)?;
    let from = from % (records.len() as u64 + 2);
    let rest = records.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    let found = read_from(&native, from).map_err(|error| format!("seeking fails: {error}"))?;
    same(&found, rest)
}

/// Returns the native trace of these references, in blocks so small that there are several.
///
/// # Errors
/// Returns a finding if it cannot be written.
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
