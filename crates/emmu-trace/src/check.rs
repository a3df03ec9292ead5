//! Properties of the readers and writers that hold for any bytes whatever: for `cargo test` and for fuzzers.
//!
//! Each check takes raw bytes and returns a finding if a property does not hold. None panics by itself, so a panic is a
//! finding, too.

mod binary;
mod native;
mod text;

pub use binary::{any_bytes, champsim_bytes};
pub use native::{
    altered_block, corruption, hostile_block, native_bytes, round_trip, seek, truncation, written,
};
pub use text::{csv_bytes, dinero_bytes, lackey_bytes, text_round_trip};

use crate::{Record, RecordKind, RecordSource, TraceError};
use emmu_core::VirtAddr;

/// The outcome of a check: nothing, or a finding in words.
pub type Verdict = Result<(), String>;

/// Reads a source to its end.
fn collect(source: impl RecordSource) -> Result<Vec<Record>, TraceError> {
    source.records().collect()
}

/// Makes references of any bytes: runs of a program's habits, and the extremes.
#[must_use]
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut records = vec![];
    let (mut pc, mut data) = (0x0401_0000_u64, 0x1f_feff_e000_u64);
    for step in bytes.chunks(3) {
        let [code, a, b] = std::array::from_fn(|index| step.get(index).copied().unwrap_or(0));
        let (offset, size) = (u64::from(a).wrapping_sub(128), u16::from(b % 64) + 1);
        match code % 8 {
            0..=2 => pc = pc.wrapping_add(offset),
            3 => pc = 0x0401_0000 + u64::from(a % 8) * 16,
            4 => data = data.wrapping_add(offset),
            5 => data = u64::from(a) << (b % 64),
            6 => data = 0u64.wrapping_sub(u64::from(a % 2)),
            _ => pc = u64::MAX - u64::from(a % 2),
        }
        let size = if code == 255 { u16::MAX } else { size };
        let kind = RecordKind::from_number(u64::from(code >> 6)).unwrap_or(RecordKind::Fetch);
        let addr = if kind == RecordKind::Fetch { pc } else { data };
        records.push(Record::new(kind, VirtAddr::new(addr), size));
    }
    records
}

fn same(found: &[Record], expected: &[Record]) -> Verdict {
    if found == expected {
        return Ok(());
    }
    let first = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} references came back for {}; number {first} differs",
        found.len(),
        expected.len()
    ))
}

/// Checks that the message of an error is one: a line, not too long.
fn explained(error: &TraceError) -> Verdict {
    let message = error.to_string();
    let fine = (10..500).contains(&message.len()) && !message.contains('\n');
    fine.then_some(()).ok_or_else(|| format!("not a message: {message:?}"))
}
