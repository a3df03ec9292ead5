//! Opening a trace of any format.

use crate::error::Position;
use crate::{
    ChampSimReader, Compression, ContentHash, ContentHasher, CsvReader, DineroReader, LackeyReader,
    Record, RecordSource, TextReader, TraceError, TraceFormat, emt, text::LineFormat,
};
use std::io::{BufRead, BufReader, Cursor, Read};

/// Number of bytes at the beginning of a trace by which its format is told.
const TELLING_BYTES: usize = 64 << 10;

/// A trace of any format, or the first part of one.
///
/// Once [`next_chunk`](RecordSource::next_chunk) has returned `None`,
/// [`content_hash`](RecordSource::content_hash) is the hash of the references delivered. For a whole native trace
/// the hash is in the footer and costs nothing; otherwise it is computed in passing.
pub struct Trace<'a> {
    source: Box<dyn RecordSource + Send + 'a>,
    format: TraceFormat,
    /// Number of references still to be delivered.
    remaining: u64,
    limit: u64,
    /// Absent if the source carries its hash and is read whole.
    hasher: Option<ContentHasher>,
    ended: bool,
}

/// Opens the trace that `input` delivers. Its format is told by its content, as [`TraceFormat::of`] says; the input may
/// be compressed by gzip, xz or zstd.
///
/// ```
/// use emmu_trace::{RecordSource, TraceFormat, open};
/// let mut trace = open(&b"I  04016b30,3\n S 1ffeffe7e0,8\n"[..])?;
/// assert_eq!(trace.format(), TraceFormat::Lackey);
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
/// Returns an error if the input is empty or cannot be read, is of no format or of several, or has a damaged header.
pub fn open<'a>(input: impl Read + Send + 'a) -> Result<Trace<'a>, TraceError> {
    OpenOptions::new().open(input)
}

/// Opens a trace in the way that the caller insists on.
///
/// ```
/// use emmu_trace::{OpenOptions, RecordSource, TraceFormat};
/// let printed = b"I  04016b30,3\nHello, world!\n S 1ffeffe7e0,8\n";
/// let options = OpenOptions::new().format(TraceFormat::Lackey).lenient(true);
/// let mut trace = options.open(&printed[..])?;
/// assert_eq!(trace.next_chunk()?.map(<[_]>::len), Some(2));
/// assert_eq!(trace.skipped_lines(), 1);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    format: Option<TraceFormat>,
    lenient: bool,
}

impl OpenOptions {
    /// Returns the options of [`open`]: the content tells the format, and every line must be of it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Insists on a format, whatever the content looks like.
    #[must_use]
    pub const fn format(self, format: TraceFormat) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Skips and counts lines that are not of the format, instead of refusing them.
    #[must_use]
    pub const fn lenient(self, lenient: bool) -> Self {
        Self { lenient, ..self }
    }

    /// Opens the trace that `input` delivers.
    ///
    /// # Errors
    /// Returns the errors of [`open`]; and [`TraceError::NoLines`] if lines are to be skipped in a binary format.
    pub fn open<'a>(self, input: impl Read + Send + 'a) -> Result<Trace<'a>, TraceError> {
        let mut input = Start::of(Box::new(BufReader::new(input)), Compression::MAGIC_BYTES)?;
        if let Some(compression) = Compression::of(&input.bytes) {
            input = input.decompressed(compression)?;
        }
        let format = match self.format {
            Some(_) if input.bytes.is_empty() => return Err(TraceError::Empty),
            Some(format) => format,
            None => input.format()?,
        };
        if self.lenient && !format.is_text() {
            return Err(TraceError::NoLines { format });
        }
        self.reader(format, input.whole())
    }

    fn reader(self, format: TraceFormat, input: Input<'_>) -> Result<Trace<'_>, TraceError> {
        Ok(match format {
            TraceFormat::Native => Trace::new(format, Box::new(emt::Reader::new(input)?), None),
            TraceFormat::Lackey => self.text(format, LackeyReader::new(input)),
            TraceFormat::Dinero => self.text(format, DineroReader::new(input)),
            TraceFormat::Csv => self.text(format, CsvReader::new(input)),
            TraceFormat::ChampSim => Trace::hashed(format, Box::new(ChampSimReader::new(input))),
        })
    }

    fn text<'a, F: LineFormat + Send + 'a>(
        self,
        format: TraceFormat,
        reader: TextReader<Input<'a>, F>,
    ) -> Trace<'a> {
        let reader = if self.lenient { reader.lenient() } else { reader };
        Trace::hashed(format, Box::new(reader))
    }
}

type Input<'a> = Box<dyn BufRead + Send + 'a>;

/// The beginning of an input, and the rest of it.
struct Start<'a> {
    bytes: Vec<u8>,
    rest: Input<'a>,
}

impl<'a> Start<'a> {
    /// Reads the first `length` bytes of the input, or all if there are fewer.
    fn of(rest: Input<'a>, length: usize) -> Result<Self, TraceError> {
        let mut start = Self { bytes: vec![], rest };
        start.extend_to(length)?;
        Ok(start)
    }

    /// Decompresses the input.
    fn decompressed(self, compression: Compression) -> Result<Self, TraceError> {
        let plain = BufReader::new(compression.decompress(self.whole())?);
        let plain = Self::of(Box::new(plain), Compression::MAGIC_BYTES)?;
        match Compression::of(&plain.bytes) {
            Some(inner) => Err(compression.holds(inner)),
            None => Ok(plain),
        }
    }

    fn extend_to(&mut self, length: usize) -> Result<(), TraceError> {
        let missing = length.saturating_sub(self.bytes.len()) as u64;
        let read = self.rest.by_ref().take(missing).read_to_end(&mut self.bytes);
        let at = Position::Byte(self.bytes.len() as u64);
        read.map(|_| ()).map_err(|source| TraceError::Io { at, source })
    }

    /// Tells the format of the trace, and reads as much of it as that takes.
    fn format(&mut self) -> Result<TraceFormat, TraceError> {
        self.extend_to(emt::MAGIC.len())?;
        if self.bytes == emt::MAGIC {
            return Ok(TraceFormat::Native);
        }
        self.extend_to(TELLING_BYTES)?;
        TraceFormat::of(&self.bytes, self.bytes.len() < TELLING_BYTES)
    }

    /// Returns the input with its beginning.
    fn whole(self) -> Input<'a> {
        Box::new(Cursor::new(self.bytes).chain(self.rest))
    }
}

impl<'a> Trace<'a> {
    fn new(
        format: TraceFormat,
        source: Box<dyn RecordSource + Send + 'a>,
        hasher: Option<ContentHasher>,
    ) -> Self {
        Self { source, format, remaining: u64::MAX, limit: u64::MAX, hasher, ended: false }
    }

    /// Makes a trace of a source that carries no hash.
    fn hashed(format: TraceFormat, source: Box<dyn RecordSource + Send + 'a>) -> Self {
        Self::new(format, source, Some(ContentHasher::new()))
    }

    /// Returns the format that the trace is read as.
    #[must_use]
    pub const fn format(&self) -> TraceFormat {
        self.format
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

    fn skipped_lines(&self) -> u64 {
        self.source.skipped_lines()
    }
}
