//! `emmu import`: any trace, in emmu's compact format.

use crate::{args::Import, progress, trace};
use anyhow::{Context, Result, ensure};
use emmu_trace::{Record, RecordSource, Trace, emt::Writer};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};
use tempfile::NamedTempFile;

/// Converts a trace. The output appears only when all of it is written.
pub(crate) fn run(arguments: &Import, out: &mut impl Write) -> Result<()> {
    let input = trace::find(Some(&arguments.input))?;
    let end = arguments.limit.map(|limit| limit.saturating_add(arguments.skip));
    let mut source = match end {
        Some(end) => input.trace.with_limit(end),
        None => input.trace,
    };
    let provenance = provenance(arguments, &source);
    let folder = arguments.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let output = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .with_context(|| format!("{}: cannot write beside it", arguments.output.display()))?;
    let mut writer = Writer::new(BufWriter::new(output), &provenance)?;
    copy(&mut source, arguments.skip, &mut writer).with_context(|| input.name.clone())?;
    let (output, footer) = writer.finish_with_count()?;
    let output = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    let bytes = output.as_file().metadata()?.len();
    ensure!(footer.records > 0, "{}: no references are left to write", input.name);
    output
        .persist(&arguments.output)
        .with_context(|| format!("{}: cannot write", arguments.output.display()))?;
    make_readable(&arguments.output)?;
    let records = footer.records;
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    let per_record = bytes as f64 / records as f64;
    writeln!(
        out,
        "{}: {records} records in {bytes} bytes, {per_record:.3} bytes a record",
        arguments.output.display()
    )?;
    Ok(())
}

/// A temporary file is its owner's alone; a trace is a file like any other.
fn make_readable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    fs::metadata(path)?;
    Ok(())
}

/// What to write of where the trace comes from: what the user says, or what the input says.
fn provenance(arguments: &Import, source: &Trace<'_>) -> String {
    let told = arguments.provenance.as_deref().or(source.provenance());
    told.map_or_else(|| arguments.input.display().to_string(), str::to_owned)
}

fn copy<W: Write + io::Seek>(
    source: &mut Trace<'_>,
    skip: u64,
    writer: &mut Writer<W>,
) -> Result<()> {
    let bar = progress::bar(source.total_records());
    let mut to_skip = skip;
    while let Some(chunk) = source.next_chunk()? {
        bar.inc(chunk.len() as u64);
        let kept = after(chunk, &mut to_skip);
        writer.write(kept)?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// What is left of a chunk when the first records are skipped.
fn after<'a>(chunk: &'a [Record], to_skip: &mut u64) -> &'a [Record] {
    let skipped = usize::try_from(*to_skip).unwrap_or(usize::MAX).min(chunk.len());
    *to_skip -= skipped as u64;
    &chunk[skipped..]
}
