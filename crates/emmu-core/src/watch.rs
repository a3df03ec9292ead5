//! Probes that watch memory: one collects the pages that were written, one reports accesses to given addresses.

use crate::{Access, AccessKind, Event, PhysAddr, Probe, VirtAddr};
use alloc::{collections::BTreeSet, vec::Vec};

/// A probe that collects the physical pages that were written since they were last taken. A migration, a
/// checkpoint or a display needs such a list.
///
/// The probe hears of the stores and atomics that the CPU makes, and of the accessed and dirty flags that a
/// walk sets. The event of a flag says where the entry begins and not how wide it is: an entry of less than
/// eight bytes at the end of a page marks the next page too. No probe hears of writes that devices and
/// debuggers make without the CPU.
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

/// The size of the widest entry, in bytes.
const ENTRY_BYTES: u64 = 8;

impl DirtyPages {
    /// Makes a probe for pages of 2^`bits` bytes, none of which is dirty. The smallest page has 64 bytes.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        // With smaller pages, one access would be thousands of pages.
        Self { bits: bits.max(6), pages: BTreeSet::new() }
    }

    /// Returns the pages that were written since the last call, by their first bytes, and empties the list.
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
    /// Makes a probe for pages of 4 KiB.
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
    /// Virtual addresses, in any address space.
    Virtual(VirtAddr, VirtAddr),
    /// Physical addresses.
    Physical(PhysAddr, PhysAddr),
}

impl Watched {
    /// Returns true if a byte of the transfer lies in the range.
    fn has(self, access: Access, addr: PhysAddr) -> bool {
        let Some(rest) = u64::from(access.size).checked_sub(1) else { return false };
        let (first, last, start) = match self {
            Self::Virtual(first, last) => (first.raw(), last.raw(), access.addr.raw()),
            Self::Physical(first, last) => (first.raw(), last.raw(), addr.raw()),
        };
        start <= last && first <= start.saturating_add(rest)
    }
}

/// A range of addresses to watch, and the kinds of access to report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watchpoint {
    /// The addresses.
    pub range: Watched,
    /// The kinds of access.
    pub kinds: Vec<AccessKind>,
}

/// A watchpoint that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchHit {
    /// The index of the watchpoint in the list of watchpoints.
    pub watchpoint: usize,
    /// The piece of the access that touched the range.
    pub access: Access,
    /// The physical address of the first byte of that piece.
    pub addr: PhysAddr,
}

/// A probe that records every access to a watchpoint. When it records the access, the access has been made, as
/// with the data breakpoints of x86 (SDM Vol. 3B, "Data Memory and I/O Breakpoint Exception Conditions"). An
/// access that faults touches nothing. To stop at a watchpoint, call [`Watchpoints::take`] between two
/// accesses.
///
/// The reads and flag updates of walks are no accesses of the program, and hit no watchpoint.
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
    /// Makes a probe with these watchpoints.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = Watchpoint>) -> Self {
        Self { points: points.into_iter().collect(), hits: Vec::new() }
    }

    /// Returns the hits since the last call, in order, and empties the list.
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
