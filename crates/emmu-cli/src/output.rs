//! The choice between text for people and JSON for programs, which all commands offer alike.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::Write;

/// The options of a command that prints a report.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Output {
    /// The form of the output.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// Short for `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text to read.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Output {
    /// Prints the report as JSON, or with `text`.
    pub(crate) fn write<T: Serialize, W: Write>(
        self,
        report: &T,
        text: impl FnOnce(&T, &mut W) -> Result<()>,
        out: &mut W,
    ) -> Result<()> {
        if self.json || self.format == Format::Json { json(report, out) } else { text(report, out) }
    }
}

/// Prints the report as one JSON object.
pub(crate) fn json<T: Serialize>(report: &T, out: &mut impl Write) -> Result<()> {
    // The text is made before any of it is written, so that a failure to write is an error of input and output.
    writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
    Ok(())
}
