//! `emmu export`: any trace, as text.

mod args;

pub(crate) use args::Export;

use crate::{
    target::TargetWriter,
    trace::{Excerpt, counted},
};
use anyhow::{Context, Result};
use emmu_trace::TextWriter;
use std::io::Write;

/// Writes a trace as text. The output appears only when all of it is written.
pub(crate) fn run(arguments: &Export, out: &mut impl Write) -> Result<()> {
    let Export { input, target, to, reading, window } = arguments;
    let cannot = || format!("{}: cannot write", target.name());
    let output = TargetWriter::create(target, input)?;
    let mut excerpt = Excerpt::open(input, *reading, *window)?;
    let provenance = excerpt.provenance().unwrap_or_default();
    let mut writer = TextWriter::new(output, to.format(), provenance).with_context(cannot)?;
    let records = excerpt.copy(|records| writer.write(records).with_context(cannot))?;
    let bytes = writer.finish().with_context(cannot)?.finish().with_context(cannot)?;
    let skipped = excerpt.skipped_lines();
    target.say(out, &format!("{} in {bytes} bytes{skipped}", counted(records)))
}
