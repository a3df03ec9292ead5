//! A record beside the heap: what is in use, what was freed, and what never was.

use crate::{Block, Extent, Heap, HeapError, InvalidFree, Request, Stats};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// Any manager, with a record of all that it handed out, as valgrind and the sanitizers keep one.
///
/// The record is the host's and no part of the machine. It tells exactly what a manager can only guess from the
/// bytes it finds: which address was freed before, which is in the middle of a block, what leaks. It knows the size of
/// everything, so that blocks without headers can be freed by their address alone.
#[derive(Clone, Debug)]
pub struct Audited<H> {
    heap: H,
    live: BTreeMap<PhysAddr, Allocation>,
    freed: BTreeSet<PhysAddr>,
    made: u64,
}

/// Something that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// How many were made before it.
    pub number: u64,
    /// What was asked for.
    pub request: Request,
    /// What was handed out.
    pub block: Block,
}

/// What all that is in use comes to, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// What was asked for.
    pub requested: u64,
    /// What it takes, with headers and rounding.
    pub taken: u64,
}

impl Usage {
    /// Internal fragmentation: bytes that are taken and that nobody asked for.
    #[must_use]
    pub const fn wasted(&self) -> u64 {
        self.taken.saturating_sub(self.requested)
    }
}

impl<H> Audited<H> {
    /// A record of what `heap`, from which nothing was taken yet, hands out from now on.
    #[must_use]
    pub const fn new(heap: H) -> Self {
        Self { heap, live: BTreeMap::new(), freed: BTreeSet::new(), made: 0 }
    }

    /// The manager.
    #[must_use]
    pub fn heap(&self) -> &H {
        &self.heap
    }

    /// What is in use, by address.
    pub fn live(&self) -> impl Iterator<Item = &Allocation> {
        self.live.values()
    }

    /// What all that is in use comes to.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.live.values().fold(Usage::default(), |sum, Allocation { request, block, .. }| Usage {
            blocks: sum.blocks + 1,
            requested: sum.requested + request.size,
            taken: sum.taken + block.extent.size,
        })
    }

    /// To be asked in the end, when nothing should be in use.
    ///
    /// # Errors
    /// [`HeapError::Leak`] if something is.
    pub fn check_leaks(&self) -> Result<(), HeapError> {
        let Usage { blocks, requested: bytes, .. } = self.usage();
        let first = self.live.values().min_by_key(|allocation| allocation.number);
        first
            .map_or(Ok(()), |first| Err(HeapError::Leak { blocks, bytes, first: first.block.addr }))
    }

    /// Why an address that is not in use cannot be freed.
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

    /// The size need not be told: it is on record.
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
