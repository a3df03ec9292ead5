//! Walk caches (Intel: paging-structure caches): the other user of the associative table.

use crate::{
    Assoc, Found, Scope, WalkCacheTable,
    format::{Format, Root, Shape},
    scope::Scopes,
    tlb::block_tag,
    walk::{Table, Trail, Walk},
};
use alloc::vec::Vec;
use emmu_core::{Access, Event, Probe, VirtAddr};

/// Remembers where tables are, so that a walk starts as low as possible.
#[derive(Clone, Debug)]
pub(crate) struct WalkCaches<P> {
    tables: Vec<WalkCache<P>>,
}

#[derive(Clone, Debug)]
struct WalkCache<P> {
    assoc: Assoc<Pointer<P>>,
    levels: Vec<u8>,
}

/// A table, the level of the entries in it, and log2 of what it maps as a whole.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Pointer<P> {
    table: Table<P>,
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

    /// The walk for an access from the lowest table known.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        format: &impl Format<Permissions = P>,
        access: Access,
        root: Root<P>,
        scope: Scope,
        probe: &mut (impl Probe + ?Sized),
    ) -> Walk<P> {
        let (level, table) = match self.tables.is_empty() {
            true => (root.level, root.first()),
            false => self.lowest(format.shape(access), access.addr, &root, scope, probe),
        };
        Walk::resume(access, root, level, table)
    }

    fn lowest(
        &mut self,
        shape: &Shape,
        addr: VirtAddr,
        root: &Root<P>,
        scope: Scope,
        probe: &mut (impl Probe + ?Sized),
    ) -> (u8, Table<P>) {
        let known = |level| Some((level, self.lookup(level, shape, addr, scope)?));
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

    /// Remembers the tables that a successful walk found.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        walk: &Walk<P>,
        trail: &Trail<P>,
        format: &impl Format<Permissions = P>,
        scopes: &Scopes,
    ) {
        if self.tables.is_empty() {
            return;
        }
        let access = walk.access();
        let shape = format.shape(access);
        for (level, table) in walk.tables(trail) {
            let pointer = Pointer { table, level, bits: shape.table_bits(level) };
            self.insert(pointer, access.addr, scopes);
        }
    }

    /// Forgets the tables on the way to `addr`, for entries whose scope is concerned.
    pub(crate) fn remove_page(&mut self, addr: VirtAddr, concerns: impl Fn(Scope) -> bool) {
        self.retain(|tag, scope, bits| !concerns(scope) || tag != block_tag(addr, bits));
    }

    /// Forgets every table that maps something of `first ..= last`.
    pub(crate) fn remove_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Scope) -> bool,
    ) {
        self.retain(|tag, scope, bits| {
            !concerns(scope) || tag < block_tag(first, bits) || block_tag(last, bits) < tag
        });
    }

    /// Forgets every table whose scope is concerned.
    pub(crate) fn remove_scopes(&mut self, concerns: impl Fn(Scope) -> bool) {
        self.retain(|_, scope, _| !concerns(scope));
    }

    /// All tables, in the order of the configuration.
    #[cfg(feature = "serde")]
    pub(crate) fn assocs(&self) -> impl Iterator<Item = &Assoc<Pointer<P>>> {
        self.tables.iter().map(|cache| &cache.assoc)
    }

    /// Takes these for its tables, of the same shapes and in the same order.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, assocs: Vec<Assoc<Pointer<P>>>) {
        for (cache, assoc) in self.tables.iter_mut().zip(assocs) {
            cache.assoc = assoc;
        }
    }

    fn retain(&mut self, keeps: impl Fn(u64, Scope, u32) -> bool) {
        for cache in &mut self.tables {
            cache.assoc.retain(|tag, scope, pointer| keeps(tag, scope, pointer.bits.into()));
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
        scope: Scope,
    ) -> Option<Table<P>> {
        let assoc = &mut self.serving(level)?.assoc;
        let tag = block_tag(addr, shape.table_bits(level).into());
        let Found { slot, value, .. } = assoc.find(tag, is_of(level, scope))?;
        let table = value.table;
        assoc.hit(slot);
        Some(table)
    }

    fn insert(&mut self, pointer: Pointer<P>, addr: VirtAddr, scopes: &Scopes) {
        let scope = scopes.tables();
        let Some(WalkCache { assoc, .. }) = self.serving(pointer.level) else { return };
        let tag = block_tag(addr, pointer.bits.into());
        match assoc.find(tag, is_of(pointer.level, scope)).map(|found| found.slot) {
            Some(slot) => assoc.update(slot, scope, pointer),
            None => {
                assoc.insert(tag, scope, pointer, scopes);
            }
        }
    }
}

/// Returns true if an entry is for a table of this level, and of this scope.
fn is_of<P>(level: u8, scope: Scope) -> impl Fn(Scope, &Pointer<P>) -> bool {
    move |owner, pointer| pointer.level == level && owner == scope
}
