//! The cache of invalid entries, on machines that cache them: a third user of the associative table.

use crate::{
    Assoc, Geometry, Owner,
    drive::Refusal,
    format::{MAX_LEVELS, Shape},
    owner::{Owners, Visible},
    tlb::block_tag,
};
use emmu_core::{Cause, FaultEntry, VirtAddr};

/// Invalid entries at which walks have ended: they allow no access at all.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct InvalidEntries {
    assoc: Assoc<Held>,
}

/// An invalid entry, its cause, and log2 of the size of the memory that it would map.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Held {
    refusal: Option<(Cause, FaultEntry)>,
    bits: u8,
}

impl InvalidEntries {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self { assoc: Assoc::new(geometry) }
    }

    /// Returns its shape, if each entry has a possible size and an owner for which `is_given` returns true.
    #[cfg(feature = "serde")]
    pub(crate) fn checked(&self, is_given: impl Fn(Owner) -> bool) -> Option<Geometry> {
        let is_sound = |owner, held: &Held| is_given(owner) && (1..=64).contains(&held.bits);
        let all = self.assoc.entries().all(|(_, owner, held)| is_sound(owner, held));
        all.then(|| self.assoc.geometry())
    }

    /// Returns the refusal of any access to this address, if an invalid entry for it is cached. The entry
    /// nearest to a leaf decides.
    pub(crate) fn lookup(
        &mut self,
        addr: VirtAddr,
        shape: &Shape,
        visible: Visible,
    ) -> Option<Refusal> {
        let levels = 0..u8::try_from(MAX_LEVELS).unwrap_or(u8::MAX);
        let tags = levels.map(|level| block_tag(addr, shape.page_bits(level).into()));
        let own = |owner, _: &Held| owner == visible.own;
        let found = tags.into_iter().find_map(|tag| self.assoc.lookup(tag, own))?;
        let (slot, refusal) = (found.slot, found.value.refusal);
        self.assoc.hit(slot);
        let (cause, entry) = refusal?;
        Some(Refusal::of_entry(cause, entry))
    }

    /// Enters a refusal, if an entry that allows no access caused it.
    pub(crate) fn fill(
        &mut self,
        refusal: &Refusal,
        addr: VirtAddr,
        shape: &Shape,
        visible: Visible,
        owners: &Owners,
    ) {
        let Some((cause, entry)) = refusal.invalid() else { return };
        let bits = shape.page_bits(entry.level);
        let tag = block_tag(addr, bits.into());
        let held = Held { refusal: Some((cause, entry)), bits };
        self.assoc.invalidate(tag, |owner, _| owner == visible.own);
        self.assoc.fill(tag, visible.own, held, owners);
    }

    /// Invalidates every entry that maps something of `first ..= last`, if its owner is concerned.
    pub(crate) fn invalidate_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Owner) -> bool,
    ) {
        self.assoc.retain(|tag, owner, held| {
            let bits = held.bits.into();
            !concerns(owner) || tag < block_tag(first, bits) || block_tag(last, bits) < tag
        });
    }
}
