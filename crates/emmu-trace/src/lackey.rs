//! The text that `valgrind --tool=lackey --trace-mem=yes` prints (Valgrind User Manual, chapter 12, "Lackey").
//!
//! One line for each reference: its kind (`I`, `L`, `S`, `M`), the address in hexadecimal without prefix,
//! a comma, the size in decimal bytes. A fetch begins the line and two blanks follow; data is indented:
//!
//! ```text
//! ==5813== Lackey, an example Valgrind tool
//! SB 04016b30
//! I  04016b30,3
//!  S 1ffeffe7e0,8
//!  M 0421c7f0,4
//! ```
//!
//! Three kinds of lines hold no reference and are skipped: lines of valgrind itself (`==pid==`, with `-v` also
//! `--pid--` and `**pid**`), the entries of superblocks that `--trace-superblocks=yes` adds (`SB address`), and blank
//! lines. Every other line is refused, such as one that the traced program printed;
//! [`TextReader::lenient`] skips and counts those.
//!
//! The number of blanks is free, since other tools that write this format differ in it. A last line without its end
//! is read as any other, so a text that was cut within its last number passes for a whole one. The native format
//! notices every cut.

use crate::text::{LineFormat, TextReader, address, size};
use crate::{Record, RecordKind};

/// Longest command that is kept, in bytes.
const MAX_COMMAND: usize = 1024;

/// Reads lackey's text.
///
/// ```
/// use emmu_trace::{LackeyReader, RecordKind, RecordSource};
/// let text = "==1== Command: ls\nI  04016b30,3\n S 1ffeffe7e0,8\n";
/// let records: Vec<_> = LackeyReader::new(text.as_bytes()).records().collect::<Result<_, _>>()?;
/// assert_eq!(records[1].kind, RecordKind::Store);
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
pub type LackeyReader<R> = TextReader<R, Lackey>;

/// The format of lackey's lines. Its provenance is the command that valgrind names in its heading.
#[derive(Clone, Debug, Default)]
pub struct Lackey {
    command: Option<String>,
}

impl LineFormat for Lackey {
    fn read_line(&mut self, line: &[u8], records: &mut Vec<Record>) -> Result<(), &'static str> {
        if is_valgrind(line) {
            self.note_command(line);
        } else if !is_superblock(line) {
            records.push(record(line)?);
        }
        Ok(())
    }

    fn accepts_long_line(&mut self, start: &[u8]) -> bool {
        let accepted = is_valgrind(start);
        if accepted {
            self.note_command(start);
        }
        accepted
    }

    fn provenance(&self) -> Option<&str> {
        self.command.as_deref()
    }
}

impl Lackey {
    /// Keeps the command that valgrind ran, if this line names it and none before did.
    fn note_command(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(&line[..line.len().min(MAX_COMMAND)]);
        if let (None, Some((_, command))) = (&self.command, text.split_once("== Command: ")) {
            self.command = Some(command.to_owned());
        }
    }
}

/// Returns true for a line of valgrind itself: `==1234== …`.
pub(crate) fn is_valgrind(line: &[u8]) -> bool {
    [b"==", b"--", b"**"].into_iter().any(|mark| {
        let rest = line.strip_prefix(mark).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && rest[digits..].starts_with(mark)
    })
}

/// Returns true for the entry of a superblock: `SB 04016b30`.
fn is_superblock(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"SB ").map(<[u8]>::trim_ascii_start);
    rest.is_some_and(|rest| matches!(address(rest), Ok((_, []))))
}

/// Reads the reference in a line.
fn record(line: &[u8]) -> Result<Record, &'static str> {
    let (letter, rest) = line.split_first().unwrap_or((&0, line));
    let kind = kind_of(*letter).ok_or("one of the letters I, L, S, M")?;
    let (addr, rest) = address(rest.trim_ascii_start())?;
    let rest = rest.strip_prefix(b",").ok_or("a comma after the hexadecimal address")?;
    let size =
        size(rest, 10).ok_or("a decimal size from 1 to 65535 after the comma, and no more")?;
    Ok(Record::new(kind, addr, size))
}

const fn kind_of(letter: u8) -> Option<RecordKind> {
    match letter {
        b'I' => Some(RecordKind::Fetch),
        b'L' => Some(RecordKind::Load),
        b'S' => Some(RecordKind::Store),
        b'M' => Some(RecordKind::Modify),
        _ => None,
    }
}
