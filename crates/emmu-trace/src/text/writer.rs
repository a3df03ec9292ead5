//! Writing a text trace.

use crate::error::Position;
use crate::{Record, TraceError};
use std::io::{self, Write};

/// Longest provenance that a reader of lackey's text finds again, in bytes.
const MAX_PROVENANCE: usize = 1000;

/// A text format that traces are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextFormat {
    /// The text of valgrind's [`lackey`](crate::lackey). The first line names the provenance as valgrind names the
    /// command that it ran, so that readers find it again.
    Lackey,
    /// Comma-separated values, with the columns `kind`, `address` and `size` ([`csv`](crate::csv)).
    Csv,
}

/// Writes a trace as text, to any output. Both formats can say all that a reference is, so the same references are read
/// back.
///
/// ```
/// use emmu_trace::{RecordSource, TextFormat, TextWriter, open};
/// let mut trace = open(&b" L 1ffeffe7e0,8\n"[..])?;
/// let mut writer = TextWriter::new(Vec::new(), TextFormat::Csv, "an example")?;
/// while let Some(records) = trace.next_chunk()? {
///     writer.write(records)?;
/// }
/// assert_eq!(writer.finish()?, b"kind,address,size\nload,0x1ffeffe7e0,8\n");
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
#[derive(Debug)]
pub struct TextWriter<W> {
    output: W,
    format: TextFormat,
    /// Number of lines written: one for the heading, and one for each reference.
    lines: u64,
}

impl<W: Write> TextWriter<W> {
    /// Begins a trace that comes from `provenance`. CSV has no place for that.
    ///
    /// # Errors
    /// Returns an error if the output refuses.
    pub fn new(output: W, format: TextFormat, provenance: &str) -> Result<Self, TraceError> {
        let mut writer = Self { output, format, lines: 0 };
        match format {
            TextFormat::Lackey => {
                writer.put(format_args!("==0== Command: {}", one_line(provenance)))?;
            }
            TextFormat::Csv => writer.put(format_args!("kind,address,size"))?,
        }
        Ok(writer)
    }

    /// Adds references to the end of the trace.
    ///
    /// # Errors
    /// Returns an error if a reference has size 0, and adds none then; or if the output refuses.
    pub fn write(&mut self, records: &[Record]) -> Result<(), TraceError> {
        if let Some(at) = records.iter().position(|record| record.size == 0) {
            return Err(TraceError::EmptyReference { record: self.lines - 1 + at as u64 });
        }
        for record in records {
            match self.format {
                TextFormat::Lackey => self.put(format_args!("{record}"))?,
                TextFormat::Csv => {
                    let Record { addr, size, kind } = record;
                    self.put(format_args!("{kind},{addr:#x},{size}"))?;
                }
            }
        }
        Ok(())
    }

    /// Ends the trace, and returns the output.
    ///
    /// # Errors
    /// Returns an error if the output refuses.
    pub fn finish(mut self) -> Result<W, TraceError> {
        let flushed = self.output.flush();
        flushed.map_err(|source| self.refused(source))?;
        Ok(self.output)
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), TraceError> {
        let written = self.output.write_fmt(format_args!("{line}\n"));
        written.map_err(|source| self.refused(source))?;
        self.lines += 1;
        Ok(())
    }

    const fn refused(&self, source: io::Error) -> TraceError {
        TraceError::Io { at: Position::Line(self.lines + 1), source }
    }
}

/// Makes one line of a provenance, no longer than readers keep.
fn one_line(provenance: &str) -> String {
    let fits = |end: &usize| provenance.is_char_boundary(*end);
    let end = (0..=provenance.len().min(MAX_PROVENANCE)).rev().find(fits).unwrap_or(0);
    provenance[..end].replace(char::is_control, " ").trim().to_owned()
}
