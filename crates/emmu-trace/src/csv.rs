//! Comma-separated values (RFC 4180): the first row names the columns, and each row after it is a reference.
//!
//! ```text
//! kind,address,size,pc
//! load,0x7ffe1000,8,0x400123
//! store,2147418112,4,0x400127
//! ```
//!
//! | column | content |
//! |---|---|
//! | `kind` | `fetch`, `load`, `store`, `modify`, or lackey's `I`, `L`, `S`, `M`; or `read`, `write`, `r`, `w` |
//! | `address` | the first byte: hexadecimal after `0x`, otherwise decimal |
//! | `size` | bytes, 1 to 65535: hexadecimal after `0x`, otherwise decimal |
//! | `pc` | optional: address of the instruction that makes the reference; may be empty |
//!
//! The columns may stand in any order and among others, which are ignored. Upper and lower case are the same in the
//! names of columns and kinds.
//!
//! A row with a `pc` also says that an instruction was executed. If the latest fetch of the trace was not at that
//! address, a fetch of its first byte comes before the row's reference, since the size of the instruction is not known.
//! So rows one after the other with the same `pc` are references of one instruction. A fetch is at its own `pc`, and
//! a row that says otherwise is refused.
//!
//! A row is a line: a quoted field ends on the line that it begins on.

use crate::text::{LineFormat, TextReader, size, unsigned};
use crate::{Record, RecordKind};
use csv_core::{ReadRecordResult, Reader};
use emmu_core::VirtAddr;

/// Most fields in a row, and most bytes in all of them: as many as a line may have, and one more for its end.
const MAX_ROW: usize = 4097;

/// Reads comma-separated values.
///
/// ```
/// use emmu_trace::{CsvReader, RecordSource};
/// let text = "pc,kind,address,size\n1024,load,0x7ffe1000,8\n1024,store,0x7ffe1008,8\n";
/// let records: Vec<_> = CsvReader::new(text.as_bytes()).records().collect::<Result<_, _>>()?;
/// assert_eq!(records[0].to_string(), "I  00000400,1");
/// assert_eq!(records[2].to_string(), " S 7ffe1008,8");
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
pub type CsvReader<R> = TextReader<R, Csv>;

/// The format of rows, after the heading has told where the columns are.
#[derive(Debug, Default)]
pub struct Csv {
    columns: Option<Columns>,
    row: Row,
    /// Address of the latest fetch.
    fetched: Option<VirtAddr>,
}

impl LineFormat for Csv {
    fn read_line(&mut self, line: &[u8], records: &mut Vec<Record>) -> Result<(), &'static str> {
        self.row.split(line)?;
        let Some(columns) = &self.columns else {
            self.columns = Some(Columns::find(&self.row)?);
            return Ok(());
        };
        let record = columns.record(&self.row)?;
        let pc = columns.pc(&self.row, record)?;
        records.extend(
            pc.filter(|pc| self.fetched != Some(*pc)).and_then(|pc| fetch_before(pc, record)),
        );
        records.push(record);
        self.fetched = match record.kind {
            RecordKind::Fetch => Some(record.addr),
            _ => pc.or(self.fetched),
        };
        Ok(())
    }
}

/// Returns true if a line names the columns that every heading has. The heading may still be wrong, which its reader
/// explains.
pub(crate) fn is_heading(line: &[u8]) -> bool {
    let mut row = Row::default();
    let is_there = |row: &Row, name| (0..row.fields).any(|column| row.is_named(column, name));
    row.split(&line[..line.len().min(MAX_ROW)]).is_ok()
        && ["kind", "address", "size"].into_iter().all(|name| is_there(&row, name))
}

/// Returns the fetch of the instruction at `pc` that makes `record`, unless `record` is that fetch.
fn fetch_before(pc: VirtAddr, record: Record) -> Option<Record> {
    (record.kind != RecordKind::Fetch).then(|| Record::new(RecordKind::Fetch, pc, 1))
}

/// The fields of one row.
#[derive(Debug)]
struct Row {
    reader: Reader,
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    fields: usize,
}

impl Default for Row {
    fn default() -> Self {
        Self { reader: Reader::new(), text: vec![0; MAX_ROW], ends: vec![0; MAX_ROW], fields: 0 }
    }
}

impl Row {
    /// Splits a line into fields.
    fn split(&mut self, line: &[u8]) -> Result<(), &'static str> {
        self.reader.reset();
        let (read, _, written, begun) =
            self.reader.read_record(line, &mut self.text, &mut self.ends);
        if read != ReadRecordResult::InputEmpty {
            return Err("a row of comma-separated values that fits in its line");
        }
        // An end of line closes the last field, unless that is quoted and still open.
        let (text, ends) = (&mut self.text[written..], &mut self.ends[begun..]);
        let (end, _, _, ended) = self.reader.read_record(b"\n", text, ends);
        if end != ReadRecordResult::Record {
            return Err("a quotation mark at the end of a quoted field");
        }
        self.fields = begun + ended;
        Ok(())
    }

    fn field(&self, column: usize) -> Option<&[u8]> {
        let end = self.ends[..self.fields].get(column)?;
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        self.text.get(start..*end).map(<[u8]>::trim_ascii)
    }

    /// Returns the number of the column with this name, if one has it. Returns `expected` as the error if several have
    /// it.
    fn column(&self, name: &str, expected: &'static str) -> Result<Option<usize>, &'static str> {
        let mut named = (0..self.fields).filter(|column| self.is_named(*column, name));
        let first = named.next();
        if named.next().is_some() { Err(expected) } else { Ok(first) }
    }

    fn is_named(&self, column: usize, name: &str) -> bool {
        self.field(column).unwrap_or_default().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Numbers of the columns.
#[derive(Clone, Copy, Debug)]
struct Columns {
    kind: usize,
    address: usize,
    size: usize,
    pc: Option<usize>,
}

impl Columns {
    /// Finds the columns in the heading.
    fn find(heading: &Row) -> Result<Self, &'static str> {
        let one = |name, expected| heading.column(name, expected)?.ok_or(expected);
        Ok(Self {
            kind: one("kind", "a heading with one column named kind")?,
            address: one("address", "a heading with one column named address")?,
            size: one("size", "a heading with one column named size")?,
            pc: heading.column("pc", "a heading with one column named pc at most")?,
        })
    }

    /// Reads the reference in a row.
    fn record(self, row: &Row) -> Result<Record, &'static str> {
        let kind = row.field(self.kind).and_then(kind_of);
        let address = row.field(self.address).and_then(number);
        let size = row.field(self.size).and_then(|text| {
            let (digits, base) = based(text);
            size(digits, base)
        });
        Ok(Record {
            kind: kind.ok_or("fetch, load, store or modify in column kind")?,
            addr: address.ok_or("an address in column address, decimal or hexadecimal after 0x")?,
            size: size.ok_or("a number from 1 to 65535 in column size")?,
        })
    }

    /// Reads the address of the instruction that makes `record`.
    fn pc(self, row: &Row, record: Record) -> Result<Option<VirtAddr>, &'static str> {
        let text = self.pc.and_then(|column| row.field(column)).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let pc = number(text)
            .ok_or("an address in column pc, decimal or hexadecimal after 0x, or nothing")?;
        if record.kind == RecordKind::Fetch && record.addr != pc {
            return Err("a fetch at its own pc");
        }
        Ok(Some(pc))
    }
}

fn kind_of(text: &[u8]) -> Option<RecordKind> {
    let names: [(RecordKind, &[&str]); 4] = [
        (RecordKind::Fetch, &["fetch", "I"]),
        (RecordKind::Load, &["load", "L", "read", "R"]),
        (RecordKind::Store, &["store", "S", "write", "W"]),
        (RecordKind::Modify, &["modify", "M"]),
    ];
    let is_named =
        |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name.as_bytes()));
    names.into_iter().find(|(_, names)| is_named(names)).map(|(kind, _)| kind)
}

fn number(text: &[u8]) -> Option<VirtAddr> {
    let (digits, base) = based(text);
    unsigned(digits, base).map(VirtAddr::new)
}

/// Returns the digits of a number and their base.
fn based(text: &[u8]) -> (&[u8], u32) {
    let hexadecimal = text.strip_prefix(b"0x").or(text.strip_prefix(b"0X"));
    hexadecimal.map_or((text, 10), |digits| (digits, 16))
}
