//! Starting in the middle of a native trace.

use super::reader::{Part, Reader};
use crate::error::Position;
use crate::{TraceError, source::CHUNK_RECORDS};
use std::io::{Read, Seek, SeekFrom};

impl<R: Read + Seek> Reader<R> {
    /// Goes to reference number `record`, from 0: the next chunk begins with it. The trace must begin where
    /// the input does. One header is read for each block on the way, and one block is decoded. Returns the
    /// number that was reached, which is less than `record` if the trace is shorter.
    ///
    /// References that are left out are not hashed, so a [`verifying`](Self::verifying) reader stops to verify.
    ///
    /// # Errors
    /// Returns the errors of reading; but damage in blocks on the way is not noticed.
    pub fn seek(&mut self, record: u64) -> Result<u64, TraceError> {
        self.rewind()?;
        loop {
            match self.next_part()? {
                Part::Footer(footer) => {
                    self.end(footer)?;
                    return Ok(self.next);
                }
                Part::Block(header) if self.next > record => {
                    self.read_block(header)?;
                    self.skip_in_block(usize::try_from(record - header.first).unwrap_or(0))?;
                    return Ok(record);
                }
                Part::Block(header) => self.hop(header.compressed)?,
            }
        }
    }

    /// Goes back to the first block.
    fn rewind(&mut self) -> Result<(), TraceError> {
        self.restart();
        self.input.offset = self.header_bytes;
        self.move_to(SeekFrom::Start(self.header_bytes))
    }

    /// Goes `bytes` forward.
    fn hop(&mut self, bytes: u32) -> Result<(), TraceError> {
        self.input.offset += u64::from(bytes);
        self.move_to(SeekFrom::Current(bytes.into()))
    }

    fn move_to(&mut self, to: SeekFrom) -> Result<(), TraceError> {
        let at = Position::Byte(self.input.offset);
        self.input.input.seek(to).map(|_| ()).map_err(|source| TraceError::Io { at, source })
    }

    /// Decodes the block's first `count` references, and drops them.
    fn skip_in_block(&mut self, mut count: usize) -> Result<(), TraceError> {
        while count > 0 {
            self.decode_chunk(count.min(CHUNK_RECORDS))?;
            let skipped = count.min(self.chunk.len());
            self.chunk.drain(..skipped);
            count -= skipped;
        }
        self.chunk_is_next = !self.chunk.is_empty();
        Ok(())
    }
}
