//! Numbers of options that are read late.

pub(super) use crate::number::{Number, Radix};

use anyhow::{Context, Result};

/// Reads the number that `what` is given as.
pub(super) fn parse(what: &str, text: &str) -> Result<Number> {
    text.parse().with_context(|| format!("{what} {text:?}"))
}

/// Reads the value of the number that `what` is given as.
pub(super) fn value(what: &str, text: &str) -> Result<u64> {
    Ok(parse(what, text)?.value)
}
