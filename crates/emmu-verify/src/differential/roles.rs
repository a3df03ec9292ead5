//! `Roles`: the stages whose walks read a word of memory as an entry.

use emmu_core::PhysAddr;
use emmu_oracle::{
    reference::Write,
    two_stage::{Nested, Stage},
};
use std::collections::BTreeSet;

/// The words that were read so far with the stages that read them, and the entries with their sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    words: BTreeSet<(Stage, PhysAddr)>,
    entries: BTreeSet<(PhysAddr, u8)>,
}

impl Roles {
    /// Adds the reads of an access. Returns true if the access changes an entry of both stages, or a part of another
    /// entry, as is possible where tables are not aligned: a cache that holds such an entry becomes stale.
    pub(super) fn clash<F>(&mut self, nested: &Nested<F>) -> bool {
        self.words.extend(nested.reads.iter().map(|entry| (entry.stage, word(entry.addr))));
        self.entries.extend(nested.reads.iter().map(|entry| (entry.addr, entry.size)));
        let is_both = |write: &Write| {
            let has = |stage| self.words.contains(&(stage, word(write.addr)));
            has(Stage::First) && has(Stage::Second)
        };
        let cuts = |write: &Write| self.entries.iter().any(|&(addr, size)| cuts(write, addr, size));
        nested.entangled || nested.changes.iter().any(|write| is_both(write) || cuts(write))
    }
}

/// Returns true if the write changes a part of this entry, but is not a write of the entry itself.
fn cuts(write: &Write, addr: PhysAddr, size: u8) -> bool {
    let after = |first: PhysAddr, second: PhysAddr| second.raw().wrapping_sub(first.raw());
    write.addr != addr
        && (after(write.addr, addr) < write.size.into() || after(addr, write.addr) < size.into())
}

/// Returns the address of the eight bytes that the entry is, or is half of.
fn word(addr: PhysAddr) -> PhysAddr {
    addr.align_down(3)
}

/// Returns true if a walk that sets these flags reads, on another level, an entry that it has changed itself, and so
/// begins again: the walk has read the same entry twice before the change.
pub(super) fn restarts<F>(nested: &Nested<F>) -> bool {
    nested.changes.iter().any(|write| {
        let reads = nested.reads.iter().filter(|entry| entry.addr == write.addr);
        let before: Vec<_> =
            reads.map(|entry| entry.raw).filter(|raw| *raw != write.value).collect();
        before.iter().collect::<BTreeSet<_>>().len() < before.len()
    })
}

/// Returns true if the access is refused, but more than one refusal may be reported. The walk of the first stage then
/// meets an entry on two levels, and sets its flags either before or after those of the entries between, each of which
/// the second stage may refuse.
pub(super) fn is_ambiguous<F>(nested: &Nested<F>) -> bool {
    let of = |stage| nested.reads.iter().filter(move |entry| entry.stage == stage);
    let mut places = BTreeSet::new();
    nested.answer.is_err()
        && of(Stage::Second).next().is_some()
        && !of(Stage::First).all(|entry| places.insert(entry.addr))
}
