//! The lines of an input, in bounded memory.

use crate::{TraceError, error::Position};
use std::io::{BufRead, Read};

/// Length of the longest line that is read, with its end. Of a longer line, only so many bytes are kept.
const MAX_LINE: usize = 4096;

/// Length of the longest excerpt of a bad line that an error quotes, in bytes.
const MAX_QUOTE: usize = 60;

/// Bytes that some programs write before UTF-8 text.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Reads one line after the other.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    /// Number of the line in `text`, from 1.
    number: u64,
    /// The line with its end, or its first [`MAX_LINE`] bytes.
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0, text: vec![] }
    }

    /// Reads the next line. Returns false at the end of the input.
    pub(super) fn advance(&mut self) -> Result<bool, TraceError> {
        while self.is_long() {
            self.fill()?;
        }
        self.number += 1;
        self.fill()?;
        Ok(!self.text.is_empty())
    }

    /// Reads up to the end of a line, but no more than [`MAX_LINE`] bytes.
    fn fill(&mut self) -> Result<(), TraceError> {
        self.text.clear();
        let read = self.input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.text);
        let at = Position::Line(self.number);
        read.map(|_| ()).map_err(|source| TraceError::Io { at, source })
    }

    /// Returns true if the line goes on behind the bytes that were kept.
    pub(super) fn is_long(&self) -> bool {
        self.text.len() == MAX_LINE && !self.text.ends_with(b"\n")
    }

    /// Returns the line without its end and without blanks around it.
    pub(super) fn text(&self) -> &[u8] {
        self.unmarked().trim_ascii()
    }

    /// Returns the line without the byte-order mark of the text.
    fn unmarked(&self) -> &[u8] {
        if self.number == 1 { without_mark(&self.text) } else { &self.text }
    }

    /// Makes the error that the line is not as `expected`.
    pub(super) fn unexpected(&self, expected: &'static str) -> TraceError {
        TraceError::Line { line: self.number, expected, found: excerpt(self.unmarked()) }
    }
}

/// Returns a text without the byte-order mark that may precede it.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(text)
}

/// Returns the beginning of a line, short enough to be quoted in a message.
pub(crate) fn excerpt(line: &[u8]) -> String {
    let line = line.trim_ascii_end();
    let mut text = String::from_utf8_lossy(&line[..line.len().min(MAX_QUOTE)]).into_owned();
    if line.len() > MAX_QUOTE {
        text.push('…');
    }
    text
}
