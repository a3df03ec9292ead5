//! Reading a native trace.

use super::decode::Decoder;
use super::layout::{
    BLOCK_HEADER, BLOCK_TAG, BlockHeader, FOOTER, FOOTER_TAG, Footer, HEADER_FIXED, Header,
    check_sum, format_error,
};
use crate::error::Position;
use crate::source::CHUNK_RECORDS;
use crate::{ContentHash, ContentHasher, Record, RecordSource, TraceError};
use flate2::bufread::DeflateDecoder;
use std::io::{self, Read};

/// Reads a native trace, one block in memory at a time. Reads in small pieces: give it a buffered input.
///
/// ```
/// use emmu_trace::{RecordSource, bundled, emt};
/// let mut reader = emt::Reader::new(bundled())?;
/// let mut bytes_touched = 0;
/// if let Some(records) = reader.next_chunk()? {
///     bytes_touched += records.iter().map(|record| u64::from(record.size)).sum::<u64>();
/// }
/// assert!(bytes_touched > 1000);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    pub(super) input: Input<R>,
    header: Header,
    /// Place of the first block.
    pub(super) header_bytes: u64,
    /// Number of the next reference that is not in a block read so far.
    pub(super) next: u64,
    /// Place of the block that is being decoded.
    block: u64,
    decoder: Decoder,
    pub(super) chunk: Vec<Record>,
    /// True while `chunk` waits to be delivered.
    pub(super) chunk_is_next: bool,
    footer: Option<Footer>,
    hasher: Option<ContentHasher>,
}

/// A part of the file after the header.
pub(super) enum Part {
    Block(BlockHeader),
    Footer(Footer),
}

impl<R: Read> Reader<R> {
    /// Reads the header of the trace that `input` delivers.
    ///
    /// # Errors
    /// Returns an error if it is not the header of a native trace of a version that this reader knows.
    pub fn new(input: R) -> Result<Self, TraceError> {
        let mut input = Input { input, offset: 0 };
        let header = read_header(&mut input)?;
        Ok(Self {
            header_bytes: input.offset,
            input,
            header,
            next: 0,
            block: 0,
            decoder: Decoder::new(),
            chunk: Vec::with_capacity(CHUNK_RECORDS * 2),
            chunk_is_next: false,
            footer: None,
            hasher: None,
        })
    }

    /// Also computes the hash of the references from now on, and compares it with the footer's at the end.
    /// The checksums find accidents without that; the hash finds a footer that was written for other references.
    #[must_use]
    pub fn verifying(mut self) -> Self {
        self.hasher = Some(ContentHasher::new());
        self
    }

    /// Returns the header of the trace.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the footer of the trace, once that has been read.
    pub const fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// Forgets what was read after the header.
    pub(super) fn restart(&mut self) {
        (self.next, self.footer, self.hasher) = (0, None, None);
        self.chunk.clear();
    }

    /// Makes references ready to be decoded. Returns false at the end of the trace.
    fn begin_block(&mut self) -> Result<bool, TraceError> {
        if self.footer.is_some() {
            return Ok(false);
        }
        match self.next_part()? {
            Part::Block(header) => self.read_block(header).map(|()| true),
            Part::Footer(footer) => self.end(footer).map(|()| false),
        }
    }

    pub(super) fn next_part(&mut self) -> Result<Part, TraceError> {
        let offset = self.input.offset;
        let tag = self.input.array::<4>("body, before a block or the footer")?;
        match tag {
            BLOCK_TAG => self.block_header(offset).map(Part::Block),
            FOOTER_TAG => {
                let bytes = self.input.array_after::<FOOTER>(tag, "footer")?;
                Footer::from_bytes(&bytes, offset).map(Part::Footer)
            }
            other => Err(format_error(offset, "a block or the footer", other.escape_ascii())),
        }
    }

    fn block_header(&mut self, offset: u64) -> Result<BlockHeader, TraceError> {
        let bytes = self.input.array_after::<BLOCK_HEADER>(BLOCK_TAG, "block header")?;
        let header = BlockHeader::from_bytes(&bytes, offset, self.header.block_records)?;
        if header.first != self.next {
            let expected = "the block that follows the one before";
            return Err(format_error(offset + 8, expected, header.first));
        }
        if !self.next.is_multiple_of(self.header.block_records.into()) {
            return Err(format_error(
                offset,
                "the footer, since the last block was not full",
                "a block",
            ));
        }
        self.block = offset;
        self.next = header.first.saturating_add(header.records.into());
        Ok(header)
    }

    pub(super) fn read_block(&mut self, header: BlockHeader) -> Result<(), TraceError> {
        let payload = self.input.offset;
        let compressed = self.input.bytes(header.compressed.into(), "block")?;
        check_sum(&compressed, header.checksum, payload, "block")?;
        let streams = inflate(&compressed, &header, self.decoder.take_buffer())
            .map_err(|source| TraceError::Io { at: Position::Byte(payload), source })?;
        if streams.len() as u64 != header.stream_bytes() {
            let expected = "streams as long as the block header says";
            return Err(format_error(payload, expected, streams.len()));
        }
        let begun = self.decoder.begin(
            header.records as usize,
            streams,
            header.streams.map(|bytes| bytes as usize),
        );
        begun.map_err(|expected| self.malformed(expected))
    }

    /// Decodes at least `enough` references into the chunk, if the block has them.
    pub(super) fn decode_chunk(&mut self, enough: usize) -> Result<(), TraceError> {
        self.chunk.clear();
        let decoded = self.decoder.decode(&mut self.chunk, enough);
        decoded.map_err(|expected| self.malformed(expected))
    }

    /// Makes the error that the block that is being decoded breaks the format's rules.
    fn malformed(&self, expected: &'static str) -> TraceError {
        format_error(self.block, expected, "another")
    }

    /// Checks the footer against what was read, and that nothing follows it.
    pub(super) fn end(&mut self, footer: Footer) -> Result<(), TraceError> {
        let offset = self.input.offset - FOOTER as u64;
        if footer.records != self.next {
            let expected = "the count of the references before the footer";
            return Err(format_error(offset + 4, expected, footer.records));
        }
        if let Some(promised) = self.header.records.filter(|count| *count != footer.records) {
            return Err(format_error(16, "the count that the footer has", promised));
        }
        if let Some(hash) = self.hasher.as_ref().map(ContentHasher::finish)
            && hash != footer.hash
        {
            return Err(format_error(offset + 12, "the hash of the references", footer.hash));
        }
        self.input.expect_end()?;
        self.footer = Some(footer);
        Ok(())
    }
}

impl<R: Read> RecordSource for Reader<R> {
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError> {
        if std::mem::take(&mut self.chunk_is_next) {
            return Ok(Some(&self.chunk));
        }
        if self.decoder.remaining() == 0 && !self.begin_block()? {
            return Ok(None);
        }
        self.decode_chunk(CHUNK_RECORDS)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.chunk);
        }
        Ok(Some(&self.chunk))
    }

    fn total_records(&self) -> Option<u64> {
        self.footer.map(|footer| footer.records).or(self.header.records)
    }

    fn provenance(&self) -> Option<&str> {
        Some(&self.header.provenance)
    }

    fn content_hash(&self) -> Option<ContentHash> {
        self.footer.map(|footer| footer.hash)
    }
}

fn read_header(input: &mut Input<impl Read>) -> Result<Header, TraceError> {
    let fixed = input.array::<HEADER_FIXED>("header")?;
    let rest = input.bytes(Header::rest(&fixed)? as u64, "header")?;
    Header::from_bytes(&[&fixed[..], &rest].concat())
}

/// Decompresses the streams of a block, but no more than one byte too many.
fn inflate(compressed: &[u8], header: &BlockHeader, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    bytes.clear();
    DeflateDecoder::new(compressed).take(header.stream_bytes() + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An input that counts its bytes.
#[derive(Debug)]
pub(super) struct Input<R> {
    pub(super) input: R,
    pub(super) offset: u64,
}

impl<R: Read> Input<R> {
    /// Reads the next `N` bytes.
    fn array<const N: usize>(&mut self, inside: &'static str) -> Result<[u8; N], TraceError> {
        let mut array = [0; N];
        self.fill(&mut array, inside)?;
        Ok(array)
    }

    /// Reads the bytes after `tag` that make it `N`, and returns all.
    fn array_after<const N: usize>(
        &mut self,
        tag: [u8; 4],
        inside: &'static str,
    ) -> Result<[u8; N], TraceError> {
        let mut array = [0; N];
        let (head, rest) = array.split_at_mut(tag.len());
        head.copy_from_slice(&tag);
        self.fill(rest, inside)?;
        Ok(array)
    }

    fn fill(&mut self, bytes: &mut [u8], inside: &'static str) -> Result<(), TraceError> {
        let read = self.bytes(bytes.len() as u64, inside)?;
        bytes.copy_from_slice(&read);
        Ok(())
    }

    /// Reads the next `length` bytes. Memory grows with the bytes that are there, not with the bytes that are asked for.
    fn bytes(&mut self, length: u64, inside: &'static str) -> Result<Vec<u8>, TraceError> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(length).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        read.map_err(|source| TraceError::Io { at: Position::Byte(self.offset), source })?;
        if (bytes.len() as u64) < length {
            return Err(TraceError::Truncated { offset: self.offset, inside });
        }
        Ok(bytes)
    }

    fn expect_end(&mut self) -> Result<(), TraceError> {
        match self.bytes(1, "end") {
            Err(TraceError::Truncated { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(format_error(self.offset - 1, "the end after the footer", "more bytes")),
        }
    }
}
