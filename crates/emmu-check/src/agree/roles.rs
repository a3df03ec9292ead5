//! Which stages' entries a word of memory is.

use emmu_core::PhysAddr;
use emmu_oracle::{
    reference::Write,
    two_stage::{Nested, Stage},
};
use std::collections::BTreeSet;

/// Of which stages the words are that were read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles(BTreeSet<(Stage, PhysAddr)>);

impl Roles {
    /// Adds what an access does, and says whether it changes an entry of both stages: where that is remembered for one
    /// of them, the change means that it should be no more.
    pub(super) fn clash<F>(&mut self, nested: &Nested<F>) -> bool {
        self.0.extend(nested.reads.iter().map(|entry| (entry.stage, word(entry.addr))));
        let is_both = |write: &Write| {
            let has = |stage| self.0.contains(&(stage, word(write.addr)));
            has(Stage::First) && has(Stage::Second)
        };
        nested.entangled || nested.changes.iter().any(is_both)
    }
}

/// The eight bytes that the entry is, or is half of.
fn word(addr: PhysAddr) -> PhysAddr {
    addr.align_down(3)
}

/// Whether a walk that sets these flags meets an entry that it has changed itself, on another level, and so begins
/// again: it has read the same entry twice before the change.
pub(super) fn restarts<F>(nested: &Nested<F>) -> bool {
    nested.changes.iter().any(|write| {
        let reads = nested.reads.iter().filter(|entry| entry.addr == write.addr);
        let before: Vec<_> =
            reads.map(|entry| entry.raw).filter(|raw| *raw != write.value).collect();
        before.iter().collect::<BTreeSet<_>>().len() < before.len()
    })
}

/// Whether the access is refused, but it is open which refusal is reported: the walk of the first stage meets an entry
/// on two levels, and so sets flags of it for either before or after those of the entries between, each of which the
/// second stage may refuse.
pub(super) fn is_ambiguous<F>(nested: &Nested<F>) -> bool {
    let of = |stage| nested.reads.iter().filter(move |entry| entry.stage == stage);
    let mut places = BTreeSet::new();
    nested.answer.is_err()
        && of(Stage::Second).next().is_some()
        && !of(Stage::First).all(|entry| places.insert(entry.addr))
}
