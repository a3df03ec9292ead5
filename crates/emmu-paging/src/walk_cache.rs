//! Walk caches (Intel: paging-structure caches): the other user of the associative table.

use crate::{
    Assoc, AssocHit, Owner, WalkCacheTable,
    format::{Format, Root, Shape},
    owner::Owners,
    tlb::block_tag,
    walk::{Trail, Walk, WalkTable},
};
use alloc::vec::Vec;
use emmu_core::{Access, Event, Probe, VirtAddr};

/// The walk caches of a stage. They hold the addresses of tables, so that a walk starts as low as possible.
#[derive(Clone, Debug)]
pub(crate) struct WalkCaches<P> {
    tables: Vec<WalkCache<P>>,
}

#[derive(Clone, Debug)]
struct WalkCache<P> {
    assoc: Assoc<Pointer<P>>,
    levels: Vec<u8>,
}

/// A table, the level of its entries, and log2 of the size of the memory that the whole table maps.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Pointer<P> {
    table: WalkTable<P>,
    pub(crate) level: u8,
    pub(crate) bits: u8,
}

impl<P: Copy + Default> WalkCaches<P> {
    pub(crate) fn new(config: &[WalkCacheTable]) -> Self {
        let cache = |config: &WalkCacheTable| WalkCache {
            assoc: Assoc::new(config.geometry),
            levels: config.levels.clone(),
        };
        Self { tables: config.iter().map(cache).collect() }
    }

    /// Makes the walk for an access from the lowest table that a walk cache holds.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        format: &impl Format<Permissions = P>,
        access: Access,
        root: Root<P>,
        owner: Owner,
        probe: &mut (impl Probe + ?Sized),
    ) -> Walk<P> {
        let (level, table) = match self.tables.is_empty() {
            true => (root.level, root.first()),
            false => self.lowest(format.shape(access), access.addr, &root, owner, probe),
        };
        Walk::resume(access, root, level, table)
    }

    fn lowest(
        &mut self,
        shape: &Shape,
        addr: VirtAddr,
        root: &Root<P>,
        owner: Owner,
        probe: &mut (impl Probe + ?Sized),
    ) -> (u8, WalkTable<P>) {
        let known = |level| Some((level, self.lookup(level, shape, addr, owner)?));
        match (0..root.level).find_map(known) {
            Some((level, table)) => {
                probe.on(Event::WalkCacheHit { level });
                (level, table)
            }
            None => {
                probe.on(Event::WalkCacheMiss);
                (root.level, root.first())
            }
        }
    }

    /// Enters the tables that a successful walk found.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        walk: &Walk<P>,
        trail: &Trail<P>,
        format: &impl Format<Permissions = P>,
        owners: &Owners,
    ) {
        if self.tables.is_empty() {
            return;
        }
        let access = walk.access();
        let shape = format.shape(access);
        for (level, table) in walk.tables(trail) {
            let pointer = Pointer { table, level, bits: shape.table_bits(level) };
            self.insert(pointer, access.addr, owners);
        }
    }

    /// Invalidates the tables on the way to `addr`, for entries whose owner is concerned.
    pub(crate) fn invalidate_page(&mut self, addr: VirtAddr, concerns: impl Fn(Owner) -> bool) {
        self.retain(|tag, owner, bits| !concerns(owner) || tag != block_tag(addr, bits));
    }

    /// Invalidates every table that maps something of `first ..= last`.
    pub(crate) fn invalidate_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Owner) -> bool,
    ) {
        self.retain(|tag, owner, bits| {
            !concerns(owner) || tag < block_tag(first, bits) || block_tag(last, bits) < tag
        });
    }

    /// Invalidates every table whose owner is concerned.
    pub(crate) fn invalidate_owners(&mut self, concerns: impl Fn(Owner) -> bool) {
        self.retain(|_, owner, _| !concerns(owner));
    }

    /// Returns all tables, in the order of the configuration.
    #[cfg(feature = "serde")]
    pub(crate) fn assocs(&self) -> impl Iterator<Item = &Assoc<Pointer<P>>> {
        self.tables.iter().map(|cache| &cache.assoc)
    }

    /// Replaces the content of its tables by these, which have the same shapes and the same order.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, assocs: Vec<Assoc<Pointer<P>>>) {
        for (cache, assoc) in self.tables.iter_mut().zip(assocs) {
            cache.assoc = assoc;
        }
    }

    fn retain(&mut self, keeps: impl Fn(u64, Owner, u32) -> bool) {
        for cache in &mut self.tables {
            cache.assoc.retain(|tag, owner, pointer| keeps(tag, owner, pointer.bits.into()));
        }
    }

    fn serving(&mut self, level: u8) -> Option<&mut WalkCache<P>> {
        self.tables.iter_mut().find(|cache| cache.levels.contains(&level))
    }

    fn lookup(
        &mut self,
        level: u8,
        shape: &Shape,
        addr: VirtAddr,
        owner: Owner,
    ) -> Option<WalkTable<P>> {
        let assoc = &mut self.serving(level)?.assoc;
        let tag = block_tag(addr, shape.table_bits(level).into());
        let AssocHit { slot, value, .. } = assoc.lookup(tag, is_of(level, owner))?;
        let table = value.table;
        assoc.hit(slot);
        Some(table)
    }

    fn insert(&mut self, pointer: Pointer<P>, addr: VirtAddr, owners: &Owners) {
        let owner = owners.tables();
        let Some(WalkCache { assoc, .. }) = self.serving(pointer.level) else { return };
        let tag = block_tag(addr, pointer.bits.into());
        match assoc.lookup(tag, is_of(pointer.level, owner)).map(|found| found.slot) {
            Some(slot) => assoc.update(slot, owner, pointer),
            None => {
                assoc.fill(tag, owner, pointer, owners);
            }
        }
    }
}

/// Returns true if an entry is for a table of this level, and of this owner.
fn is_of<P>(level: u8, owner: Owner) -> impl Fn(Owner, &Pointer<P>) -> bool {
    move |holder, pointer| pointer.level == level && holder == owner
}
