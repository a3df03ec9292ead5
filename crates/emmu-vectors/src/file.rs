//! A file of any kind.

use super::read::Lines;
use super::{Reader, Report, Subject, VectorError, heap, run, textbook};
use core::fmt;
use std::io::Read;
use std::path::Path;

/// A file of translation vectors, of textbook records or of memory managers' vectors: its first line tells which, by
/// whether it has a `format`, and else by its `sim`.
pub enum VectorFile<'a> {
    /// Translation vectors.
    Translation(Reader<'a>),
    /// Textbook records.
    Textbook(textbook::Reader<'a>),
    /// Memory managers' vectors.
    Heap(heap::Reader<'a>),
}

impl VectorFile<'static> {
    /// Reads a file, plain or gzip.
    ///
    /// # Errors
    /// [`VectorError`] if it cannot be opened or read, is empty, or its first line is not JSON.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VectorError> {
        Self::over(Lines::open(path.as_ref())?)
    }
}

impl<'a> VectorFile<'a> {
    /// Reads `source`; `file` is its name in errors.
    ///
    /// # Errors
    /// [`VectorError`] if it cannot be read, is empty, or its first line is not JSON.
    pub fn new(file: impl Into<String>, source: impl Read + 'a) -> Result<Self, VectorError> {
        Self::over(Lines::new(file.into(), source)?)
    }

    fn over(mut lines: Lines<'a>) -> Result<Self, VectorError> {
        let first = lines.first()?;
        Ok(if heap::is_of_a_heap(first) {
            Self::Heap(heap::Reader::over(lines))
        } else if first.get("format").is_none() {
            Self::Textbook(textbook::Reader::over(lines))
        } else {
            Self::Translation(Reader::over(lines))
        })
    }

    /// Runs all that is in it, tells each mismatch, and counts.
    ///
    /// # Errors
    /// The [`VectorError`] of the first line that is not of the file's kind; the lines before it have run.
    pub fn run(
        self,
        subject: &mut (impl Subject + textbook::Subject + heap::Subject),
        on_mismatch: &mut dyn FnMut(&dyn fmt::Display),
    ) -> Result<Report, VectorError> {
        match self {
            Self::Translation(vectors) => run(vectors, subject, &mut |found| on_mismatch(&found)),
            Self::Textbook(records) => {
                textbook::run(records, subject, &mut |found| on_mismatch(&found))
            }
            Self::Heap(records) => heap::run(records, subject, &mut |found| on_mismatch(&found)),
        }
    }
}
