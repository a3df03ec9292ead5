//! Writing a native trace.

use super::encode::{Encoder, STREAMS};
use super::layout::{BlockHeader, Footer, Header};
use crate::error::Position;
use crate::{ContentHasher, Record, RecordSource, TraceError};
use flate2::{Compression, write::DeflateEncoder};
use std::io::{self, Seek, SeekFrom, Write};

/// Writes a native trace to any output, one block at a time.
///
/// A trace without [`finish`](Self::finish) has no footer and is read as cut off.
///
/// ```
/// use emmu_core::VirtAddr;
/// use emmu_trace::{Record, RecordKind, RecordSource, emt};
/// let record = Record::new(RecordKind::Load, VirtAddr::new(0x1000), 8);
/// let mut writer = emt::Writer::new(Vec::new(), "an example")?;
/// writer.write(&[record; 1000])?;
/// let (bytes, footer) = writer.finish()?;
/// assert_eq!(footer.records, 1000);
/// assert_eq!(emt::Reader::new(&bytes[..])?.records().count(), 1000);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
    header: Header,
    offset: u64,
    records: u64,
    encoder: Encoder,
    hasher: ContentHasher,
}

impl<W: Write> Writer<W> {
    /// Begins a trace of unknown length with blocks of the usual size.
    ///
    /// # Errors
    /// Returns an error if the provenance is longer than 4096 bytes or the output refuses.
    pub fn new(output: W, provenance: &str) -> Result<Self, TraceError> {
        Self::with_header(output, Header::new(provenance))
    }

    /// Begins a trace with this header. If it has a count, as many references must follow.
    ///
    /// # Errors
    /// Returns an error if the header has a block size or a provenance out of range, or the output refuses.
    pub fn with_header(output: W, header: Header) -> Result<Self, TraceError> {
        let bytes = header.to_bytes()?;
        let (encoder, hasher) = (Encoder::new(), ContentHasher::new());
        let mut writer = Self { output, header, offset: 0, records: 0, encoder, hasher };
        writer.put(&bytes)?;
        Ok(writer)
    }

    /// Adds references to the end of the trace.
    ///
    /// # Errors
    /// Returns an error if a reference has size 0, and adds none then; or if the output refuses.
    pub fn write(&mut self, records: &[Record]) -> Result<(), TraceError> {
        if let Some(at) = records.iter().position(|record| record.size == 0) {
            return Err(TraceError::EmptyReference { record: self.records + at as u64 });
        }
        for record in records {
            self.encoder.push(*record);
            self.records += 1;
            if self.encoder.records() == self.header.block_records {
                self.end_block()?;
            }
        }
        self.hasher.update(records);
        Ok(())
    }

    /// Adds all references of `source`, to its end.
    ///
    /// # Errors
    /// Returns the errors of reading `source` and of [`write`](Self::write).
    pub fn import(&mut self, source: &mut (impl RecordSource + ?Sized)) -> Result<(), TraceError> {
        while let Some(records) = source.next_chunk()? {
            self.write(records)?;
        }
        Ok(())
    }

    /// Ends the trace, and returns the output and the footer.
    ///
    /// # Errors
    /// Returns an error if the header promised another count or the output refuses.
    pub fn finish(mut self) -> Result<(W, Footer), TraceError> {
        if let Some(promised) = self.header.records.filter(|count| *count != self.records) {
            let expected = "as many references as were written";
            return Err(TraceError::Header { expected, found: promised });
        }
        if self.encoder.records() > 0 {
            self.end_block()?;
        }
        let footer = Footer { records: self.records, hash: self.hasher.finish() };
        self.put(&footer.to_bytes())?;
        self.output.flush().map_err(|source| refused(self.offset, source))?;
        Ok((self.output, footer))
    }

    fn end_block(&mut self) -> Result<(), TraceError> {
        let records = self.encoder.records();
        let streams = self.encoder.finish();
        let compressed = compress(streams).map_err(|source| refused(self.offset, source))?;
        let header = BlockHeader {
            records,
            first: self.records - u64::from(records),
            compressed: length(&compressed),
            streams: streams.map(length),
            checksum: crc32fast::hash(&compressed),
        };
        self.encoder.reset();
        self.put(&header.to_bytes())?;
        self.put(&compressed)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.output.write_all(bytes).map_err(|source| refused(self.offset, source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Ends the trace and enters the count in its header, so that a reader knows it from the beginning. The trace
    /// must begin where the output does.
    ///
    /// # Errors
    /// Returns the errors of [`finish`](Self::finish).
    pub fn finish_with_count(self) -> Result<(W, Footer), TraceError> {
        let header = Header { records: Some(self.records), ..self.header.clone() }.to_bytes()?;
        let (mut output, footer) = self.finish()?;
        enter(&mut output, &header).map_err(|source| refused(0, source))?;
        Ok((output, footer))
    }
}

/// Overwrites the beginning of the output and goes back to its end.
fn enter(output: &mut (impl Write + Seek), header: &[u8]) -> io::Result<()> {
    output.seek(SeekFrom::Start(0))?;
    output.write_all(header)?;
    output.seek(SeekFrom::End(0))?;
    output.flush()
}

fn compress(streams: [&[u8]; STREAMS]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    streams.into_iter().try_for_each(|stream| encoder.write_all(stream))?;
    encoder.finish()
}

/// Returns a length within a block, where none comes near 2^32.
fn length(bytes: impl AsRef<[u8]>) -> u32 {
    u32::try_from(bytes.as_ref().len()).unwrap_or(u32::MAX)
}

const fn refused(offset: u64, source: io::Error) -> TraceError {
    TraceError::Io { at: Position::Byte(offset), source }
}
