//! Probes that look out for what becomes of memory: which pages were written, and who touched a place.

use crate::{Access, AccessKind, Event, PhysAddr, Probe, VirtAddr};
use alloc::{collections::BTreeSet, vec::Vec};

/// Physical pages that were written since they were last taken: a probe, as a migration, a checkpoint or a display asks
/// for it.
///
/// It hears of stores and atomics as the CPU makes them, and of accessed and dirty flags that the walk sets. Of an entry
/// the event says where it begins and not how wide it is: one of less than eight bytes at the end of a page marks the
/// next page too. What devices and debuggers write past the CPU is not told to any probe.
///
/// ```
/// use emmu_core::{Access, DirtyPages, Event, PhysAddr, Probe, VirtAddr};
/// let mut dirty = DirtyPages::new(12);                     // pages of 4 KiB
/// let access = Access::store(VirtAddr::new(0xffe), 4);
/// dirty.on(Event::Transfer { access, addr: PhysAddr::new(0x8ffe) });
/// assert_eq!(dirty.take(), [PhysAddr::new(0x8000), PhysAddr::new(0x9000)].into());
/// assert!(dirty.take().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyPages {
    bits: u32,
    pages: BTreeSet<PhysAddr>,
}

/// The widest entry, in bytes.
const ENTRY_BYTES: u64 = 8;

impl DirtyPages {
    /// No page, of 2^`bits` bytes each; the smallest are of 64 bytes.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        // Or else one access would be thousands of pages.
        Self { bits: bits.max(6), pages: BTreeSet::new() }
    }

    /// Those written since the last time, by their first bytes; from now on it is none.
    #[must_use]
    pub fn take(&mut self) -> BTreeSet<PhysAddr> {
        core::mem::take(&mut self.pages)
    }

    fn mark(&mut self, addr: PhysAddr, len: u64) {
        let last = PhysAddr::new(addr.raw().saturating_add(len.saturating_sub(1)));
        let mut page = Some(addr.align_down(self.bits)).filter(|_| len > 0);
        while let Some(first) = page.filter(|&page| page <= last) {
            self.pages.insert(first);
            page = 1_u64.checked_shl(self.bits).and_then(|bytes| first.checked_add(bytes));
        }
    }
}

impl Default for DirtyPages {
    /// Pages of 4 KiB.
    fn default() -> Self {
        Self::new(12)
    }
}

impl Probe for DirtyPages {
    fn on(&mut self, event: Event) {
        match event {
            Event::Transfer { access, addr } if access.kind.writes() => {
                self.mark(addr, access.size.into());
            }
            Event::EntryUpdate { addr, .. } => self.mark(addr, ENTRY_BYTES),
            _ => {}
        }
    }
}

/// A range of addresses, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watched {
    /// As programs name them, in whichever address space.
    Virtual(VirtAddr, VirtAddr),
    /// As the bus has them.
    Physical(PhysAddr, PhysAddr),
}

impl Watched {
    /// Whether the bytes of a transfer touch it.
    fn has(self, access: Access, addr: PhysAddr) -> bool {
        let Some(rest) = u64::from(access.size).checked_sub(1) else { return false };
        let (first, last, start) = match self {
            Self::Virtual(first, last) => (first.raw(), last.raw(), access.addr.raw()),
            Self::Physical(first, last) => (first.raw(), last.raw(), addr.raw()),
        };
        start <= last && first <= start.saturating_add(rest)
    }
}

/// What to look out for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watchpoint {
    /// Where.
    pub range: Watched,
    /// Which kinds of access.
    pub kinds: Vec<AccessKind>,
}

/// A watchpoint that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchHit {
    /// Its place in the list of watchpoints.
    pub watchpoint: usize,
    /// The piece of the access that touched it.
    pub access: Access,
    /// Where that piece went.
    pub addr: PhysAddr,
}

/// Watchpoints: a probe that takes down every access to one. The access has been made by then, as with the data
/// breakpoints of x86 (SDM Vol. 3B, "Data Memory and I/O Breakpoint Exception Conditions"); an access that faults touches nothing. To stop there, ask for
/// [`Watchpoints::take`] between two accesses.
///
/// What walks read and set is not an access of the program, and hits nothing.
///
/// ```
/// use emmu_core::{
///     Access, AccessKind, Event, PhysAddr, Probe, VirtAddr, Watched, Watchpoint, Watchpoints,
/// };
/// let range = Watched::Virtual(VirtAddr::new(0x1000), VirtAddr::new(0x1007));
/// let mut watch = Watchpoints::new([Watchpoint { range, kinds: vec![AccessKind::Store] }]);
///
/// let addr = PhysAddr::new(0x8ffe);
/// watch.on(Event::Transfer { access: Access::load(VirtAddr::new(0xffe), 4), addr });
/// assert_eq!(watch.take(), []);
/// let access = Access::store(VirtAddr::new(0xffe), 4);
/// watch.on(Event::Transfer { access, addr });
/// let hits = watch.take();
/// assert_eq!((hits[0].watchpoint, hits[0].access), (0, access));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watchpoints {
    points: Vec<Watchpoint>,
    hits: Vec<WatchHit>,
}

impl Watchpoints {
    /// Looks out for these.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = Watchpoint>) -> Self {
        Self { points: points.into_iter().collect(), hits: Vec::new() }
    }

    /// What has been hit since the last time, in order.
    #[must_use]
    pub fn take(&mut self) -> Vec<WatchHit> {
        core::mem::take(&mut self.hits)
    }
}

impl Probe for Watchpoints {
    fn on(&mut self, event: Event) {
        let Event::Transfer { access, addr } = event else { return };
        for (watchpoint, point) in self.points.iter().enumerate() {
            if point.kinds.contains(&access.kind) && point.range.has(access, addr) {
                self.hits.push(WatchHit { watchpoint, access, addr });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;
    use std::vec;

    fn store(addr: u64, size: u32) -> Event {
        let access = Access::store(VirtAddr::new(addr), size);
        Event::Transfer { access, addr: PhysAddr::new(addr ^ 0x10_0000) }
    }

    #[test]
    fn a_load_makes_no_page_dirty() {
        let mut dirty = DirtyPages::default();
        let access = Access::load(VirtAddr::new(0), 8);
        dirty.on(Event::Transfer { access, addr: PhysAddr::ZERO });
        assert!(dirty.take().is_empty());
    }

    #[test]
    fn flags_that_the_walk_sets_make_the_table_s_page_dirty() {
        let mut dirty = DirtyPages::default();
        dirty.on(Event::EntryUpdate { level: 0, addr: PhysAddr::new(0x3008), raw: 0xcf });
        assert_eq!(dirty.take(), [PhysAddr::new(0x3000)].into());
    }

    #[test]
    fn the_last_page_of_the_address_space_can_be_dirty() {
        let mut dirty = DirtyPages::default();
        let addr = PhysAddr::new(u64::MAX - 3);
        dirty.on(Event::Transfer { access: Access::store(VirtAddr::ZERO, 4), addr });
        assert_eq!(dirty.take(), [addr.align_down(12)].into());
    }

    #[test]
    fn a_physical_watchpoint_knows_no_virtual_addresses() {
        let range = Watched::Physical(PhysAddr::new(0x10_0000), PhysAddr::new(0x10_0003));
        let mut watch = Watchpoints::new([Watchpoint { range, kinds: vec![AccessKind::Store] }]);
        watch.on(store(0x10_0000, 4));
        assert_eq!(watch.take(), []);
        watch.on(store(2, 4));
        assert_eq!(watch.take().len(), 1);
    }

    quickcheck! {
        fn a_range_is_touched_if_one_of_its_bytes_is(first: u8, len: u8, start: u8, size: u8) -> bool {
            let last = first.saturating_add(len);
            let range = Watched::Virtual(u64::from(first).into(), u64::from(last).into());
            let mut watch = Watchpoints::new([Watchpoint { range, kinds: vec![AccessKind::Store] }]);
            watch.on(store(start.into(), size.into()));
            let bytes = u64::from(start)..u64::from(start) + u64::from(size);
            let touches = bytes.into_iter().any(|byte| (first.into()..=last.into()).contains(&byte));
            watch.take().is_empty() != touches
        }
    }
}
