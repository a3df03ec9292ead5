//! The seam between traces and those who run them.

use crate::{ContentHash, Record, TraceError};

/// References in a usual chunk: few enough to stay in the host's first caches.
pub(crate) const CHUNK_RECORDS: usize = 2048;

/// A stream of references, read in chunks: every trace format is one.
///
/// Memory stays bounded however long the trace is.
pub trait RecordSource {
    /// The next references in trace order, never an empty slice; `None` once the trace has ended whole.
    ///
    /// # Errors
    /// When the trace is malformed, truncated or unreadable: what was read so far is not a whole trace.
    /// The source is then spent, and what a further call returns means nothing.
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError>;

    /// How many references the whole trace holds, if it says so beforehand.
    fn total_records(&self) -> Option<u64> {
        None
    }

    /// Where the trace comes from, in words: usually the command that was recorded.
    fn provenance(&self) -> Option<&str> {
        None
    }

    /// The hash of all references, if the trace carries it and has been read to its end.
    fn content_hash(&self) -> Option<ContentHash> {
        None
    }

    /// The references one by one, for those who need no speed. Ends after the first error.
    fn records(self) -> Records<Self>
    where
        Self: Sized,
    {
        Records { source: self, chunk: vec![], at: 0, spent: false }
    }
}

/// The references of a source one by one: what [`RecordSource::records`] returns.
#[derive(Debug)]
pub struct Records<S> {
    source: S,
    chunk: Vec<Record>,
    /// Where in the chunk the next one is.
    at: usize,
    spent: bool,
}

impl<S: RecordSource> Records<S> {
    /// Fetches one more chunk; false when there is none.
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
