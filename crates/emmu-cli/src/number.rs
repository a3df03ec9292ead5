//! Numbers on the command line. Every command reads sizes, addresses and counts with this one parser.

use anyhow::{Context, Result, ensure};
use std::{ops::RangeInclusive, str::FromStr};

/// The note on numbers in the help of every command that takes them.
pub(crate) const NOTE: &str = "\
Numbers are decimal, hexadecimal (0x4000) or binary (0b1010). Digits may be separated by _, and a number may end in \
K, M, G or T, which multiply by powers of 1024.";

/// The units that a number may end in, with the powers of two that they stand for.
const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// A number, and the base in which it was written. An explanation shows its numbers in the same base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: u64,
    pub(crate) radix: Radix,
}

/// The base in which numbers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Radix {
    #[default]
    Decimal,
    Hexadecimal,
    Binary,
}

impl Radix {
    pub(crate) fn show(self, value: impl Into<u64>) -> String {
        let value = value.into();
        match self {
            Self::Decimal => value.to_string(),
            Self::Hexadecimal => format!("{value:#x}"),
            Self::Binary => format!("{value:#b}"),
        }
    }

    const fn base(self) -> u32 {
        match self {
            Self::Decimal => 10,
            Self::Hexadecimal => 16,
            Self::Binary => 2,
        }
    }
}

impl FromStr for Number {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).context(
            "expected a number of at most 64 bits such as 4200, 1_000_000, 16K, 0x4000 or 0b1010",
        )
    }
}

fn parse(text: &str) -> Option<Number> {
    let in_unit = |&(unit, bits)| Some((text.strip_suffix(unit)?, bits));
    let (digits, bits) = UNITS.iter().find_map(in_unit).unwrap_or((text, 0));
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], Radix::Hexadecimal),
        Some("0b" | "0B") => (&digits[2..], Radix::Binary),
        _ => (digits, Radix::Decimal),
    };
    let begins_with_digit = digits.starts_with(|first: char| first.is_digit(radix.base()));
    let value = u64::from_str_radix(&digits.replace('_', ""), radix.base()).ok()?;
    let value = value.checked_mul(1 << bits).filter(|_| begins_with_digit)?;
    Some(Number { value, radix })
}

/// Reads a number.
pub(crate) fn number(text: &str) -> Result<u64> {
    Ok(text.parse::<Number>()?.value)
}

/// Returns a parser of numbers in this range, for an option.
pub(crate) fn within(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64> + Clone + Send + Sync + 'static {
    move |text| {
        let value = number(text)?;
        let (least, most) = (range.start(), range.end());
        ensure!(value >= *least || *most < u64::MAX, "expected a number of at least {least}");
        ensure!(range.contains(&value), "expected a number from {least} to {most}");
        Ok(value)
    }
}

/// Returns a parser of numbers in this range, for an option of a narrower type.
pub(crate) fn narrow<T: TryFrom<u64> + 'static>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T> + Clone + Send + Sync + 'static {
    let parse = within(range);
    move |text| T::try_from(parse(text)?).ok().context("expected a smaller number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    #[test]
    fn numbers_are_read_in_every_form() {
        for (text, value) in [
            ("0", 0),
            ("4200", 4200),
            ("1_000_000", 1_000_000),
            ("16K", 16 << 10),
            ("1M", 1 << 20),
            ("2G", 2 << 30),
            ("3T", 3 << 40),
            ("0x4000", 0x4000),
            ("0X4_0K", 0x40 << 10),
            ("0b1010", 10),
            ("0xffff_ffff_ffff_ffff", u64::MAX),
        ] {
            assert_eq!(number(text).ok(), Some(value), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "K",
            "_1",
            "+1",
            "-1",
            "1k",
            "1KiB",
            "12z",
            "0x",
            "0x_1",
            "0b2",
            "1.5K",
            " 1",
            "é",
            "0x1_0000_0000_0000_0000",
            "16777216T",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_names_its_ends() {
        let complaint = |range, text| within(range)(text).map_err(|error| error.to_string());
        assert_eq!(complaint(1..=16, "0x10"), Ok(16));
        assert_eq!(complaint(1..=16, "17"), Err("expected a number from 1 to 16".to_owned()));
        assert_eq!(complaint(1..=u64::MAX, "0"), Err("expected a number of at least 1".to_owned()));
    }

    quickcheck! {
        fn a_number_that_is_shown_is_read_again(value: u64, choice: u8) -> bool {
            let radix = [Radix::Decimal, Radix::Hexadecimal, Radix::Binary][usize::from(choice % 3)];
            radix.show(value).parse().ok() == Some(Number { value, radix })
        }
    }
}
