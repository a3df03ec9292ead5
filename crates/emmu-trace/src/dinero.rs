//! The two text formats of the cache simulator Dinero: "din" of Dinero III, and the extended "din" of Dinero IV.
//!
//! One line for each reference, its fields separated by blanks. In the traditional format they are a label and an
//! address, both hexadecimal; in the extended one, a letter, an address and a size in bytes, both hexadecimal. A prefix
//! `0x` is optional everywhere, and everything after these fields is a comment:
//!
//! ```text
//! 2 400123           traditional: fetches an instruction
//! 0 7ffe1000         traditional: reads data
//! r 7ffe1000 8       extended: reads 8 bytes
//! ```
//!
//! | label | letter | Dinero IV | here |
//! |---|---|---|---|
//! | 0 | `r` | read | load |
//! | 1 | `w` | write | store |
//! | 2 | `i` | instruction fetch | fetch |
//! | 3 | `m` | miscellaneous: as a read, but no prefetch follows | load |
//! | 4 | `c` | copy back a cache line | no reference |
//! | 5 | `v` | invalidate a cache line | no reference |
//!
//! The label or the letter, upper or lower case, decides between the two formats line by line.
//!
//! A traditional line has no size. Dinero IV reads it as the four bytes of the aligned word at the address, since
//! Dinero III counts in words, and so does this reader.
//!
//! Sources: J. Edler and M. D. Hill, *Dinero IV Trace-Driven Uniprocessor Cache Simulator*, 1998, `dinfmt.c` and
//! `xdinfmt.c`; manual page of `d4`, option `-informat`.

use crate::text::{LineFormat, TextReader, address, size, split_word, unsigned};
use crate::{Record, RecordKind};
use emmu_core::VirtAddr;

/// Size of a reference of the traditional format, in bytes.
const WORD: u16 = 4;

/// Reads Dinero's text.
///
/// ```
/// use emmu_trace::{DineroReader, RecordSource};
/// let text = "2 400123 main\nr 0x7ffe1000 8\n";
/// let records: Vec<_> = DineroReader::new(text.as_bytes()).records().collect::<Result<_, _>>()?;
/// assert_eq!(records[0].to_string(), "I  00400120,4");
/// assert_eq!(records[1].to_string(), " L 7ffe1000,8");
/// # Ok::<(), emmu_trace::TraceError>(())
/// ```
pub type DineroReader<R> = TextReader<R, Dinero>;

/// The format of Dinero's lines, traditional or extended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dinero;

impl LineFormat for Dinero {
    fn read_line(&mut self, line: &[u8], records: &mut Vec<Record>) -> Result<(), &'static str> {
        let (label, rest) = split_word(line);
        let (place, rest) = split_word(rest);
        let (action, extended) = action(label)?;
        let addr = whole_address(place)?;
        let (addr, size) = if extended {
            let size = size(without_prefix(split_word(rest).0), 16);
            (addr, size.ok_or("a hexadecimal size from 1 to ffff after the address")?)
        } else {
            (word(addr), WORD)
        };
        records.extend(action.map(|kind| Record::new(kind, addr, size)));
        Ok(())
    }
}

/// Returns the kind of the reference that a label stands for, if it stands for one, and true if it is an extended one.
fn action(label: &[u8]) -> Result<(Option<RecordKind>, bool), &'static str> {
    let number = unsigned(without_prefix(label), 16);
    let (code, extended) = match label {
        [b'r' | b'R'] => (0, true),
        [b'w' | b'W'] => (1, true),
        [b'i' | b'I'] => (2, true),
        [b'm' | b'M'] => (3, true),
        // `c` is a hexadecimal digit, but no label.
        [b'c' | b'C'] => (4, true),
        [b'v' | b'V'] => (5, true),
        _ => (number.ok_or("a label from 0 to 5, or one of the letters r, w, i, m, c, v")?, false),
    };
    match code {
        0 | 3 => Ok((Some(RecordKind::Load), extended)),
        1 => Ok((Some(RecordKind::Store), extended)),
        2 => Ok((Some(RecordKind::Fetch), extended)),
        4 | 5 => Ok((None, extended)),
        _ => Err("a label from 0 to 5, or one of the letters r, w, i, m, c, v"),
    }
}

/// Reads a whole word as an address, with or without a prefix.
fn whole_address(word: &[u8]) -> Result<VirtAddr, &'static str> {
    match address(without_prefix(word))? {
        (addr, []) => Ok(addr),
        _ => Err("a hexadecimal address"),
    }
}

fn without_prefix(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"0x").or(word.strip_prefix(b"0X")).unwrap_or(word)
}

/// Returns the aligned word that holds the byte at `addr`.
fn word(addr: VirtAddr) -> VirtAddr {
    VirtAddr::new(addr.raw() & !u64::from(WORD - 1))
}
