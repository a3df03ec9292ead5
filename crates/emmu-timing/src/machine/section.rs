//! A strict reader of TOML tables. Every error names file, line, column and key, and says what was expected.

use super::error::{MachineError, Place};
use super::shape::with_parameters;
use emmu_paging::Own;
use std::{fmt::Display, ops::Range, ops::RangeInclusive};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The text to read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    /// The replacement policies that the text may name besides the built-in ones.
    pub(crate) own: &'a [Own],
}

impl<'a> Source<'a> {
    /// Parses the text as TOML.
    pub(crate) fn table(self) -> Result<Spanned<DeTable<'a>>, MachineError> {
        DeTable::parse(self.text).map_err(|error| MachineError::Syntax {
            place: self.place(error.span().map_or(0, |span| span.start)),
            problem: error.message().replace('\n', ", "),
        })
    }

    fn place(self, offset: usize) -> Place {
        Place::new(self.file, self.text, offset)
    }
}

/// A table that is being read.
pub(crate) struct Section<'a> {
    source: Source<'a>,
    path: String,
    table: &'a DeTable<'a>,
    start: usize,
}

impl<'a> Section<'a> {
    /// Returns the outermost table. An error says if it has a key other than these.
    pub(crate) fn root(
        source: Source<'a>,
        table: &'a DeTable<'a>,
        keys: &[&str],
    ) -> Result<Self, MachineError> {
        let root = Self { source, path: String::new(), table, start: 0 };
        root.refuse_other_keys(keys)?;
        Ok(root)
    }

    /// Returns the replacement policies that the text may name besides the built-in ones.
    pub(crate) const fn own_policies(&self) -> &'a [Own] {
        self.source.own
    }

    /// Returns the value of an optional key.
    pub(crate) fn find(&self, key: &str) -> Option<Item<'a>> {
        self.table.get(key).map(|value| Item {
            source: self.source,
            path: self.path_of(key),
            value: value.get_ref(),
            span: value.span(),
        })
    }

    /// Returns the value of a mandatory key.
    pub(crate) fn need(&self, key: &str, expected: &str) -> Result<Item<'a>, MachineError> {
        self.find(key).ok_or_else(|| self.refuse(key, "missing", expected))
    }

    /// Makes an error about the table as a whole, at the place of one of its keys.
    pub(crate) fn refuse(
        &self,
        key: &str,
        problem: impl Display,
        expected: impl Display,
    ) -> MachineError {
        MachineError::Key {
            place: self.source.place(self.start),
            key: self.path_of(key),
            problem: problem.to_string(),
            expected: expected.to_string(),
        }
    }

    /// Where a replacement policy may be named, its parameters may stand, too.
    fn refuse_other_keys(&self, keys: &[&str]) -> Result<(), MachineError> {
        let keys = with_parameters(keys);
        let others = self.table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref()));
        match others.min_by_key(|key| key.span().start) {
            None => Ok(()),
            Some(other) => Err(MachineError::Key {
                place: self.source.place(other.span().start),
                key: self.path_of(other.get_ref()),
                problem: "unknown key".to_owned(),
                expected: format!("one of {}", keys.join(", ")),
            }),
        }
    }

    fn path_of(&self, key: &str) -> String {
        let key = key.escape_debug();
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// A value that is being read.
pub(crate) struct Item<'a> {
    source: Source<'a>,
    path: String,
    value: &'a DeValue<'a>,
    span: Range<usize>,
}

impl<'a> Item<'a> {
    /// Makes the error that this value is wrong.
    pub(crate) fn refuse(&self, problem: impl Display, expected: impl Display) -> MachineError {
        MachineError::Key {
            place: self.source.place(self.span.start),
            key: self.path.clone(),
            problem: problem.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(crate) fn text(&self, expected: &str) -> Result<&'a str, MachineError> {
        match self.value {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.refuse(self.kind(), expected)),
        }
    }

    /// Reads an integer within this range. `unit` names in the message what the integer counts.
    pub(crate) fn integer(
        &self,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Result<u64, MachineError> {
        let expected = || format!("an integer from {} to {}{unit}", range.start(), range.end());
        let DeValue::Integer(written) = self.value else {
            return Err(self.refuse(self.kind(), expected()));
        };
        match u64::from_str_radix(written.as_str(), written.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.refuse(format!("{written} is out of range"), expected())),
        }
    }

    /// Reads an integer within a range of `u32`.
    pub(crate) fn integer32(
        &self,
        range: RangeInclusive<u32>,
        unit: &str,
    ) -> Result<u32, MachineError> {
        let number = self.integer(u64::from(*range.start())..=u64::from(*range.end()), unit)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Reads a number of bytes: an integer, or a string such as `"32K"`.
    pub(crate) fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, MachineError> {
        let expected = || {
            format!("a size from {} to {}", show_bytes(*range.start()), show_bytes(*range.end()))
        };
        let (written, bytes) = match self.value {
            DeValue::String(text) => (format!("{text:?}"), parse_bytes(text)),
            DeValue::Integer(number) => {
                (number.to_string(), u64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            _ => return Err(self.refuse(self.kind(), expected())),
        };
        match bytes {
            Some(bytes) if range.contains(&bytes) => Ok(bytes),
            Some(_) => Err(self.refuse(format!("{written} is out of range"), expected())),
            None => Err(self.refuse(format!("{written} is no size"), expected())),
        }
    }

    /// Reads one of these names.
    pub(crate) fn choice<T: Copy>(&self, names: &[(&str, T)]) -> Result<T, MachineError> {
        self.choice_of(names, &one_of(names))
    }

    /// Reads one of these names. `expected` describes the names in the message.
    pub(crate) fn choice_of<T: Copy>(
        &self,
        names: &[(&str, T)],
        expected: &str,
    ) -> Result<T, MachineError> {
        let text = self.text(expected)?;
        let found = names.iter().find(|(name, _)| *name == text);
        found
            .map(|&(_, value)| value)
            .ok_or_else(|| self.refuse(format!("unknown name {text:?}"), expected))
    }

    /// Reads a table. An error says if it has a key other than these.
    pub(crate) fn section(&self, keys: &[&str]) -> Result<Section<'a>, MachineError> {
        let DeValue::Table(table) = self.value else {
            return Err(self.refuse(self.kind(), "a table"));
        };
        let section =
            Section { source: self.source, path: self.path.clone(), table, start: self.span.start };
        section.refuse_other_keys(keys)?;
        Ok(section)
    }

    /// Reads the elements of an array.
    pub(crate) fn elements(&self, expected: &str) -> Result<Vec<Self>, MachineError> {
        let DeValue::Array(array) = self.value else {
            return Err(self.refuse(self.kind(), expected));
        };
        let elements = array.iter().enumerate().map(|(index, element)| Self {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            value: element.get_ref(),
            span: element.span(),
        });
        Ok(elements.collect())
    }

    fn kind(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("{text:?} is a string"),
            DeValue::Integer(number) => format!("{number} is an integer"),
            DeValue::Float(number) => format!("{number} is no integer"),
            DeValue::Boolean(value) => format!("{value} is a boolean"),
            DeValue::Datetime(date) => format!("{date} is a date"),
            DeValue::Array(_) => "is an array".to_owned(),
            DeValue::Table(_) => "is a table".to_owned(),
        }
    }
}

/// Returns the words for "expected" in an error about a choice among these names.
pub(crate) fn one_of<T>(names: &[(&str, T)]) -> String {
    let known: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
    format!("one of {}", known.join(", "))
}

const UNITS: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];

/// Parses a size: `"32K"` is 32 × 1024, and a number without a unit is bytes. The number may be decimal, hexadecimal
/// (`"0x4000"`) or binary (`"0b1010"`), and `_` may separate its digits.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, bits) = UNITS
        .iter()
        .find_map(|&(unit, bits)| text.strip_suffix(unit).map(|digits| (digits, bits)))
        .unwrap_or((text, 0));
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        _ => (digits, 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()?.checked_mul(1 << bits)
}

/// Writes a size with the largest unit that leaves an integer.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let fits = |&&(_, bits): &&(&str, u32)| bytes != 0 && bytes.trailing_zeros() >= bits;
    match UNITS.iter().find(fits) {
        Some((unit, bits)) => format!("{}{unit}", bytes >> bits),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_bytes("1408K"), Some(1_441_792));
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(show_bytes(1_441_792), "1408K");
    }

    #[test]
    fn sizes_may_have_separators_and_other_bases() {
        for (text, bytes) in [
            ("64_000K", 64_000 << 10),
            ("0x4000000", 0x400_0000),
            ("0X4_0K", 0x40 << 10),
            ("0b1010", 10),
            ("0xffff_ffff_ffff_ffff", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "K",
            "-1K",
            "+1K",
            "1.5M",
            "1 K",
            "1k",
            "1KiB",
            "16777216T",
            "_1K",
            "0x",
            "0x_1",
            "0x+1",
            "0b2",
            "é",
            "0x1_0000_0000_0000_0000",
        ] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    quickcheck! {
        fn every_size_reads_back_as_written(bytes: u64) -> bool {
            parse_bytes(&show_bytes(bytes)) == Some(bytes)
        }
    }
}
