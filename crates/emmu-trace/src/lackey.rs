//! The text that `valgrind --tool=lackey --trace-mem=yes` prints.
//!
//! One line for each reference: its kind (`I`, `L`, `S`, `M`), the address in hexadecimal without prefix,
//! a comma, the size in decimal bytes. A fetch begins the line and two blanks follow; data is indented:
//!
//! ```text
//! ==5813== Lackey, an example Valgrind tool
//! I  04016b30,3
//!  S 1ffeffe7e0,8
//!  M 0421c7f0,4
//! ```
//!
//! The number of blanks is not insisted on, since other tools that write this format differ in it, nor is
//! the absence of a carriage return. Lines of valgrind itself (`==pid==`, with `-v` also `--pid--`, `**pid**`)
//! and blank lines are skipped. Every other line is an error, and so is a last line without its end: valgrind
//! ends every line, so the trace was cut there. (A trace cut between two lines cannot be told from a shorter
//! one; the native format can.)

use crate::{Record, RecordKind, RecordSource, TraceError, error::Position, source::CHUNK_RECORDS};
use emmu_core::VirtAddr;
use std::io::{BufRead, Read};

/// Longest line that is kept. Lackey's own are shorter than 32 bytes; what valgrind reports may be longer
/// and is skipped unread.
const MAX_LINE: u64 = 256;

/// Longest part of a bad line that an error quotes.
const MAX_QUOTE: usize = 60;

/// Reads lackey's text.
///
/// ```
/// use emmu_trace::{LackeyReader, RecordKind, RecordSource};
/// let text = "==1== Command: ls\nI  04016b30,3\n S 1ffeffe7e0,8\n";
/// let records: Vec<_> = LackeyReader::new(text.as_bytes()).records().collect::<Result<_, _>>()?;
/// assert_eq!(records[1].kind, RecordKind::Store);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct LackeyReader<R> {
    input: R,
    /// Number of the line in `text`, from 1.
    line: u64,
    text: Vec<u8>,
    chunk: Vec<Record>,
    command: Option<String>,
    /// What is wrong with the line after the chunk.
    failed: Option<TraceError>,
}

impl<R: BufRead> LackeyReader<R> {
    /// A reader of the text that `input` delivers.
    pub fn new(input: R) -> Self {
        Self { input, line: 0, text: vec![], chunk: vec![], command: None, failed: None }
    }

    fn next_record(&mut self) -> Result<Option<Record>, TraceError> {
        while self.read_line()? {
            if is_valgrind(&self.text) {
                self.note_command();
                self.skip_rest_of_line()?;
            } else if let Some(record) = self.record()? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Reads the next line, or the beginning of a long one; false at the end of the input.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        self.text.clear();
        self.line += 1;
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.text);
        read.map(|bytes| bytes > 0).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: std::io::Error) -> TraceError {
        TraceError::Io { at: Position::Line(self.line), source }
    }

    /// The record in this line; `None` if the line is blank.
    fn record(&self) -> Result<Option<Record>, TraceError> {
        let complete = match self.text.strip_suffix(b"\n") {
            Some(text) => Ok(text.strip_suffix(b"\r").unwrap_or(text)),
            None if self.text.len() as u64 == MAX_LINE => Err("a line of less than 256 bytes"),
            None => Err("an end to the last line (the trace is cut off)"),
        };
        complete.and_then(parse_line).map_err(|expected| self.unexpected(expected))
    }

    fn unexpected(&self, expected: &'static str) -> TraceError {
        let line = self.text.trim_ascii_end();
        let mut found = String::from_utf8_lossy(&line[..line.len().min(MAX_QUOTE)]).into_owned();
        if line.len() > MAX_QUOTE {
            found.push('…');
        }
        TraceError::Line { line: self.line, expected, found }
    }

    /// Keeps the command that valgrind says it ran, if this line says so.
    fn note_command(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        if let (None, Some((_, command))) = (&self.command, text.split_once("== Command: ")) {
            self.command = Some(command.trim_end().to_owned());
        }
    }

    fn skip_rest_of_line(&mut self) -> Result<(), TraceError> {
        while !self.text.ends_with(b"\n") {
            self.text.clear();
            let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.text);
            if read.map_err(|source| self.refused(source))? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Whether valgrind speaks in its own voice: `==1234== …`.
fn is_valgrind(line: &[u8]) -> bool {
    [b"==", b"--", b"**"].into_iter().any(|mark| {
        let rest = line.strip_prefix(mark).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && rest[digits..].starts_with(mark)
    })
}

/// The record in a line without its end; `None` if there is nothing but blanks.
fn parse_line(line: &[u8]) -> Result<Option<Record>, &'static str> {
    let Some((letter, rest)) = skip_blanks(line).split_first() else { return Ok(None) };
    let kind = kind_of(*letter).ok_or("one of the letters I, L, S, M")?;
    let (addr, rest) = parse_address(skip_blanks(rest))?;
    let rest = rest.strip_prefix(b",").ok_or("a comma after the hexadecimal address")?;
    Ok(Some(Record::new(kind, addr, parse_size(rest)?)))
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| **byte == b' ').count();
    &line[blanks..]
}

const fn kind_of(letter: u8) -> Option<RecordKind> {
    match letter {
        b'I' => Some(RecordKind::Fetch),
        b'L' => Some(RecordKind::Load),
        b'S' => Some(RecordKind::Store),
        b'M' => Some(RecordKind::Modify),
        _ => None,
    }
}

/// Up to 16 hexadecimal digits, and what follows them.
fn parse_address(text: &[u8]) -> Result<(VirtAddr, &[u8]), &'static str> {
    let mut addr = 0;
    let mut digits = 0;
    while let Some(digit) = text.get(digits).and_then(|byte| char::from(*byte).to_digit(16)) {
        addr = (addr << 4) | u64::from(digit);
        digits += 1;
    }
    match digits {
        0 => Err("a hexadecimal address after the letter"),
        1..=16 => Ok((VirtAddr::new(addr), &text[digits..])),
        _ => Err("an address of at most 16 hexadecimal digits"),
    }
}

/// A decimal size to the end of the line.
fn parse_size(text: &[u8]) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let size = str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    size.filter(|size| *size > 0)
        .ok_or("a decimal size from 1 to 65535 after the comma, and no more")
}

impl<R: BufRead> RecordSource for LackeyReader<R> {
    /// What stands before a bad line is delivered first, the error then.
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError> {
        self.chunk.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while self.chunk.len() < CHUNK_RECORDS {
            match self.next_record() {
                Ok(Some(record)) => self.chunk.push(record),
                Ok(None) => break,
                Err(error) if self.chunk.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok((!self.chunk.is_empty()).then_some(&self.chunk))
    }

    /// The command that valgrind names in its heading, once that has been read.
    fn provenance(&self) -> Option<&str> {
        self.command.as_deref()
    }
}
