//! Best fit without a search of all blocks: balanced trees in the free blocks.

mod avl;

use crate::chain::Area;
use crate::error::expect;
use crate::layout::Cut;
use crate::owned::{between, not_free, owned};
use crate::sealed::{ADDRESS_LIMIT, WORD, Word};
use crate::{
    Block, ConfigError, Corruption, Extent, Field, Heap, HeapError, Layout, Request, Stats, header,
};
use alloc::vec::Vec;
use avl::{Key, Tree};
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// Free blocks in two balanced trees. In the tree by size, best fit is one descent. In the tree by address, a
/// freed block finds its neighbours. The answers are those of a [`FreeList`](crate::FreeList) with best fit by
/// address and coalescing, but O(log n) blocks are visited instead of n. (A request for an aligned address
/// visits further blocks of the size, if the first cannot be cut in this way.)
///
/// Neither tree could replace the other: a tree by size finds no neighbours, and boundary tags would need words
/// in allocated blocks too. A free block holds seven sealed words:
///
/// | offset | word |
/// |---|---|
/// | 0 | size |
/// | 8, 16, 24 | by size: left, right, height |
/// | 32, 40, 48 | by address: left, right, height |
///
/// and the manager's own words are the two root pointers, [`FreeTree::CONTROL_BYTES`] bytes.
#[derive(Clone, Debug)]
pub struct FreeTree {
    layout: Layout,
    control: PhysAddr,
    area: Area,
    stats: Stats,
}

impl FreeTree {
    /// The number of bytes of the manager's own words.
    pub const CONTROL_BYTES: u64 = 2 * WORD;
    /// The number of bytes that a free block needs for its words: the least [`Layout::min_block`].
    pub const NODE_BYTES: u64 = 7 * WORD;

    /// Makes all of `region` one free block, and writes the manager's own words from `control` on.
    ///
    /// # Errors
    /// [`ConfigError`] if blocks cannot be cut in this way, if there can be no such region, or if the bus
    /// refuses.
    pub fn create<B: Bus + ?Sized>(
        bus: &mut B,
        control: PhysAddr,
        region: Extent,
        layout: Layout,
    ) -> Result<Self, ConfigError> {
        let tree = Self::open(control, region, layout)?;
        for tree in tree.trees() {
            tree.root.write_pointer(bus, None)?;
        }
        tree.put(bus, region)?;
        Ok(tree)
    }

    /// Opens trees that memory already holds.
    ///
    /// # Errors
    /// [`ConfigError`] if blocks cannot be cut in this way, or if there can be no such region.
    pub fn open(control: PhysAddr, region: Extent, layout: Layout) -> Result<Self, ConfigError> {
        layout.validate(Self::NODE_BYTES)?;
        let Layout { granule, min_block, .. } = layout;
        let end = region.addr.checked_add(region.size);
        let fine = region.size >= min_block
            && region.size.is_multiple_of(granule)
            && end.is_some_and(|end| end.raw() <= ADDRESS_LIMIT);
        expect("size", region.size, fine, "a multiple of the granule that holds a block")?;
        if Extent::new(control, Self::CONTROL_BYTES).overlaps(region) {
            return Err(ConfigError::ControlInHeap { control });
        }
        let area = Area { extent: region, granule, min_block };
        Ok(Self { layout, control, area, stats: Stats::default() })
    }

    fn by_size(&self) -> Tree {
        Tree { root: Word::new(self.control, 0, Field::Root), key: Key::Size, area: self.area }
    }

    fn by_address(&self) -> Tree {
        let root = Word::new(self.control, WORD, Field::Root);
        Tree { root, key: Key::Address, area: self.area }
    }

    fn trees(&self) -> [Tree; 2] {
        [self.by_size(), self.by_address()]
    }

    fn put<B: Bus + ?Sized>(&self, bus: &mut B, block: Extent) -> Result<(), HeapError> {
        self.trees().iter().try_for_each(|tree| tree.insert(bus, block))
    }

    fn pull<B: Bus + ?Sized>(&self, bus: &mut B, block: Extent) -> Result<(), HeapError> {
        self.trees().iter().try_for_each(|tree| tree.remove(bus, block))
    }

    /// Returns the smallest block that can be cut in this way; of equal blocks, the lowest.
    fn find<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        need: u64,
        align: u64,
    ) -> Result<(Extent, Cut, u64), HeapError> {
        let (mut key, mut searched) = ((need, 0), 0);
        loop {
            let (found, more) = self.by_size().at_least(bus, key)?;
            searched += more;
            let block = found.ok_or(HeapError::OutOfMemory { need, searched })?;
            if let Some(cut) = self.layout.cut(block, need, align) {
                return Ok((block, cut, searched));
            }
            key = (block.size, block.addr.raw() + 1);
        }
    }

    fn take<B: Bus + ?Sized>(&self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        request.validate()?;
        let need = self.layout.need(request.size);
        let (block, cut, searched) = self.find(bus, need, request.align)?;
        self.pull(bus, block)?;
        cut.remainders().try_for_each(|piece| self.put(bus, piece))?;
        let extent = cut.taken;
        let addr = extent.addr.wrapping_add(self.layout.header);
        if self.layout.header > 0 {
            header::write(bus, addr, extent.size)?;
        }
        Ok(Block { addr, extent, searched })
    }

    /// Returns the last free block that starts at `addr` or before it, and the first that starts after it.
    fn neighbours<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
    ) -> Result<[Option<Extent>; 2], HeapError> {
        let (tree, after) = (self.by_address(), (addr.raw().saturating_add(1), 0));
        Ok([tree.before(bus, after)?, tree.at_least(bus, after)?.0])
    }

    /// Returns the block to free, and its free neighbours.
    fn freed<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<(Extent, [Option<Extent>; 2]), HeapError> {
        let block = match owned(bus, &self.layout, &self.area, addr, size) {
            Err(refused @ HeapError::HeaderOverwritten { .. }) => {
                let [before, _] = self.neighbours(bus, addr)?;
                let is_free = before.is_some_and(|free| free.contains(addr));
                return Err(if is_free { HeapError::DoubleFree { addr } } else { refused });
            }
            block => block?,
        };
        let near = self.neighbours(bus, block.addr)?;
        near.iter().try_for_each(|free| not_free(addr, block, *free))?;
        Ok((block, near))
    }
}

impl<B: Bus + ?Sized> Heap<B> for FreeTree {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let answer = self.take(bus, request);
        self.stats.count(&answer);
        answer
    }

    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let (block, near) = self.freed(bus, addr, size)?;
        if self.layout.header > 0 {
            header::wipe(bus, addr)?;
        }
        let mut merged = block;
        for free in near.into_iter().flatten() {
            if free.end() == block.addr || block.end() == free.addr {
                self.pull(bus, free)?;
                merged = Extent::new(merged.addr.min(free.addr), merged.size + free.size);
            }
        }
        self.put(bus, merged)?;
        self.stats.frees += 1;
        Ok(block)
    }

    /// Returns the free blocks, sorted by address.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        self.by_address().blocks(bus)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        let free = self.by_address().blocks(bus)?;
        let mut sized = self.by_size().blocks(bus)?;
        sized.sort();
        let differs = |(a, b): (&Extent, &Extent)| a != b;
        if free.len() != sized.len() || free.iter().zip(&sized).any(differs) {
            let first = free.iter().chain(&sized).min().map_or(self.control, |block| block.addr);
            return Err(self.by_size().root.corrupt(Corruption::Unlisted { block: first }));
        }
        if let Some(pair) = free.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            let root = self.by_address().root;
            return Err(root.corrupt(Corruption::Overlap { block: pair[1].addr }));
        }
        match self.layout.header {
            0 => Ok(()),
            _ => between(bus, &self.layout, &self.area, &free).map(drop),
        }
    }

    fn region(&self, _: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        Ok(self.area.extent.addr..self.area.extent.end())
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}
