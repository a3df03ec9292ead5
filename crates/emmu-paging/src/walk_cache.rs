//! Walk caches (Intel: paging-structure caches): the other user of the associative table.

use crate::{
    Assoc, Scope, WalkCacheTable,
    format::{Format, Root, Shape},
    scope::{Scopes, Visible},
    walk::{Table, Walk},
};
use alloc::vec::Vec;
use emmu_core::{Event, Probe, VirtAddr};

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
struct Pointer<P> {
    table: Table<P>,
    level: u8,
    bits: u8,
}

impl<P: Copy + Default> WalkCaches<P> {
    pub(crate) fn new(config: &[WalkCacheTable]) -> Self {
        let cache = |config: &WalkCacheTable| WalkCache {
            assoc: Assoc::new(config.geometry),
            levels: config.levels.clone(),
        };
        Self { tables: config.iter().map(cache).collect() }
    }

    /// The walk for `root`, from the lowest table known.
    #[inline]
    pub(crate) fn begin<F: Format<Permissions = P>>(
        &mut self,
        root: Root<P>,
        visible: Visible,
        probe: &mut (impl Probe + ?Sized),
    ) -> Walk<F> {
        if self.tables.is_empty() {
            return Walk::new(root);
        }
        match (0..root.level).find_map(|level| Some((level, self.lookup(level, &root, visible)?))) {
            Some((level, table)) => {
                probe.on(Event::WalkCacheHit { level });
                Walk::resume(root, level, table)
            }
            None => {
                probe.on(Event::WalkCacheMiss);
                Walk::new(root)
            }
        }
    }

    /// Remembers the tables that a successful walk found.
    #[inline]
    pub(crate) fn fill<F: Format<Permissions = P>>(
        &mut self,
        walk: &Walk<F>,
        visible: Visible,
        scopes: &Scopes,
    ) {
        if self.tables.is_empty() {
            return;
        }
        let Root { shape, access, .. } = *walk.root();
        for (level, table) in walk.tables() {
            let pointer = Pointer { table, level, bits: shape.table_bits(level) };
            self.insert(pointer, access.addr, visible, scopes);
        }
    }

    /// Forgets the tables on the way to `addr`, for entries whose scope is concerned.
    pub(crate) fn remove_page(&mut self, addr: VirtAddr, concerns: impl Fn(Scope) -> bool) {
        self.retain(|tag, scope, bits| !concerns(scope) || tag != addr.block(bits));
    }

    /// Forgets every table that maps something of `first ..= last`.
    pub(crate) fn remove_range(&mut self, first: VirtAddr, last: VirtAddr) {
        self.retain(|tag, _, bits| tag < first.block(bits) || last.block(bits) < tag);
    }

    /// Forgets every table whose scope is concerned.
    pub(crate) fn remove_scopes(&mut self, concerns: impl Fn(Scope) -> bool) {
        self.retain(|_, scope, _| !concerns(scope));
    }

    fn retain(&mut self, keeps: impl Fn(u64, Scope, u32) -> bool) {
        for cache in &mut self.tables {
            cache.assoc.retain(|tag, scope, pointer| keeps(tag, scope, pointer.bits.into()));
        }
    }

    fn serving(&mut self, level: u8) -> Option<&mut WalkCache<P>> {
        self.tables.iter_mut().find(|cache| cache.levels.contains(&level))
    }

    fn lookup(&mut self, level: u8, root: &Root<P>, visible: Visible) -> Option<Table<P>> {
        let assoc = &mut self.serving(level)?.assoc;
        let slot = find(assoc, level, &root.shape, root.access.addr, visible)?;
        assoc.hit(slot);
        Some(assoc.value(slot).table)
    }

    fn insert(&mut self, pointer: Pointer<P>, addr: VirtAddr, visible: Visible, scopes: &Scopes) {
        let Some(cache) = self.serving(pointer.level) else { return };
        let tag = addr.block(pointer.bits.into());
        let older = |scope, held: &Pointer<P>| held.level == pointer.level && visible.sees(scope);
        match cache.assoc.find(tag, older) {
            Some(slot) => cache.assoc.replace(slot, tag, visible.own, pointer),
            None => {
                cache.assoc.insert(tag, visible.own, pointer, |scope| scopes.live(scope));
            }
        }
    }
}

fn find<P: Copy + Default>(
    assoc: &Assoc<Pointer<P>>,
    level: u8,
    shape: &Shape,
    addr: VirtAddr,
    visible: Visible,
) -> Option<usize> {
    let bits = shape.table_bits(level);
    assoc.find(addr.block(bits.into()), |scope, pointer| {
        pointer.level == level && pointer.bits == bits && visible.sees(scope)
    })
}
