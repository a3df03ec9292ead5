//! Checks of inputs that may be anything: binary traces, compressed ones, and ones told by their content.

use super::{Verdict, collect, explained, same};
use crate::champsim::{ChampSimReader, INSTRUCTION_BYTES, Instruction};
use crate::{Compression, OpenOptions, Record, TraceError, TraceFormat, open};
use std::io::{self, Read};

/// Most references of one input that are read: a small compressed input may hold a great many.
const MOST_RECORDS: u64 = 1 << 16;

/// Reads any bytes as a ChampSim trace. Instructions that are accepted must survive being written again, and come back
/// as their references.
///
/// # Errors
/// Returns a finding if they do not, or if an error explains nothing.
pub fn champsim_bytes(bytes: &[u8]) -> Verdict {
    let (instructions, _) = bytes.as_chunks::<INSTRUCTION_BYTES>();
    let instructions: Vec<_> = instructions.iter().map(Instruction::from_bytes).collect();
    if instructions
        .iter()
        .flat_map(Instruction::to_bytes)
        .ne(bytes.iter().copied().take(64 * instructions.len()))
    {
        return Err("other bytes are written than were read".to_owned());
    }
    match collect(ChampSimReader::new(bytes)) {
        Ok(records) => {
            let expected: Vec<_> = instructions.iter().flat_map(Instruction::records).collect();
            same(&records, &expected)
        }
        Err(error) => explained(&error),
    }
}

/// Reads any bytes as a trace of the format that they tell, and as one of each format that a caller may insist on. It
/// must make no difference if the bytes come one by one.
///
/// # Errors
/// Returns a finding if it does, or if an error explains nothing.
pub fn any_bytes(bytes: &[u8]) -> Verdict {
    let insisted = TraceFormat::ALL.map(|format| OpenOptions::new().format(format));
    for options in insisted.into_iter().chain([OpenOptions::new()]) {
        comes_in_parts(bytes, options)?;
    }
    open(bytes).map_or_else(|error| explained(&error), |_| Ok(()))
}

fn comes_in_parts(bytes: &[u8], options: OpenOptions) -> Verdict {
    match (read(bytes, options), read(Drip(bytes), options)) {
        (Ok(whole), Ok(parts)) => same(&parts, &whole),
        // A decompressor may find damage earlier or later.
        (Err(whole), Err(_)) if Compression::of(bytes).is_some() => explained(&whole),
        (Err(whole), Err(parts)) if whole.to_string() == parts.to_string() => explained(&whole),
        (whole, parts) => {
            Err(format!("{:?} of the whole is {:?} in parts", whole.err(), parts.err()))
        }
    }
}

fn read<'a>(input: impl Read + Send + 'a, options: OpenOptions) -> Result<Vec<Record>, TraceError> {
    collect(options.open(input)?.with_limit(MOST_RECORDS))
}

/// An input that delivers one byte at a time, as a slow pipe may.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}
