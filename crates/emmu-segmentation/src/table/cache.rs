//! The cache of descriptors: a user of the associative table.

use crate::Segment;
use emmu_assoc::{Assoc, AssocHit, Geometry, Live, Owner};
use emmu_core::{Access, Event, Probe, Side, TlbId, VirtAddr};

/// The descriptors of the table in memory that the unit caches. It is empty if the unit has no cache.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Cache {
    assoc: Option<Assoc<Segment>>,
    current: Current,
}

/// Whose descriptors count: those read since the cache was last emptied.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Current(Owner);

impl Live for Current {
    fn is_live(&self, owner: Owner) -> bool {
        owner == self.0
    }

    fn era(&self) -> u64 {
        self.0.0
    }
}

/// A descriptor, and where the cache holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) segment: Segment,
    pub(super) place: Option<Place>,
}

/// A slot of the cache and its version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    slot: usize,
    version: u32,
}

impl Place {
    /// As in a ticket: there are at most 2^24 slots.
    pub(super) fn numbers(self) -> Option<(u32, u32)> {
        Some((u32::try_from(self.slot).ok()?, self.version))
    }
}

/// More flushes than a unit lives to see.
#[cfg(feature = "serde")]
const END_OF_TIME: u64 = 1 << 62;

/// The identity of the cache in events.
const CACHE: TlbId = TlbId { level: 1, side: Side::Unified };

impl Cache {
    pub(super) fn new(geometry: Option<Geometry>) -> Self {
        Self { assoc: geometry.map(Assoc::new), current: Current(Owner::ONLY) }
    }

    /// Returns true if a unit can have this cache whose segments are below `segments` and have offsets up to
    /// `last`.
    #[cfg(feature = "serde")]
    pub(super) fn is_sound(&self, segments: u64, last: u64) -> bool {
        let Owner(now) = self.current.0;
        let is_sound = |(tag, Owner(then), segment): (u64, Owner, &Segment)| {
            tag < segments && then <= now && !segment.is_past(last)
        };
        (Owner::ONLY.0..END_OF_TIME).contains(&now)
            && self.assoc.iter().flat_map(Assoc::entries).all(is_sound)
    }

    #[inline]
    pub(super) fn lookup(
        &mut self,
        selector: u64,
        access: Access,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Held> {
        let current = self.current.0;
        let assoc = self.assoc.as_mut()?;
        let Some(found) = assoc.lookup(selector, |owner, _| owner == current) else {
            probe.on(Event::TlbMiss { tlb: CACHE, access });
            return None;
        };
        let AssocHit { slot, version, value: &segment } = found;
        assoc.hit(slot);
        probe.on(Event::TlbHit { tlb: CACHE, access });
        Some(Held { segment, place: Some(Place { slot, version }) })
    }

    /// Enters a descriptor that was read, over an `older` reading of it. The segment has 2^`offset_bits` addresses.
    pub(super) fn fill(
        &mut self,
        selector: u64,
        segment: Segment,
        older: Option<Place>,
        offset_bits: u32,
        probe: &mut (impl Probe + ?Sized),
    ) -> Held {
        let Some(assoc) = self.assoc.as_mut() else { return Held { segment, place: None } };
        let slot = match older {
            Some(Place { slot, .. }) => {
                assoc.update(slot, self.current.0, segment);
                slot
            }
            None => assoc.fill(selector, self.current.0, segment, &self.current),
        };
        let page = VirtAddr::new(selector.checked_shl(offset_bits).unwrap_or(0));
        let bits = u8::try_from(offset_bits).unwrap_or(u8::MAX);
        probe.on(Event::TlbFill { tlb: CACHE, page, bits });
        let place = assoc.version(slot).map(|version| Place { slot, version });
        Held { segment, place }
    }

    /// Repeats a hit, if the slot still holds what it held.
    #[inline]
    pub(super) fn repeat(
        &mut self,
        (slot, version): (u32, u32),
        access: Access,
        probe: &mut (impl Probe + ?Sized),
    ) -> bool {
        let slot = slot as usize;
        match &mut self.assoc {
            Some(assoc) if assoc.version(slot) == Some(version) => {
                assoc.hit(slot);
                probe.on(Event::TlbHit { tlb: CACHE, access });
                true
            }
            _ => false,
        }
    }

    pub(super) fn invalidate(&mut self, selector: u64) {
        if let Some(assoc) = &mut self.assoc {
            assoc.invalidate(selector, |_, _| true);
        }
    }

    pub(super) fn invalidate_all(&mut self) {
        self.current.0.0 += 1;
    }

    /// Invalidates the segments `first ..= last`.
    pub(super) fn invalidate_range(&mut self, first: u64, last: u64) {
        if let Some(assoc) = &mut self.assoc {
            assoc.retain(|selector, _, _| selector < first || last < selector);
        }
    }
}
