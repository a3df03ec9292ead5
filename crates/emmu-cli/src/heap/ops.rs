//! The operations on the heap, parsed from the command line.

use crate::number::number;
use anyhow::{Context, Result, bail, ensure};
use core::fmt;

/// The largest number of operations.
const MOST: usize = 100_000;
/// The largest size or address.
const LARGEST: u64 = 1 << 40;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Asks for this many units. Later operations name the allocation by its number.
    Allocate(u64),
    /// Frees the allocation of this number.
    Free(usize),
    /// Frees the block at this address.
    FreeAt(u64),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocate(size) => write!(f, "+{size}"),
            Self::Free(slot) => write!(f, "-{slot}"),
            Self::FreeAt(addr) => write!(f, "-@{addr}"),
        }
    }
}

/// Parses operations such as `+10,-0,+20`. An allocation that is freed by number must stand before that.
pub(crate) fn parse(text: &str) -> Result<Vec<Op>> {
    let (mut ops, mut asked) = (Vec::new(), 0);
    for (place, word) in text.split(',').enumerate() {
        let op = parse_op(word.trim())
            .with_context(|| format!("operation {} is \"{word}\"", place + 1))?;
        match op {
            Op::Allocate(_) => asked += 1,
            Op::Free(slot) => ensure!(
                slot < asked,
                "operation {} is \"{word}\": only {asked} allocations come before it, and they are counted from 0",
                place + 1
            ),
            Op::FreeAt(_) => {}
        }
        ops.push(op);
        ensure!(ops.len() <= MOST, "more than {MOST} operations");
    }
    Ok(ops)
}

fn parse_op(word: &str) -> Result<Op> {
    let expected = "expected +SIZE, -NUMBER or -@ADDRESS";
    if let Some(size) = word.strip_prefix('+') {
        return Ok(Op::Allocate(parse_number(size).context(expected)?));
    }
    let Some(what) = word.strip_prefix('-') else { bail!(expected) };
    match what.strip_prefix('@') {
        Some(addr) => Ok(Op::FreeAt(parse_number(addr).context(expected)?)),
        None => Ok(Op::Free(usize::try_from(parse_number(what).context(expected)?)?)),
    }
}

fn parse_number(text: &str) -> Option<u64> {
    number(text).ok().filter(|number| *number <= LARGEST)
}
