//! Opening a trace without knowing its format.

use crate::emt::{self, MAGIC};
use crate::error::Position;
use crate::{ContentHash, ContentHasher, LackeyReader, Record, RecordSource, TraceError};
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Cursor, Read};

/// The first two bytes of a gzip file (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A trace of any format, or the first part of one.
///
/// Knows the identity of what it delivered: once [`next_chunk`](RecordSource::next_chunk) has returned `None`,
/// [`content_hash`](RecordSource::content_hash) is the hash of the references delivered. For a whole native trace
/// that is the footer's and costs nothing; otherwise it is computed in passing.
pub struct Trace<'a> {
    source: Box<dyn RecordSource + Send + 'a>,
    /// References still to be delivered.
    remaining: u64,
    limit: u64,
    /// Absent if the source carries its hash and is read whole.
    hasher: Option<ContentHasher>,
    ended: bool,
}

/// Opens the trace that `input` delivers: native if it begins with its magic bytes, otherwise lackey's text;
/// either may be compressed by gzip.
///
/// ```
/// use emmu_trace::{RecordSource, open};
/// let mut trace = open(&b"I  04016b30,3\n S 1ffeffe7e0,8\n"[..])?;
/// let mut references = 0;
/// while let Some(chunk) = trace.next_chunk()? {
///     references += chunk.len();
/// }
/// assert_eq!(references, 2);
/// assert!(trace.content_hash().is_some());
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
///
/// # Errors
/// If the input is empty or cannot be read, or has a damaged header.
pub fn open<'a>(input: impl Read + Send + 'a) -> Result<Trace<'a>, TraceError> {
    let (start, input) = sniff(Box::new(BufReader::new(input)))?;
    if !start.starts_with(&GZIP) {
        return open_plain(&start, input);
    }
    let (start, input) = sniff(Box::new(BufReader::new(MultiGzDecoder::new(input))))?;
    open_plain(&start, input)
}

type Input<'a> = Box<dyn BufRead + Send + 'a>;

fn open_plain<'a>(start: &[u8], input: Input<'a>) -> Result<Trace<'a>, TraceError> {
    if start.is_empty() {
        Err(TraceError::Empty)
    } else if start == MAGIC {
        emt::Reader::new(input).map(|reader| Trace::new(Box::new(reader), None))
    } else {
        Ok(Trace::new(Box::new(LackeyReader::new(input)), Some(ContentHasher::new())))
    }
}

/// The first bytes of the input, and the input with them still in front.
fn sniff(mut input: Input<'_>) -> Result<(Vec<u8>, Input<'_>), TraceError> {
    let mut start = vec![];
    let read = input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start);
    read.map_err(|source| TraceError::Io { at: Position::Byte(0), source })?;
    Ok((start.clone(), Box::new(Cursor::new(start).chain(input))))
}

impl<'a> Trace<'a> {
    fn new(source: Box<dyn RecordSource + Send + 'a>, hasher: Option<ContentHasher>) -> Self {
        Self { source, remaining: u64::MAX, limit: u64::MAX, hasher, ended: false }
    }

    /// Ends after `records` references. The rest of the trace is not read, so damage there goes unseen.
    #[must_use]
    pub fn with_limit(mut self, records: u64) -> Self {
        let whole = self.source.total_records().is_some_and(|total| total <= records);
        if !whole {
            (self.limit, self.remaining) = (records, records);
            self.hasher = Some(ContentHasher::new());
        }
        self
    }
}

impl RecordSource for Trace<'_> {
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError> {
        let chunk = if self.remaining > 0 { self.source.next_chunk()? } else { None };
        let Some(chunk) = chunk else {
            self.ended = true;
            return Ok(None);
        };
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(chunk.len());
        let chunk = &chunk[..wanted];
        self.remaining -= wanted as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
        Ok(Some(chunk))
    }

    fn total_records(&self) -> Option<u64> {
        self.source.total_records().map(|total| total.min(self.limit))
    }

    fn provenance(&self) -> Option<&str> {
        self.source.provenance()
    }

    fn content_hash(&self) -> Option<ContentHash> {
        let computed = self.hasher.as_ref().map(ContentHasher::finish);
        computed.or_else(|| self.source.content_hash()).filter(|_| self.ended)
    }
}
