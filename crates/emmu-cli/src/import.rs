//! `emmu import`: any trace, in emmu's compact format.

mod args;

pub(crate) use args::Import;

use crate::{
    target::TargetWriter,
    trace::{Excerpt, counted},
};
use anyhow::{Context, Result};
use emmu_trace::emt::Writer;
use std::io::Write;

/// Converts a trace. The output appears only when all of it is written.
pub(crate) fn run(arguments: &Import, out: &mut impl Write) -> Result<()> {
    let Import { input, target, reading, window, .. } = arguments;
    let cannot = || format!("{}: cannot write", target.name());
    let output = TargetWriter::create(target, input)?;
    let mut excerpt = Excerpt::open(input, *reading, *window)?;
    let is_file = output.is_file();
    let mut writer = Writer::new(output, &provenance(arguments, &excerpt)).with_context(cannot)?;
    let records = excerpt.copy(|records| writer.write(records).with_context(cannot))?;
    let finished = if is_file { writer.finish_with_count() } else { writer.finish() };
    let (output, _) = finished.with_context(cannot)?;
    let bytes = output.finish().with_context(cannot)?;
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    let per_record = bytes as f64 / records as f64;
    let skipped = excerpt.skipped_lines();
    let size = format!("{} in {bytes} bytes, {per_record:.3} bytes a record", counted(records));
    target.say(out, &format!("{size}{skipped}"))
}

/// Says where the trace comes from: as the user says, or as the input says, or by the input's name.
fn provenance(arguments: &Import, excerpt: &Excerpt) -> String {
    let told = arguments.provenance.as_deref().or(excerpt.provenance());
    told.map_or_else(|| arguments.input.display().to_string(), str::to_owned)
}
