//! Files of vectors, plain or gzip.

use super::{Problem, Vector};
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::path::Path;
use thiserror::Error;

/// The longest line that is read; the longest of the vectors known has a hundredth of it.
const LONGEST_LINE: u64 = 16 << 20;

/// A line that is not a vector.
#[derive(Debug, Error)]
#[error("{}: {problem}", place(file, *line))]
pub struct VectorError {
    /// The file, by the name that its reader was given.
    pub file: String,
    /// The line, counted from 1; 0 if it is the file as a whole that is not right.
    pub line: u64,
    /// The defect of the line.
    #[source]
    pub problem: Problem,
}

fn place(file: &str, line: u64) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// The content of one line of a file.
pub trait Document: Sized {
    /// Reads it; `None` if there is nothing in it to run.
    #[doc(hidden)]
    fn read(document: &Value) -> Result<Option<Self>, Problem>;
}

/// Reads documents, one a line. Lines of white space alone are skipped, as are those with nothing to run. The
/// first error is the last item.
///
/// A compressed source is recognised by its first two bytes, not by its name.
pub struct Documents<'a, T> {
    lines: Lines<'a>,
    what: PhantomData<T>,
}

/// Reads vectors.
pub type Reader<'a> = Documents<'a, Vector>;

impl<T> Documents<'static, T> {
    /// Reads a file, plain or gzip.
    ///
    /// # Errors
    /// [`Problem::Io`] if it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VectorError> {
        Lines::open(path.as_ref()).map(Self::over)
    }
}

impl<'a, T> Documents<'a, T> {
    /// Reads `source`; `file` is its name in errors.
    ///
    /// # Errors
    /// [`Problem::Io`] if its first bytes cannot be read.
    pub fn new(file: impl Into<String>, source: impl Read + 'a) -> Result<Self, VectorError> {
        Lines::new(file.into(), source).map(Self::over)
    }

    /// Reads what is left of `lines`.
    pub(super) fn over(lines: Lines<'a>) -> Self {
        Self { lines, what: PhantomData }
    }
}

impl<T: Document> Iterator for Documents<'_, T> {
    type Item = Result<T, VectorError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next_parsed(T::read)? {
                Ok(None) => {}
                Ok(Some(document)) => return Some(Ok(document)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Document for Vector {
    fn read(document: &Value) -> Result<Option<Self>, Problem> {
        Self::parse(document).map(Some)
    }
}

/// The JSON documents of a file, one a line.
pub(super) struct Lines<'a> {
    file: String,
    line: u64,
    source: Option<Box<dyn BufRead + 'a>>,
    /// A document that was looked at and not taken.
    peeked: Option<Value>,
}

impl Lines<'static> {
    pub(super) fn open(path: &Path) -> Result<Self, VectorError> {
        let file = path.display().to_string();
        match File::open(path) {
            Ok(source) => Self::new(file, source),
            Err(error) => Err(VectorError { file, line: 0, problem: error.into() }),
        }
    }
}

impl<'a> Lines<'a> {
    pub(super) fn new(file: String, source: impl Read + 'a) -> Result<Self, VectorError> {
        match decompressed(source) {
            Ok(source) => Ok(Self { file, line: 0, source: Some(source), peeked: None }),
            Err(error) => Err(VectorError { file, line: 0, problem: error.into() }),
        }
    }

    /// The first document.
    pub(super) fn first(&mut self) -> Result<&Value, VectorError> {
        match self.next_document() {
            Ok(Some(first)) => Ok(self.peeked.insert(first)),
            Ok(None) => Err(VectorError { line: 0, ..self.fail(Problem::Empty) }),
            Err(problem) => Err(self.fail(problem)),
        }
    }

    /// The next document as `parse` reads it, or `None` at the end and after an error.
    pub(super) fn next_parsed<T>(
        &mut self,
        parse: impl FnOnce(&Value) -> Result<T, Problem>,
    ) -> Option<Result<T, VectorError>> {
        let document = self.next_document().transpose()?;
        let parsed = document.and_then(|document| parse(&document));
        Some(parsed.map_err(|problem| self.fail(problem)))
    }

    fn next_document(&mut self) -> Result<Option<Value>, Problem> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(Some(peeked));
        }
        let Some(line) = self.next_line()? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// The next line that is not blank, or `None` at the end.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let Some(source) = &mut self.source else { return Ok(None) };
        loop {
            let mut line = Vec::new();
            self.line += 1;
            source.take(LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() as u64 > LONGEST_LINE {
                return Err(Problem::TooLong { limit: LONGEST_LINE });
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// The error of the line just read. Nothing is read after it.
    fn fail(&mut self, problem: Problem) -> VectorError {
        self.source = None;
        VectorError { file: self.file.clone(), line: self.line, problem }
    }
}

/// The text in `source`. A gzip file starts with 0x1f 0x8b (RFC 1952, 2.3.1); no JSON text does.
fn decompressed<'a>(source: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut source = BufReader::new(source);
    if source.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(source))))
    } else {
        Ok(Box::new(source))
    }
}
