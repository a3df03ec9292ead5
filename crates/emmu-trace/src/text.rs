//! Text traces: lines, numbers, and errors that name the line.
//!
//! [`TextReader`] does for every text format all that is not the format's own: it splits the input into lines, bounds
//! their length, drops blanks around them, counts them, quotes a bad one in the error, and skips bad ones where that
//! was asked for. A format is a [`LineFormat`]: it says what one line means.

mod lines;
mod number;
mod writer;

pub(crate) use lines::{excerpt, without_mark};
pub(crate) use number::{address, size, split_word, unsigned};
pub use writer::{TextFormat, TextWriter};

use crate::{Record, RecordSource, TraceError, source::CHUNK_RECORDS, source::Chunk};
use lines::Lines;
use std::io::BufRead;

/// The meaning of a line of text.
pub trait LineFormat {
    /// Appends the references in `line` to `records`. A line that belongs to the format and holds no reference, such
    /// as a heading, appends none.
    ///
    /// `line` is a whole line, is not empty, and has no blanks around it.
    ///
    /// # Errors
    /// Returns a description of the part that was expected and not found.
    fn read_line(&mut self, line: &[u8], records: &mut Vec<Record>) -> Result<(), &'static str>;

    /// Returns true if a line of 4096 bytes or more is of the format and holds no reference, whatever its end is. All
    /// other long lines are refused.
    ///
    /// `start` holds the first 4096 bytes of the line without the blanks around them, and may be empty.
    fn accepts_long_line(&mut self, _start: &[u8]) -> bool {
        false
    }

    /// Says where the trace comes from, if a line read so far told.
    fn provenance(&self) -> Option<&str> {
        None
    }
}

/// Reads a text trace of the format `F`, line by line.
///
/// A byte-order mark before the text, a carriage return before the end of a line, blanks around a line, blank lines
/// and a last line without its end are all accepted. A line of 4096 bytes or more is refused, unless its beginning
/// tells that it holds no reference. So memory stays bounded.
///
/// ```
/// use emmu_trace::{DineroReader, RecordSource};
/// let mut reader = DineroReader::new(&b"2 400\nhello\n0 1000\n"[..]).lenient();
/// assert_eq!(reader.next_chunk()?.map(<[_]>::len), Some(2));
/// assert_eq!(reader.skipped_lines(), 1);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct TextReader<R, F> {
    lines: Lines<R>,
    format: F,
    lenient: bool,
    skipped: u64,
    chunk: Chunk,
}

impl<R: BufRead, F: LineFormat + Default> TextReader<R, F> {
    /// Creates a reader of the text that `input` delivers.
    pub fn new(input: R) -> Self {
        Self::with_format(input, F::default())
    }
}

impl<R: BufRead, F: LineFormat> TextReader<R, F> {
    /// Creates a reader of the text that `input` delivers, with a format that has state of its own.
    pub fn with_format(input: R, format: F) -> Self {
        Self {
            lines: Lines::new(input),
            format,
            lenient: false,
            skipped: 0,
            chunk: Chunk::default(),
        }
    }

    /// Skips and counts the lines that are not of the format, instead of refusing them.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }
}

/// Appends the references of the next line to `records`. Returns false at the end of the input.
fn read_line<R: BufRead>(
    lines: &mut Lines<R>,
    format: &mut impl LineFormat,
    records: &mut Vec<Record>,
) -> Result<bool, TraceError> {
    if !lines.advance()? {
        return Ok(false);
    }
    let before = records.len();
    let read = match lines.text() {
        start if lines.is_long() && format.accepts_long_line(start) => Ok(()),
        _ if lines.is_long() => Err("a line of less than 4096 bytes"),
        [] => Ok(()),
        line => format.read_line(line, records),
    };
    read.map(|()| true).map_err(|expected| {
        records.truncate(before);
        lines.unexpected(expected)
    })
}

impl<R: BufRead, F: LineFormat> RecordSource for TextReader<R, F> {
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError> {
        let Self { lines, format, lenient, skipped, chunk } = self;
        chunk.refill(|records| {
            while records.len() < CHUNK_RECORDS {
                match read_line(lines, format, records) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(TraceError::Line { .. }) if *lenient => *skipped += 1,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    fn provenance(&self) -> Option<&str> {
        self.format.provenance()
    }

    fn skipped_lines(&self) -> u64 {
        self.skipped
    }
}
