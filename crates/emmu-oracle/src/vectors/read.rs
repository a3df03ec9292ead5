//! Files of vectors, plain or gzip.

use super::{Problem, Vector};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use thiserror::Error;

/// The longest line that is read; the longest of the vectors known has a hundredth of it.
const LONGEST_LINE: u64 = 16 << 20;

/// A line that is not a vector.
#[derive(Debug, Error)]
#[error("{file}:{line}: {problem}")]
pub struct VectorError {
    /// The file, by the name that its reader was given.
    pub file: String,
    /// The line, counted from 1; 0 if the file could not be opened.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// Reads vectors, one a line. Lines of white space alone are skipped. The first error is the last item.
///
/// Whether the source is compressed is told by its first two bytes and not by its name.
pub struct Reader<'a> {
    file: String,
    line: u64,
    source: Option<Box<dyn BufRead + 'a>>,
}

impl Reader<'static> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Problem::Io`] if it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VectorError> {
        let file = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(source) => Self::new(file, source),
            Err(error) => Err(VectorError { file, line: 0, problem: error.into() }),
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads `source`; `file` is its name in errors.
    ///
    /// # Errors
    /// [`Problem::Io`] if its first bytes cannot be read.
    pub fn new(file: impl Into<String>, source: impl Read + 'a) -> Result<Self, VectorError> {
        let file = file.into();
        match decompressed(source) {
            Ok(source) => Ok(Self { file, line: 0, source: Some(source) }),
            Err(error) => Err(VectorError { file, line: 0, problem: error.into() }),
        }
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

    fn next_vector(&mut self) -> Result<Option<Vector>, Problem> {
        let Some(line) = self.next_line()? else { return Ok(None) };
        Vector::parse(&serde_json::from_slice(&line)?).map(Some)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Vector, VectorError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_vector().transpose()?;
        Some(item.map_err(|problem| {
            self.source = None;
            VectorError { file: self.file.clone(), line: self.line, problem }
        }))
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
