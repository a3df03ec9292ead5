//! Numbers as people write them, and shown as they were written.

use anyhow::{Result, bail};

/// A number, and how it was written: so are the numbers that are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    pub(super) radix: Radix,
}

/// How to write addresses and distances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Radix {
    #[default]
    Decimal,
    Hexadecimal,
    Binary,
}

impl Radix {
    pub(super) fn show(self, value: impl Into<u64>) -> String {
        let value = value.into();
        match self {
            Self::Decimal => value.to_string(),
            Self::Hexadecimal => format!("{value:#x}"),
            Self::Binary => format!("{value:#b}"),
        }
    }
}

impl Number {
    /// Reads the number that `what` is given as.
    pub(super) fn parse(what: &str, text: &str) -> Result<Self> {
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 1 << 10),
            Some(b'M') => (&text[..text.len() - 1], 1 << 20),
            Some(b'G') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        let (digits, base, radix) = match (digits.get(..2), digits.get(2..)) {
            (Some("0x" | "0X"), Some(rest)) => (rest, 16, Radix::Hexadecimal),
            (Some("0b" | "0B"), Some(rest)) => (rest, 2, Radix::Binary),
            _ => (digits, 10, Radix::Decimal),
        };
        let digits = digits.replace('_', "");
        let is_plain = !digits.starts_with('+');
        let value = u64::from_str_radix(&digits, base).ok().filter(|_| is_plain);
        match value.and_then(|value: u64| value.checked_mul(unit)) {
            Some(value) => Ok(Self { value, radix }),
            None => bail!(
                "{what}: expected a number of at most 64 bits such as 4200, 0x1068, 0b1010 or 16K, \
                 found {text:?}"
            ),
        }
    }
}

/// The value of the number that `what` is given as.
pub(super) fn value(what: &str, text: &str) -> Result<u64> {
    Ok(Number::parse(what, text)?.value)
}
