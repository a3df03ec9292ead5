//! A free list whose nodes lie in the free blocks themselves.

mod config;
mod search;

pub use config::ListConfig;

use crate::chain::{Area, Chain, NODE};
use crate::error::expect;
use crate::owned::{between, not_free, owned};
use crate::sealed::{ADDRESS_LIMIT, WORD, Word};
use crate::{
    Block, ConfigError, Corruption, Extent, Field, Heap, HeapError, Order, Policy, Request, Sbrk,
    Stats, header, policy,
};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};
use search::FoundBlock;

/// A free list. [`ListConfig`] configures it.
///
/// A free block holds its size and the address of the next one, in the two sealed words of its first 16 bytes.
/// The manager's own words are elsewhere, [`FreeList::CONTROL_BYTES`] bytes:
///
/// | offset | word |
/// |---|---|
/// | 0 | head pointer |
/// | 8 | rover: with next fit, the block after which the search starts; none is before the head |
/// | 16 | end of the heap |
///
/// The only other state is the counts of [`Heap::stats`]. So a [`FreeList::open`] over the same memory
/// continues the list.
#[derive(Clone, Debug)]
pub struct FreeList<G = ()> {
    config: ListConfig,
    control: PhysAddr,
    start: PhysAddr,
    /// The heap never ends above this address, whatever memory holds.
    limit: PhysAddr,
    growth: G,
    stats: Stats,
}

impl FreeList {
    /// The number of bytes of the manager's own words.
    pub const CONTROL_BYTES: u64 = 3 * WORD;

    /// Makes all of `region` one free block, and writes the manager's own words from `control` on. The region
    /// may be empty if the heap will grow.
    ///
    /// # Errors
    /// [`ConfigError`] if blocks cannot be cut in this way, if there can be no such region, or if the bus
    /// refuses.
    pub fn create<B: Bus + ?Sized>(
        bus: &mut B,
        control: PhysAddr,
        region: Extent,
        config: ListConfig,
    ) -> Result<Self, ConfigError> {
        let mut list = Self::open(control, region.addr, config)?;
        let layout = config.layout;
        let fine = region.size == 0
            || region.size >= layout.min_block && region.size.is_multiple_of(layout.granule);
        expect("size", region.size, fine, "0, or a multiple of the granule that holds a block")?;
        let end = region.addr.checked_add(region.size);
        let fine = end.is_some_and(|end| end.raw() <= ADDRESS_LIMIT);
        expect("size", region.size, fine, "an end of the heap within 2^48")?;
        if list.own_words().overlaps(region) {
            return Err(ConfigError::ControlInHeap { control });
        }
        list.limit = region.end();
        list.rover().write_pointer(bus, None)?;
        list.end().write(bus, region.end().raw())?;
        let blocks = if region.size > 0 { &[region][..] } else { &[] };
        list.chain(bus)?.rewrite(bus, &[], blocks)?;
        Ok(list)
    }

    /// Opens a free list that memory already holds.
    ///
    /// # Errors
    /// [`ConfigError`] if blocks cannot be cut in this way.
    pub fn open(
        control: PhysAddr,
        start: PhysAddr,
        config: ListConfig,
    ) -> Result<Self, ConfigError> {
        config.layout.validate(NODE)?;
        let limit = PhysAddr::new(ADDRESS_LIMIT);
        Ok(Self { config, control, start, limit, growth: (), stats: Stats::default() })
    }
}

impl<G> FreeList<G> {
    /// Returns this list with a source of memory for requests that do not fit. It asks for at least the
    /// configured [growth step](ListConfig::growth_step).
    #[must_use]
    pub fn with_growth<H: Sbrk>(self, growth: H) -> FreeList<H> {
        let Self { config, control, start, limit, stats, .. } = self;
        FreeList { config, control, start, limit, growth, stats }
    }

    /// Returns the configuration of the list.
    #[must_use]
    pub fn config(&self) -> &ListConfig {
        &self.config
    }

    /// Returns the address of the head pointer.
    #[must_use]
    pub fn control(&self) -> PhysAddr {
        self.control
    }

    /// With next fit, returns the block after which the next search starts; `None` is before the head.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`] if the word is damaged.
    pub fn rover_block<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Option<PhysAddr>, HeapError> {
        self.rover().read_pointer(bus)
    }

    /// Returns the allocated blocks, sorted by address, by their headers: it walks from block to block through
    /// the memory that is not free. Without headers, returns `None`.
    ///
    /// # Errors
    /// [`HeapError::Corrupt`], and [`HeapError::HeaderOverwritten`] for the first block without a valid header.
    pub fn allocated_blocks<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
    ) -> Result<Option<Vec<Extent>>, HeapError> {
        let chain = self.chain(bus)?;
        let mut free = chain.blocks(bus)?;
        free.sort();
        match self.config.layout.header {
            0 => Ok(None),
            _ => between(bus, &self.config.layout, &chain.area, &free).map(Some),
        }
    }

    fn head(&self) -> Word {
        Word::new(self.control, 0, Field::Head)
    }

    fn rover(&self) -> Word {
        Word::new(self.control, WORD, Field::Rover)
    }

    fn end(&self) -> Word {
        Word::new(self.control, 2 * WORD, Field::End)
    }

    fn own_words(&self) -> Extent {
        Extent::new(self.control, FreeList::CONTROL_BYTES)
    }

    /// Returns the list as it is now.
    fn chain<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Chain, HeapError> {
        let end = self.end().read(bus)?;
        let size = end.checked_sub(self.start.raw()).filter(|_| end <= self.limit.raw());
        let size = size.ok_or(self.end().corrupt(Corruption::Value { found: end }))?;
        let ListConfig { layout, order, .. } = self.config;
        let area = Area {
            extent: Extent::new(self.start, size),
            granule: layout.granule,
            min_block: layout.min_block,
        };
        Ok(Chain { head: self.head(), area, ascending: order == Order::Address })
    }

    /// Removes the block that was found from the list.
    fn take<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        chain: &Chain,
        found: &FoundBlock,
        searched: u64,
    ) -> Result<Block, HeapError> {
        let FoundBlock { step, cut } = found;
        let remainders: Vec<_> = cut.remainders().collect();
        chain.replace(bus, step, &remainders)?;
        let (header, extent) = (self.config.layout.header, cut.taken);
        let addr = extent.addr.wrapping_add(header);
        if header > 0 {
            header::write(bus, addr, extent.size)?;
        }
        self.rest(bus, step.before)?;
        Ok(Block { addr, extent, searched })
    }

    /// Inserts a block into the list, which is `old`.
    fn put<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        chain: &Chain,
        old: &[Extent],
        block: Extent,
    ) -> Result<(), HeapError> {
        let mut new = old.to_vec();
        self.config.order.insert(&mut new, block);
        if self.config.coalesce {
            policy::coalesce(&mut new);
        }
        chain.rewrite(bus, old, &new)?;
        // The rover rests on the block that the freed one was merged into, or else on the one before it.
        let place = new.iter().position(|entry| entry.contains(block.addr)).unwrap_or(0);
        let merged = new.get(place).filter(|entry| entry.addr < block.addr);
        let before = place.checked_sub(1).and_then(|before| new.get(before));
        self.rest(bus, merged.or(before).map(|entry| entry.addr))
    }

    /// With next fit, sets the rover to this block.
    fn rest<B: Bus + ?Sized>(&self, bus: &mut B, at: Option<PhysAddr>) -> Result<(), HeapError> {
        match self.config.policy {
            Policy::Next => self.rover().write_pointer(bus, at),
            _ => Ok(()),
        }
    }
}

impl<G: Sbrk> FreeList<G> {
    /// Finds a free block; `searched` elements were searched before.
    fn find<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        request: Request,
        searched: u64,
    ) -> Result<Block, HeapError> {
        let chain = self.chain(bus)?;
        let need = self.config.layout.need(request.size);
        let (found, more) = self.search(bus, &chain, need, request.align)?;
        let searched = searched + more;
        match found {
            Some(found) => self.take(bus, &chain, &found, searched),
            None => Err(HeapError::OutOfMemory { need, searched }),
        }
    }

    /// Makes the heap larger, so that `need` bytes fit. Returns true if it could.
    fn grow<B: Bus + ?Sized>(
        &mut self,
        bus: &mut B,
        need: u64,
        align: u64,
    ) -> Result<bool, HeapError> {
        let (chain, layout) = (self.chain(bus)?, self.config.layout);
        // An alignment can cost its own size, and a block in front.
        let room = if align > layout.granule { align.saturating_add(layout.min_block) } else { 0 };
        let bytes = need.saturating_add(room).max(self.config.growth_step);
        let Some(bytes) = bytes.checked_next_multiple_of(layout.granule) else { return Ok(false) };
        let end = chain.area.extent.end();
        let Some(new_end) = end.checked_add(bytes) else { return Ok(false) };
        let more = Extent::new(end, bytes);
        if new_end.raw() > ADDRESS_LIMIT
            || self.own_words().overlaps(more)
            || !self.growth.sbrk(end, bytes)
        {
            return Ok(false);
        }
        let old = chain.blocks(bus)?;
        self.end().write(bus, new_end.raw())?;
        self.limit = new_end;
        self.stats.grown += bytes;
        self.put(bus, &chain, &old, more).map(|()| true)
    }

    fn find_or_grow<B: Bus + ?Sized>(
        &mut self,
        bus: &mut B,
        request: Request,
    ) -> Result<Block, HeapError> {
        request.validate()?;
        match self.find(bus, request, 0) {
            Err(HeapError::OutOfMemory { need, searched })
                if self.grow(bus, need, request.align)? =>
            {
                self.find(bus, request, searched)
            }
            answer => answer,
        }
    }
}

impl<B: Bus + ?Sized, G: Sbrk> Heap<B> for FreeList<G> {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let answer = self.find_or_grow(bus, request);
        self.stats.count(&answer);
        answer
    }

    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let chain = self.chain(bus)?;
        let list = chain.blocks(bus)?;
        let block = owned(bus, &self.config.layout, &chain.area, addr, size);
        let block = block.map_err(|refused| match refused {
            HeapError::HeaderOverwritten { .. } if list.iter().any(|free| free.contains(addr)) => {
                HeapError::DoubleFree { addr }
            }
            refused => refused,
        })?;
        not_free(addr, block, list.iter().copied().find(|free| free.overlaps(block)))?;
        if self.config.layout.header > 0 {
            header::wipe(bus, addr)?;
        }
        self.put(bus, &chain, &list, block)?;
        self.stats.frees += 1;
        Ok(block)
    }

    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        self.chain(bus)?.blocks(bus)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        let chain = self.chain(bus)?;
        let mut free = chain.blocks(bus)?;
        if let Some(rover) = self.rover().read_pointer(bus)?
            && !free.iter().any(|block| block.addr == rover)
        {
            return Err(self.rover().corrupt(Corruption::Unlisted { block: rover }));
        }
        free.sort();
        if let Some(pair) = free.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            return Err(self.head().corrupt(Corruption::Overlap { block: pair[1].addr }));
        }
        self.allocated_blocks(bus).map(drop)
    }

    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        let area = self.chain(bus)?.area.extent;
        Ok(area.addr..area.end())
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}
