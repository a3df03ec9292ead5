//! Rules that need neither a unit nor a model.

use super::{Mismatch, same, trace::Trace};
use crate::Run;
use emmu_core::{FaultEntry, PhysAddr};
use emmu_oracle::{
    Memory,
    reference::SparseMemory,
    two_stage::{Nested, Stage},
};

/// Makes a mismatch between a rule and an answer of the unit.
pub(super) fn refused(what: &'static str, got: &str) -> Mismatch {
    Mismatch { what, expected: "something sound".to_owned(), got: got.to_owned() }
}

/// Returns the number of bytes from `addr` to the end of its 2^`bits`-byte block.
pub(super) fn to_the_end(addr: PhysAddr, bits: u32) -> u64 {
    match 1_u64.checked_shl(bits) {
        Some(size) => size - addr.raw() % size,
        None => (u64::MAX - addr.raw()).saturating_add(1),
    }
}

/// Returns true if all entries of the run around the entry at `leaf` map one contiguous range with the same rights.
pub(super) fn is_whole(run: Run, leaf: PhysAddr, memory: &SparseMemory) -> bool {
    let first = leaf.align_down(3 + run.bits);
    let entries = (0..1 << run.bits).map(|number| memory.read64(first.wrapping_add(8 * number)));
    let (Ok(origin), Some(step)) = (memory.read64(first), run.step) else { return false };
    let aligned = origin & step.wrapping_mul((1 << run.bits) - 1) == 0;
    let expected = (0..).map(|number| Ok(origin + number * step));
    aligned && entries.zip(expected).all(|(entry, expected)| entry == expected)
}

/// Returns true if `all` contains all of `items`, in this order.
pub(super) fn is_part<T: PartialEq>(items: &[T], all: &[T]) -> bool {
    let mut all = all.iter();
    items.iter().all(|item| all.any(|other| other == item))
}

pub(super) const LOW: u64 = 0xffff_ffff;

/// Checks that the entry of the fault is the one that the first stage, or the only one, read last. If there is a second
/// stage, the entry's address is guest-physical, and the events report its address on the bus.
pub(super) fn sound_entry(entry: FaultEntry, trace: &Trace) -> Result<(), Mismatch> {
    let last = trace.last_of(Stage::First);
    let last =
        last.map(|last| if trace.nested { FaultEntry { addr: entry.addr, ..last } } else { last });
    same("faulting entry", &last, &Some(entry))
}

/// Returns the entry as it is after its change, if the model changes it.
pub(super) fn after<F>(entry: FaultEntry, expected: &Nested<F>) -> FaultEntry {
    let change = expected.changes.iter().find(|write| write.addr == entry.addr);
    FaultEntry { raw: change.map(|write| write.value).or(entry.raw), ..entry }
}
