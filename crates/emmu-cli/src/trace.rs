//! Opening traces by their names on the command line.

mod excerpt;

pub(crate) use excerpt::{Excerpt, Window};

use anyhow::{Context, Error, Result, anyhow};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use emmu_trace::{BUNDLED_NAME, OpenOptions, Trace, TraceError, TraceFormat, bundled};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Options of every command that reads a trace.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Reading {
    /// Read the trace in this format, and do not look at its content.
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    from: Option<TraceFormat>,
    /// Skip and count lines that are not of the trace's format, such as those that the traced program printed.
    #[arg(long)]
    lenient: bool,
}

/// Parses the name of a format.
fn format() -> impl TypedValueParser<Value = TraceFormat> {
    PossibleValuesParser::new(TraceFormat::ALL.map(TraceFormat::name))
        .try_map(|name| name.parse::<TraceFormat>())
}

impl Reading {
    /// Opens the trace that `input` delivers.
    fn open(self, input: impl Read + Send + 'static) -> Result<Trace<'static>> {
        let options = OpenOptions::new().lenient(self.lenient);
        let options = self.from.into_iter().fold(options, OpenOptions::format);
        options.open(input).map_err(with_hint)
    }
}

/// A trace, and its name in messages and reports.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) trace: Trace<'static>,
}

/// Opens the trace at `path`, standard input for `-`, or the bundled one for nothing.
pub(crate) fn find(path: Option<&Path>, reading: Reading) -> Result<Named> {
    let Some(path) = path else {
        let trace = reading.open(bundled()).context(BUNDLED_NAME)?;
        return Ok(Named { name: format!("{BUNDLED_NAME} (bundled)"), trace });
    };
    if path == Path::new("-") {
        let trace = reading.open(io::stdin()).context("standard input")?;
        return Ok(Named { name: "standard input".to_owned(), trace });
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{name}: cannot open"))?;
    let trace = reading.open(file).with_context(|| name.clone())?;
    Ok(Named { name, trace })
}

/// Returns the number of records in words.
pub(crate) fn counted(records: u64) -> String {
    let plural = if records == 1 { "" } else { "s" };
    format!("{records} record{plural}")
}

/// Adds the way out to an error of a trace, if there is one.
pub(crate) fn with_hint(error: TraceError) -> Error {
    let hint = match error {
        TraceError::Line { .. } => "--lenient skips lines that are not of the trace",
        TraceError::Unrecognized { .. } | TraceError::Ambiguous { .. } => {
            "--from says which format it has"
        }
        TraceError::Compression { .. } => "decompress it first",
        TraceError::NoLines { .. } => "leave --lenient out",
        other => return other.into(),
    };
    anyhow!("{error}; {hint}")
}
