//! The interface between traces and the programs that run them.

use crate::{ContentHash, Record, TraceError};

/// References in a usual chunk: few enough to stay in the host's first caches.
pub(crate) const CHUNK_RECORDS: usize = 2048;

/// A stream of references, read in chunks: every trace format is one.
///
/// Memory stays bounded however long the trace is.
pub trait RecordSource {
    /// Returns the next references in trace order, never an empty slice; `None` once the trace has ended whole.
    ///
    /// # Errors
    /// Returns an error if the trace is malformed, truncated or unreadable: the references so far are not the whole
    /// trace. The source is then spent, and the results of further calls mean nothing.
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError>;

    /// Returns the number of references in the whole trace, if the trace says so beforehand.
    fn total_records(&self) -> Option<u64> {
        None
    }

    /// Returns where the trace comes from, in words: usually the command that was recorded.
    fn provenance(&self) -> Option<&str> {
        None
    }

    /// Returns the hash of all references, if the trace carries it and has been read to its end.
    fn content_hash(&self) -> Option<ContentHash> {
        None
    }

    /// Returns the number of lines that were skipped so far because they are not of the trace's format.
    ///
    /// Only a lenient reader of text skips such lines ([`TextReader::lenient`](crate::TextReader::lenient)).
    fn skipped_lines(&self) -> u64 {
        0
    }

    /// Returns the references one by one, for callers that need no speed. Ends after the first error.
    fn records(self) -> Records<Self>
    where
        Self: Sized,
    {
        Records { source: self, chunk: vec![], at: 0, spent: false }
    }
}

/// The references of a source one by one. [`RecordSource::records`] returns it.
#[derive(Debug)]
pub struct Records<S> {
    source: S,
    chunk: Vec<Record>,
    /// Place of the next reference in the chunk.
    at: usize,
    spent: bool,
}

impl<S: RecordSource> Records<S> {
    /// Fetches one more chunk. Returns false when there is none.
    fn refill(&mut self) -> Result<bool, TraceError> {
        let Some(chunk) = self.source.next_chunk()? else { return Ok(false) };
        self.chunk.clear();
        self.chunk.extend_from_slice(chunk);
        self.at = 0;
        Ok(true)
    }
}

impl<S: RecordSource> Iterator for Records<S> {
    type Item = Result<Record, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.spent {
            if let Some(record) = self.chunk.get(self.at) {
                self.at += 1;
                return Some(Ok(*record));
            }
            match self.refill() {
                Ok(more) => self.spent = !more,
                Err(error) => {
                    self.spent = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// The chunk of a reader that decodes several references at a time: it delivers the references before an error first,
/// and the error with the next call.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    records: Vec<Record>,
    failed: Option<TraceError>,
}

impl Chunk {
    /// Replaces the references by those that `fill` appends, and returns them; `None` if it appends none.
    pub(crate) fn refill(
        &mut self,
        fill: impl FnOnce(&mut Vec<Record>) -> Result<(), TraceError>,
    ) -> Result<Option<&[Record]>, TraceError> {
        self.records.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match fill(&mut self.records) {
            Err(error) if self.records.is_empty() => return Err(error),
            Err(error) => self.failed = Some(error),
            Ok(()) => {}
        }
        Ok((!self.records.is_empty()).then_some(&self.records))
    }
}
