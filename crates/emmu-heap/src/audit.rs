//! A record beside the heap of all allocations: those in use and those that were freed.

use crate::{Block, Extent, Heap, HeapError, InvalidFree, Request, Stats};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// Any manager, with a record of all its allocations, as valgrind and the sanitizers keep one.
///
/// The record belongs to the host and not to the machine. A manager can only guess from the bytes that it
/// finds; the record is exact. It tells which address was freed before, which is in the middle of a block, and
/// what leaks. It knows the size of every block, so that blocks without headers can be freed by their address
/// alone.
#[derive(Clone, Debug)]
pub struct Audited<H> {
    heap: H,
    live: BTreeMap<PhysAddr, Allocation>,
    freed: BTreeSet<PhysAddr>,
    made: u64,
}

/// An allocation that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The number of allocations made before it.
    pub number: u64,
    /// The request.
    pub request: Request,
    /// The block that the request got.
    pub block: Block,
}

/// The sums over all allocations in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of blocks.
    pub blocks: u64,
    /// The request.
    pub requested: u64,
    /// The bytes taken, with headers and rounding.
    pub taken: u64,
}

impl Usage {
    /// Returns the internal fragmentation: the bytes that are taken and were not requested.
    #[must_use]
    pub const fn wasted(&self) -> u64 {
        self.taken.saturating_sub(self.requested)
    }
}

impl<H> Audited<H> {
    /// Makes a record of the allocations of `heap`. Nothing may have been allocated from it yet.
    #[must_use]
    pub const fn new(heap: H) -> Self {
        Self { heap, live: BTreeMap::new(), freed: BTreeSet::new(), made: 0 }
    }

    /// Returns the manager.
    #[must_use]
    pub fn heap(&self) -> &H {
        &self.heap
    }

    /// Returns the allocations in use, sorted by address.
    pub fn live(&self) -> impl Iterator<Item = &Allocation> {
        self.live.values()
    }

    /// Returns the sums over all allocations in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.live.values().fold(Usage::default(), |sum, Allocation { request, block, .. }| Usage {
            blocks: sum.blocks + 1,
            requested: sum.requested + request.size,
            taken: sum.taken + block.extent.size,
        })
    }

    /// Checks for leaks at the end, when nothing should be in use.
    ///
    /// # Errors
    /// [`HeapError::Leak`] if something is in use.
    pub fn check_leaks(&self) -> Result<(), HeapError> {
        let Usage { blocks, requested: bytes, .. } = self.usage();
        let first = self.live.values().min_by_key(|allocation| allocation.number);
        first
            .map_or(Ok(()), |first| Err(HeapError::Leak { blocks, bytes, first: first.block.addr }))
    }

    /// Returns the reason why an address that is not in use cannot be freed.
    fn refuse(&self, region: &Range<PhysAddr>, addr: PhysAddr) -> HeapError {
        let before = self.live.range(..addr).next_back();
        let why = match before {
            Some((_, live)) if live.block.extent.contains(addr) => InvalidFree::Interior,
            _ if self.freed.contains(&addr) => return HeapError::DoubleFree { addr },
            _ if !region.contains(&addr) => InvalidFree::Outside,
            _ => InvalidFree::NeverAllocated,
        };
        HeapError::InvalidFree { addr, why }
    }
}

impl<B: Bus + ?Sized, H: Heap<B>> Heap<B> for Audited<H> {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let block = self.heap.allocate(bus, request)?;
        self.live.insert(block.addr, Allocation { number: self.made, request, block });
        self.freed.remove(&block.addr);
        self.made += 1;
        Ok(block)
    }

    /// Frees a block. The caller need not give the size, because the record has it.
    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        _: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let Some(live) = self.live.get(&addr) else {
            let region = self.heap.region(bus)?;
            return Err(self.refuse(&region, addr));
        };
        let freed = self.heap.release(bus, addr, Some(live.request.size))?;
        self.live.remove(&addr);
        self.freed.insert(addr);
        Ok(freed)
    }

    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        self.heap.free_blocks(bus)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        self.heap.verify(bus)
    }

    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        self.heap.region(bus)
    }

    fn stats(&self) -> Stats {
        self.heap.stats()
    }
}

impl<B: Bus + ?Sized, H: Heap<B> + ?Sized> Heap<B> for alloc::boxed::Box<H> {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        (**self).allocate(bus, request)
    }

    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError> {
        (**self).release(bus, addr, size)
    }

    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        (**self).free_blocks(bus)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        (**self).verify(bus)
    }

    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        (**self).region(bus)
    }

    fn stats(&self) -> Stats {
        (**self).stats()
    }
}
