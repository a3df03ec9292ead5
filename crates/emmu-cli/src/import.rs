//! `emmu import`: any trace, in emmu's compact format.

mod args;

pub(crate) use args::Import;

use crate::{progress, trace};
use anyhow::{Context, Result, ensure};
use emmu_trace::{
    Record, RecordSource, Trace,
    emt::{Footer, Writer},
};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Converts a trace. The output appears only when all of it is written.
pub(crate) fn run(arguments: &Import, out: &mut impl Write) -> Result<()> {
    let output = arguments.output.display();
    let cannot = || format!("{output}: cannot write");
    let path = target(&arguments.output).with_context(cannot)?;
    let input = trace::find(Some(&arguments.input))?;
    let end = arguments.limit.map(|limit| limit.saturating_add(arguments.skip));
    let mut source = match end {
        Some(end) => input.trace.with_limit(end),
        None => input.trace,
    };
    let file = temporary_beside(&path).with_context(cannot)?;
    let (file, footer) = convert(arguments, &input.name, &mut source, file)?;
    ensure!(footer.records > 0, "{}: no references are left to write", input.name);
    let bytes = file.as_file().metadata()?.len();
    file.persist(&path).map_err(|refused| refused.error).with_context(cannot)?;
    let records = footer.records;
    #[expect(clippy::cast_precision_loss, reason = "a quotient to read")]
    let per_record = bytes as f64 / records as f64;
    writeln!(out, "{output}: {records} records in {bytes} bytes, {per_record:.3} bytes a record")?;
    Ok(())
}

/// Where the output goes: to the end of links, and never in the place of a device or a folder.
fn target(output: &Path) -> Result<PathBuf> {
    let Ok(path) = fs::canonicalize(output) else { return Ok(output.to_owned()) };
    ensure!(path.is_file(), "it is there already, and is no file");
    Ok(path)
}

/// A file that is to take the place of the one at `path`, with the rights that any new file gets.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// Writes what is wanted of `source`, which is called `name`, to `file`.
fn convert(
    arguments: &Import,
    name: &str,
    source: &mut Trace<'_>,
    file: NamedTempFile,
) -> Result<(NamedTempFile, Footer)> {
    let read = || name.to_owned();
    let written = || format!("{}: cannot write", arguments.output.display());
    let bar = progress::bar(source.total_records());
    let mut to_skip = arguments.skip;
    // Text tells where it comes from in its first lines, so they are read before the header is written.
    let first = source.next_chunk().with_context(read)?.unwrap_or_default().to_vec();
    let provenance = provenance(arguments, source);
    let mut writer = Writer::new(BufWriter::new(file), &provenance).with_context(written)?;
    writer.write(after(&first, &mut to_skip)).with_context(written)?;
    bar.inc(first.len() as u64);
    while let Some(chunk) = source.next_chunk().with_context(read)? {
        writer.write(after(chunk, &mut to_skip)).with_context(written)?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let (file, footer) = writer.finish_with_count().with_context(written)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(written)?;
    Ok((file, footer))
}

/// What to write of where the trace comes from: what the user says, or what the input says.
fn provenance(arguments: &Import, source: &Trace<'_>) -> String {
    let told = arguments.provenance.as_deref().or(source.provenance());
    told.map_or_else(|| arguments.input.display().to_string(), str::to_owned)
}

/// What is left of a chunk when the first records are skipped.
fn after<'a>(chunk: &'a [Record], to_skip: &mut u64) -> &'a [Record] {
    let skipped = usize::try_from(*to_skip).unwrap_or(usize::MAX).min(chunk.len());
    *to_skip -= skipped as u64;
    &chunk[skipped..]
}
