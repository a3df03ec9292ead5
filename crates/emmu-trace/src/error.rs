//! The errors of traces, and their places.

use crate::{Compression, TraceFormat};
use core::fmt;
use std::io;

/// A place in a trace: a line of a text, or a byte of a binary format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// Line of a text trace, from 1.
    Line(u64),
    /// Byte of a binary trace, from 0.
    Byte(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

/// The reason why a trace cannot be read or written. Each names the place; the caller that opened the file adds its
/// name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system, or the decompressor in between, refused to read or write.
    #[error("{at}: {source}")]
    Io {
        /// Place that the reader or the writer had reached.
        at: Position,
        /// Reason of the refusal.
        source: io::Error,
    },
    /// The input is empty.
    #[error("expected a trace, found an empty input")]
    Empty,
    /// The input is of no format that is told by its content.
    #[error("expected a trace, native or of lackey, dinero, csv or champsim; found {found:?}")]
    Unrecognized {
        /// Beginning of the input, shortened.
        found: String,
    },
    /// The first lines of the input are of several formats.
    #[error(
        "expected a trace of one format, found {} in line {} and {} in line {}",
        first.1, first.0, second.1, second.0
    )]
    Ambiguous {
        /// The first line that is of a format, and that format.
        first: (u64, TraceFormat),
        /// The first line after it that is of another format, and that format.
        second: (u64, TraceFormat),
    },
    /// The input is compressed in a way that this build does not read, or twice.
    #[error("expected a trace, plain or compressed by {}; found {found}", Compression::readable())]
    Compression {
        /// Name of the format of the input, with its article, and of the file that it is inside.
        found: String,
    },
    /// Lines of a binary format cannot be skipped, because it has none.
    #[error("expected lines to skip, found a {format} trace, which has none")]
    NoLines {
        /// Format of the trace.
        format: TraceFormat,
    },
    /// A line of a text trace is not of its format.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// Description of the part that is missing.
        expected: &'static str,
        /// Beginning of the line, shortened.
        found: String,
    },
    /// A binary trace ends within one of its parts.
    #[error("byte {offset}: the trace is cut off inside its {inside}")]
    Truncated {
        /// End of the input.
        offset: u64,
        /// Name of the part that was being read.
        inside: &'static str,
    },
    /// A part of a native trace was changed after it was written.
    #[error("byte {offset}: checksum of the {part} is {found:#010x}, expected {expected:#010x}")]
    Checksum {
        /// First byte of the part.
        offset: u64,
        /// Name of the part.
        part: &'static str,
        /// Checksum that was stored with the part.
        expected: u32,
        /// Checksum of the part as it is.
        found: u32,
    },
    /// A binary trace breaks the rules of its format.
    #[error("byte {offset}: expected {expected}, found {found}")]
    Format {
        /// First byte of the part that breaks them.
        offset: u64,
        /// Description of the part that is missing.
        expected: &'static str,
        /// Description of the part that is there instead.
        found: String,
    },
    /// A reference to no bytes cannot be written.
    #[error("reference {record}: expected a size of 1 byte or more, found 0")]
    EmptyReference {
        /// Number of the reference, from 0.
        record: u64,
    },
    /// A trace cannot be written with this header.
    #[error("header: expected {expected}, found {found}")]
    Header {
        /// Description of the values that the format allows.
        expected: &'static str,
        /// Value that was asked for.
        found: u64,
    },
}
