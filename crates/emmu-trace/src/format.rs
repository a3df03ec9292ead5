//! The formats of traces: their names, and how an input tells which one it is of.

use crate::text::{LineFormat, excerpt, without_mark};
use crate::{TraceError, champsim, csv, dinero::Dinero, emt::MAGIC, lackey, lackey::Lackey};
use core::{fmt, str::FromStr};

/// A format of traces. Prints as its name, and is read from it.
///
/// ```
/// use emmu_trace::TraceFormat;
/// assert_eq!("champsim".parse(), Ok(TraceFormat::ChampSim));
/// assert_eq!(TraceFormat::Csv.to_string(), "csv");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceFormat {
    /// The native format of [`emt`](crate::emt).
    Native,
    /// The text of valgrind's [`lackey`].
    Lackey,
    /// The text of [`dinero`](crate::dinero), traditional or extended.
    Dinero,
    /// Comma-separated values, [`csv`](crate::csv).
    Csv,
    /// The binary traces of [`champsim`].
    ChampSim,
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of the formats native, lackey, dinero, csv and champsim, found {found:?}")]
pub struct UnknownFormat {
    /// The name that was given.
    pub found: String,
}

impl TraceFormat {
    /// All formats.
    pub const ALL: [Self; 5] =
        [Self::Native, Self::Lackey, Self::Dinero, Self::Csv, Self::ChampSim];

    /// Returns the name of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Lackey => "lackey",
            Self::Dinero => "dinero",
            Self::Csv => "csv",
            Self::ChampSim => "champsim",
        }
    }

    /// Returns true if the format consists of lines.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Lackey | Self::Dinero | Self::Csv)
    }

    /// Tells the format of a trace that begins with these bytes. `whole` says that they are all of it.
    ///
    /// The native format begins with its magic bytes. ChampSim's has none, and is told by its branch flags and
    /// addresses ([`champsim`]). Of the text formats, CSV is told by its heading in the first line, and
    /// lackey by a line of valgrind itself. Otherwise each line that can be read as one of lackey's or of dinero's tells
    /// its format, and all must tell the same.
    ///
    /// # Errors
    /// Returns [`TraceError::Unrecognized`] if nothing tells a format, and [`TraceError::Ambiguous`] if lines tell two.
    pub fn of(start: &[u8], whole: bool) -> Result<Self, TraceError> {
        if start.is_empty() {
            Err(TraceError::Empty)
        } else if start.starts_with(&MAGIC) {
            Ok(Self::Native)
        } else if champsim::is_plausible(start, whole) {
            Ok(Self::ChampSim)
        } else {
            of_text(start, whole)
        }
    }
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TraceFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat { found: name.to_owned() })
    }
}

/// Tells the format of a text by its lines.
fn of_text(start: &[u8], whole: bool) -> Result<TraceFormat, TraceError> {
    let lines: Vec<_> = lines(without_mark(start), whole).collect();
    if lines.first().is_some_and(|(_, line)| csv::is_heading(line)) {
        return Ok(TraceFormat::Csv);
    }
    if lines.iter().any(|(_, line)| lackey::is_valgrind(line)) {
        return Ok(TraceFormat::Lackey);
    }
    let mut recognized =
        lines.iter().filter_map(|(number, line)| Some((*number, format_of_line(line)?)));
    let first =
        recognized.next().ok_or_else(|| TraceError::Unrecognized { found: excerpt(start) })?;
    match recognized.find(|(_, format)| *format != first.1) {
        Some(second) => Err(TraceError::Ambiguous { first, second }),
        None => Ok(first.1),
    }
}

/// Returns the lines that are not blank, with their numbers from 1. A last line that may go on is left out, unless it is
/// the only one.
fn lines(start: &[u8], whole: bool) -> impl Iterator<Item = (u64, &[u8])> {
    let end = start.iter().rposition(|byte| *byte == b'\n').filter(|_| !whole);
    let lines = start[..end.unwrap_or(start.len())].split(|byte| *byte == b'\n');
    (1..).zip(lines.map(<[u8]>::trim_ascii)).filter(|(_, line)| !line.is_empty())
}

/// Returns the format that a line can be read as, if it is one of lackey's or dinero's. No line is of both.
fn format_of_line(line: &[u8]) -> Option<TraceFormat> {
    if is_line_of(&mut Lackey::default(), line) {
        Some(TraceFormat::Lackey)
    } else if is_line_of(&mut Dinero, line) {
        Some(TraceFormat::Dinero)
    } else {
        None
    }
}

fn is_line_of(format: &mut impl LineFormat, line: &[u8]) -> bool {
    format.read_line(line, &mut vec![]).is_ok()
}
