//! A singly linked list of free blocks, each of which holds its own node: the one kind of list in this crate.
//!
//! ```text
//!  head ─► ┌ size ┬ next ┬ … ┐ ─► ┌ size ┬ next ┬ … ┐ ─► none
//!          └ block           ┘    └ block           ┘
//! ```
//!
//! The code trusts nothing that it reads from memory. A block must be where a block can be. The blocks of a
//! list are together not larger than the area, so that a list always ends. The addresses of a list that is
//! sorted by address rise.

use crate::sealed::{WORD, Word};
use crate::{Corruption, Extent, Field, HeapError};
use alloc::vec::Vec;
use emmu_core::{Bus, PhysAddr};

/// The number of bytes of a node.
pub(crate) const NODE: u64 = 2 * WORD;

/// The area in which the blocks of a list can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) extent: Extent,
    /// Blocks start and end at multiples of this number, counted from the start of the area.
    pub(crate) granule: u64,
    pub(crate) min_block: u64,
}

impl Area {
    /// Returns true if a block can start at this address.
    pub(crate) fn admits(&self, addr: PhysAddr) -> bool {
        let last = self.extent.end().raw().checked_sub(self.min_block);
        addr >= self.extent.addr
            && last.is_some_and(|last| addr.raw() <= last)
            && (addr.raw() - self.extent.addr.raw()).is_multiple_of(self.granule)
    }

    /// Returns true if a block that starts at an admitted address can have this size.
    pub(crate) fn holds(&self, block: Extent) -> bool {
        block.size >= self.min_block
            && block.size.is_multiple_of(self.granule)
            && block.size <= self.extent.end().raw() - block.addr.raw()
    }

    /// Returns the block at an address that `link` named. The first word of a block is its size.
    pub(crate) fn block<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        link: Word,
    ) -> Result<Extent, HeapError> {
        if !self.admits(addr) {
            return Err(link.corrupt(Corruption::Place { block: addr }));
        }
        let word = size_of(addr);
        let block = Extent::new(addr, word.read(bus)?);
        if self.holds(block) {
            Ok(block)
        } else {
            Err(word.corrupt(Corruption::Extent { size: block.size }))
        }
    }
}

/// Returns the word that holds the size of the free block at `addr`.
pub(crate) fn size_of(addr: PhysAddr) -> Word {
    Word::new(addr, 0, Field::Size)
}

/// Returns the word in the free block at `addr` that points to the next block.
pub(crate) fn next_of(addr: PhysAddr) -> Word {
    Word::new(addr, WORD, Field::Next)
}

/// A list of free blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The head pointer.
    pub(crate) head: Word,
    pub(crate) area: Area,
    /// True if addresses rise along the list.
    pub(crate) ascending: bool,
}

/// A block on the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The pointer to the block.
    pub(crate) link: Word,
    /// The block before it, if there is one.
    pub(crate) before: Option<PhysAddr>,
    pub(crate) block: Extent,
}

/// A position on a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    chain: Chain,
    link: Word,
    before: Option<PhysAddr>,
    /// The number of bytes that the remaining blocks can have together.
    budget: u64,
    /// The least address that the next block can have.
    floor: PhysAddr,
}

impl Cursor {
    /// Returns the next block, or `None` at the end.
    pub(crate) fn next<B: Bus + ?Sized>(&mut self, bus: &mut B) -> Result<Option<Step>, HeapError> {
        let link = self.link;
        let Some(addr) = link.read_pointer(bus)? else { return Ok(None) };
        let block = self.chain.area.block(bus, addr, link)?;
        let endless = link.corrupt(Corruption::Endless);
        self.budget = self.budget.checked_sub(block.size).ok_or(endless)?;
        if self.chain.ascending {
            if addr < self.floor {
                return Err(link.corrupt(Corruption::Order { block: addr }));
            }
            self.floor = block.end();
        }
        let step = Step { link, before: self.before, block };
        (self.link, self.before) = (next_of(addr), Some(addr));
        Ok(Some(step))
    }
}

impl Chain {
    /// Returns a cursor at the head.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            chain: *self,
            link: self.head,
            before: None,
            budget: self.area.extent.size,
            floor: PhysAddr::ZERO,
        }
    }

    /// Returns a cursor behind the block at `addr`.
    pub(crate) fn cursor_after(&self, addr: PhysAddr) -> Cursor {
        Cursor { link: next_of(addr), before: Some(addr), ..self.cursor() }
    }

    /// Returns all blocks, in order.
    pub(crate) fn blocks<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let (mut cursor, mut blocks) = (self.cursor(), Vec::new());
        while let Some(step) = cursor.next(bus)? {
            blocks.push(step.block);
        }
        Ok(blocks)
    }

    /// Replaces the block of `step` with `pieces`.
    pub(crate) fn replace<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        step: &Step,
        pieces: &[Extent],
    ) -> Result<(), HeapError> {
        let next = next_of(step.block.addr).read_pointer(bus)?;
        link_up(bus, step.link, pieces, next)
    }

    /// Inserts a block in front of the first block for which `is_after` returns true.
    pub(crate) fn insert_before<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        block: Extent,
        is_after: impl Fn(Extent) -> bool,
    ) -> Result<(), HeapError> {
        let mut cursor = self.cursor();
        let found = loop {
            match cursor.next(bus)? {
                Some(step) if is_after(step.block) => break Some(step),
                Some(_) => {}
                None => break None,
            }
        };
        let link = found.map_or(cursor.link, |step| step.link);
        link_up(bus, link, &[block], found.map(|step| step.block.addr))
    }

    /// Turns the list `old` into the list `new`, writing only the nodes that differ.
    pub(crate) fn rewrite<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        old: &[Extent],
        new: &[Extent],
    ) -> Result<(), HeapError> {
        let same = |(a, b): &(&Extent, &Extent)| a == b;
        let kept_first = old.iter().zip(new).take_while(same).count();
        let (old, rest) = (&old[kept_first..], &new[kept_first..]);
        let kept_last = old.iter().rev().zip(rest.iter().rev()).take_while(same).count();
        let (middle, last) = rest.split_at(rest.len() - kept_last);
        let link = new[..kept_first].last().map_or(self.head, |block| next_of(block.addr));
        link_up(bus, link, middle, last.first().map(|block| block.addr))
    }
}

/// Makes `link` point to the first of `blocks`, each to the one after it, and the last to `end`.
fn link_up<B: Bus + ?Sized>(
    bus: &mut B,
    link: Word,
    blocks: &[Extent],
    end: Option<PhysAddr>,
) -> Result<(), HeapError> {
    let mut next = end;
    for block in blocks.iter().rev() {
        size_of(block.addr).write(bus, block.size)?;
        next_of(block.addr).write_pointer(bus, next)?;
        next = Some(block.addr);
    }
    link.write_pointer(bus, next)
}
