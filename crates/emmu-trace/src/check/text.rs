//! Checks of the text formats.

use super::{Verdict, collect, explained, records, same};
use crate::text::LineFormat;
use crate::{
    CsvReader, DineroReader, LackeyReader, Record, RecordSource, TextFormat, TextReader, TextWriter,
};

/// Reads any bytes as lackey's text. Accepted references must survive being written and read again.
///
/// # Errors
/// Returns a finding if a property does not hold.
pub fn lackey_bytes(bytes: &[u8]) -> Verdict {
    text_bytes(bytes, LackeyReader::new)
}

/// Reads any bytes as Dinero's text. Accepted references must survive being written and read again.
///
/// # Errors
/// Returns a finding if a property does not hold.
pub fn dinero_bytes(bytes: &[u8]) -> Verdict {
    text_bytes(bytes, DineroReader::new)
}

/// Reads any bytes as comma-separated values. Accepted references must survive being written and read again.
///
/// # Errors
/// Returns a finding if a property does not hold.
pub fn csv_bytes(bytes: &[u8]) -> Verdict {
    text_bytes(bytes, CsvReader::new)
}

/// Reads any bytes as text. References that are accepted must survive being written as lackey's text and as CSV. A
/// lenient reader must accept everything, and skip lines exactly if a strict one refuses one.
fn text_bytes<'a, F: LineFormat>(
    bytes: &'a [u8],
    reader: impl Fn(&'a [u8]) -> TextReader<&'a [u8], F>,
) -> Verdict {
    let (lenient, skipped) = leniently(reader(bytes).lenient())?;
    written_and_read(&lenient)?;
    match collect(reader(bytes)) {
        Ok(strict) if skipped == 0 => same(&lenient, &strict),
        Ok(_) => Err(format!("{skipped} good lines are skipped")),
        Err(error) if skipped == 0 => Err(format!("no line is skipped for {error}")),
        Err(error) => explained(&error),
    }
}

/// Reads all references, and counts the skipped lines.
fn leniently<F: LineFormat>(
    mut reader: TextReader<&[u8], F>,
) -> Result<(Vec<Record>, u64), String> {
    let mut records = vec![];
    while let Some(chunk) = reader.next_chunk().map_err(|error| format!("not lenient: {error}"))? {
        records.extend_from_slice(chunk);
    }
    Ok((records, reader.skipped_lines()))
}

/// Writes the references that [`records`] makes of the bytes as text, and reads them back.
///
/// # Errors
/// Returns a finding if other references come back.
pub fn text_round_trip(bytes: &[u8]) -> Verdict {
    written_and_read(&records(bytes))
}

fn written_and_read(records: &[Record]) -> Verdict {
    let refused = |error| format!("own text is refused: {error}");
    let lackey = text_of(records, TextFormat::Lackey)?;
    same(&collect(LackeyReader::new(&lackey[..])).map_err(refused)?, records)?;
    let csv = text_of(records, TextFormat::Csv)?;
    same(&collect(CsvReader::new(&csv[..])).map_err(refused)?, records)
}

fn text_of(records: &[Record], format: TextFormat) -> Result<Vec<u8>, String> {
    let write = || {
        let mut writer = TextWriter::new(Vec::new(), format, "a check\nof text")?;
        writer.write(records)?;
        writer.finish()
    };
    write().map_err(|error: crate::TraceError| format!("writing fails: {error}"))
}
