//! The plain implementation with which the TLB benches compare emmu. It has the geometry of emmu's unit, is
//! written for one machine, and has no parameters.
//!
//! It supports loads of a supervisor in one address space, small pages, and tables whose accessed flags are
//! set. It has exact LRU and equal counts. `tests/plain.rs` checks that its answers are emmu's.

mod table;
mod walk;

use emmu_core::{Bus, PhysAddr, Width};
use emmu_memory::Memory;
use std::marker::PhantomData;
use table::Lru;
pub use walk::{Ept, Long, Sv39, Sv39x4, Tables};
use walk::{Next, WALK_LEVELS, entry_addr, next, of_load, walk};

/// The counts of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lookups in the first level of TLB.
    pub l1: Lookups,
    /// Lookups in the second.
    pub l2: Lookups,
    /// Walks.
    pub walks: u64,
    /// Entries read by them, by level.
    pub reads: [u64; WALK_LEVELS],
    /// Walks that began at a table of level 0 and of level 1 that a walk cache held, and walks that began at
    /// the root.
    pub pointers: [u64; 3],
    /// Walks of the second stage.
    pub second_walks: u64,
    /// Entries read by them, by level.
    pub second_reads: [u64; WALK_LEVELS],
}

/// The results of lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Lookups that hit.
    pub hits: u64,
    /// Lookups that missed.
    pub misses: u64,
}

/// Something that translates.
pub trait Plain {
    /// The physical address, if the tables allow the load.
    fn translate(&mut self, memory: &mut Memory, addr: u64) -> Option<u64>;

    /// Returns the counts so far.
    fn counts(&self) -> Counts;
}

/// A walk for each access.
#[derive(Debug)]
pub struct Walks<T> {
    root: u64,
    counts: Counts,
    tables: PhantomData<T>,
}

impl<T> Walks<T> {
    /// With the first table there.
    #[must_use]
    pub fn new(root: u64) -> Self {
        Self { root, counts: Counts::default(), tables: PhantomData }
    }
}

impl<T: Tables> Plain for Walks<T> {
    #[inline]
    fn translate(&mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        let Self { root, counts, .. } = self;
        counts.walks += 1;
        let leaf = walk::<T>(*root, addr, |place, level| {
            counts.reads[level] += 1;
            memory.read(PhysAddr::new(place), Width::B8).ok()
        })?;
        of_load(leaf, addr)
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// TLBs in front of [`Walks`]: 16 sets of 4 ways, and 128 of 12.
#[derive(Debug)]
pub struct Tlbs {
    l1: Lru<16, 4>,
    l2: Lru<128, 12>,
    walks: Walks<Sv39>,
}

impl Tlbs {
    /// With the first table there.
    #[must_use]
    pub fn new(root: u64) -> Self {
        Self { l1: Lru::new(), l2: Lru::new(), walks: Walks::new(root) }
    }
}

impl Plain for Tlbs {
    #[inline]
    fn translate(&mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        let page = addr >> 12;
        let counts = &mut self.walks.counts;
        if let Some(leaf) = self.l1.find(page) {
            counts.l1.hits += 1;
            return of_load(leaf, addr);
        }
        counts.l1.misses += 1;
        if let Some(leaf) = self.l2.find(page) {
            counts.l2.hits += 1;
            self.l1.fill(page, leaf);
            return of_load(leaf, addr);
        }
        counts.l2.misses += 1;
        counts.walks += 1;
        let leaf = walk::<Sv39>(self.walks.root, addr, |place, level| {
            counts.reads[level] += 1;
            memory.read(PhysAddr::new(place), Width::B8).ok()
        })?;
        self.l2.fill(page, leaf);
        self.l1.fill(page, leaf);
        of_load(leaf, addr)
    }

    fn counts(&self) -> Counts {
        self.walks.counts
    }
}

/// Sv39 walks that begin at the lowest table known: 32 of level 0 and 8 of level 1 are remembered.
#[derive(Debug)]
pub struct CachedWalks {
    root: u64,
    level0: Lru<1, 32>,
    level1: Lru<1, 8>,
    counts: Counts,
}

impl CachedWalks {
    /// With the first table there.
    #[must_use]
    pub fn new(root: u64) -> Self {
        Self { root, level0: Lru::new(), level1: Lru::new(), counts: Counts::default() }
    }

    #[inline]
    fn lowest(&mut self, addr: u64) -> (u64, usize) {
        if let Some(table) = self.level0.find(addr >> 21) {
            self.counts.pointers[0] += 1;
            return (table, 0);
        }
        if let Some(table) = self.level1.find(addr >> 30) {
            self.counts.pointers[1] += 1;
            return (table, 1);
        }
        self.counts.pointers[2] += 1;
        (self.root, 2)
    }

    fn remember(&mut self, table: u64, level: usize, addr: u64) {
        match level {
            0 => self.level0.fill(addr >> 21, table),
            _ => self.level1.fill(addr >> 30, table),
        }
    }
}

impl Plain for CachedWalks {
    #[inline]
    fn translate(&mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        if !Sv39::takes(addr) {
            return None;
        }
        self.counts.walks += 1;
        let (mut table, mut level) = self.lowest(addr);
        loop {
            self.counts.reads[level] += 1;
            let place = PhysAddr::new(entry_addr::<Sv39>(table, level, addr));
            match next::<Sv39>(memory.read(place, Width::B8).ok()?, level, addr)? {
                Next::Leaf(leaf) => return of_load(leaf, addr),
                Next::Table(below) => {
                    (table, level) = (below, level - 1);
                    self.remember(table, level, addr);
                }
            }
        }
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// Walks of a guest's tables in two dimensions: `G` on `H`.
#[derive(Debug)]
pub struct GuestWalks<G, H> {
    guest_root: u64,
    host_root: u64,
    counts: Counts,
    tables: PhantomData<(G, H)>,
}

impl<G, H> GuestWalks<G, H> {
    /// With the first tables there: the guest's is at a guest-physical address.
    #[must_use]
    pub fn new(guest_root: u64, host_root: u64) -> Self {
        Self { guest_root, host_root, counts: Counts::default(), tables: PhantomData }
    }
}

impl<G: Tables, H: Tables> Plain for GuestWalks<G, H> {
    #[inline]
    fn translate(&mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        let Self { guest_root, host_root, counts, .. } = self;
        counts.walks += 1;
        let leaf = walk::<G>(*guest_root, addr, |place, level| {
            counts.reads[level] += 1;
            let place = on_host::<H>(*host_root, place, memory, counts)?;
            memory.read(PhysAddr::new(place), Width::B8).ok()
        })?;
        on_host::<H>(*host_root, of_load(leaf, addr)?, memory, counts)
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// Where the second stage has a guest-physical address.
#[inline]
fn on_host<H: Tables>(
    root: u64,
    addr: u64,
    memory: &mut Memory,
    counts: &mut Counts,
) -> Option<u64> {
    counts.second_walks += 1;
    let leaf = walk::<H>(root, addr, |place, level| {
        counts.second_reads[level] += 1;
        memory.read(PhysAddr::new(place), Width::B8).ok()
    })?;
    of_load(leaf, addr)
}
