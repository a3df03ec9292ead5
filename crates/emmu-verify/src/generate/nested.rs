//! Functions that the generators of two-stage cases share.

use super::entropy::Dice;
use emmu_core::{Access, PhysAddr, VirtAddr};
use emmu_oracle::reference::{SparseMemory, Write};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the 4 KiB pages that a second stage has to map: the pages of the first stage's entries, and the pages that
/// these entries map.
pub(super) fn guest_pages(
    words: &[Write],
    mapped: impl Iterator<Item = PhysAddr>,
) -> BTreeSet<u64> {
    let entries = words.iter().map(|word| word.addr);
    entries.chain(mapped).map(|addr| addr.align_down(12).raw()).collect()
}

/// Returns guest-physical or host memory that holds these words.
pub(super) fn memory(words: &[Write]) -> SparseMemory {
    let mut memory = SparseMemory::default();
    memory.apply_all(words);
    memory
}

/// Moves most accesses into a page for which tables were made, because other accesses end at the first levels.
pub(super) fn aimed(dice: &Dice<'_>, access: Access, targets: &[u64]) -> Access {
    match dice.pick_from(targets) {
        Some(target) if dice.chance(60) => {
            access.at(VirtAddr::new(target | access.addr.offset(12)), access.size)
        }
        _ => access,
    }
}

/// Returns all words in host memory. The guest's words stand where the second stage maps them. Guest words that the
/// second stage does not map are left out, and so are those that would overlap an entry of the second stage.
pub(super) fn place(
    guest: &[Write],
    second: Vec<Write>,
    to_host: impl Fn(PhysAddr) -> Option<PhysAddr>,
) -> Vec<Write> {
    let mut words: BTreeMap<PhysAddr, Write> =
        second.into_iter().map(|word| (word.addr, word)).collect();
    for word in guest {
        let Some(addr) = to_host(word.addr) else { continue };
        if is_free(&words, addr, word.size) {
            words.insert(addr, Write { addr, ..*word });
        }
    }
    words.into_values().collect()
}

/// Returns true if none of `words` has a byte among the `size` bytes at `addr`.
fn is_free(words: &BTreeMap<PhysAddr, Write>, addr: PhysAddr, size: u8) -> bool {
    let last = addr.wrapping_add(u64::from(size) - 1);
    let before = words.range(..=last).next_back();
    before.is_none_or(|(at, word)| at.wrapping_add(word.size.into()) <= addr)
}
