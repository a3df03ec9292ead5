//! Invalid entries that a unit remembers, on machines that do: a third user of the associative table.

use crate::{
    Assoc, Geometry, Owner,
    drive::Refusal,
    format::{MAX_LEVELS, Shape},
    owner::{Owners, Visible},
    tlb::block_tag,
};
use emmu_core::{Cause, FaultEntry, VirtAddr};

/// Where walks ended at an entry that allows no access at all.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct InvalidEntries {
    assoc: Assoc<Held>,
}

/// Such an entry, why it allows nothing, and log2 of what it maps.
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

    /// Its shape, if each entry is of a size that there is and of an owner that `is_given`.
    #[cfg(feature = "serde")]
    pub(crate) fn checked(&self, is_given: impl Fn(Owner) -> bool) -> Option<Geometry> {
        let is_sound = |owner, held: &Held| is_given(owner) && (1..=64).contains(&held.bits);
        let all = self.assoc.entries().all(|(_, owner, held)| is_sound(owner, held));
        all.then(|| self.assoc.geometry())
    }

    /// The refusal of any access to this address, if it is remembered: the entry nearest to a leaf decides.
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

    /// Remembers a refusal, if it is due to an entry that allows no access.
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
