//! What can be wrong with a trace, and where.

use core::fmt;
use std::io;

/// A place in a trace: text is counted in lines, the native format in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Line of a text trace, from 1.
    Line(u64),
    /// Byte of a native trace, from 0.
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

/// Why a trace cannot be read or written. Each names the place; whoever opened the file adds its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system, or the decompressor in between, refused.
    #[error("{at}: {source}")]
    Io {
        /// Where the trace had come to.
        at: Position,
        /// What was refused.
        source: io::Error,
    },
    /// There is nothing at all to read.
    #[error("expected a trace, found an empty input")]
    Empty,
    /// A line of a text trace is none of lackey's.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What should have stood there.
        expected: &'static str,
        /// What does stand there: the line, shortened.
        found: String,
    },
    /// A native trace ends before its end marker.
    #[error("byte {offset}: the trace is cut off inside its {inside}")]
    Truncated {
        /// Where the input ends.
        offset: u64,
        /// What was being read.
        inside: &'static str,
    },
    /// A part of a native trace is not what was written.
    #[error("byte {offset}: checksum of the {part} is {found:#010x}, expected {expected:#010x}")]
    Checksum {
        /// Where the part begins.
        offset: u64,
        /// Which part.
        part: &'static str,
        /// The checksum that was stored with it.
        expected: u32,
        /// The checksum of what is there.
        found: u32,
    },
    /// A native trace breaks the rules of its format.
    #[error("byte {offset}: expected {expected}, found {found}")]
    Format {
        /// Where the part begins that does.
        offset: u64,
        /// What the format asks for.
        expected: &'static str,
        /// What is there instead.
        found: String,
    },
    /// A reference to no bytes is none, and cannot be written.
    #[error("reference {record}: expected a size of 1 byte or more, found 0")]
    EmptyReference {
        /// Number of the reference, from 0.
        record: u64,
    },
    /// A trace cannot be written with this header.
    #[error("header: expected {expected}, found {found}")]
    Header {
        /// What the format allows.
        expected: &'static str,
        /// What was asked for.
        found: u64,
    },
}
