//! A balanced binary search tree (Adelson-Velsky and Landis 1962; Knuth, vol. 3, 6.2.3) in the free blocks.
//!
//! Heights are in memory. They fall strictly from the root down and are bounded, so that no damage makes a
//! descent endless. A walk in order must meet rising keys.

use crate::chain::{Area, size_of};
use crate::sealed::{WORD, Word};
use crate::{Corruption, Extent, Field, HeapError};
use alloc::vec::Vec;
use emmu_core::{Bus, PhysAddr};

/// A bound for the height of a tree of 2^44 nodes: 1.4405 · 44.
const HIGHEST: u64 = 64;

/// The key by which a tree is sorted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// The size, and for equal sizes the address.
    Size,
    Address,
}

impl Key {
    pub(super) fn of(self, block: Extent) -> (u64, u64) {
        match self {
            Self::Size => (block.size, block.addr.raw()),
            Self::Address => (block.addr.raw(), 0),
        }
    }

    /// Returns the offset in a block of the tree's three words.
    fn offset(self) -> u64 {
        match self {
            Self::Size => WORD,
            Self::Address => 4 * WORD,
        }
    }
}

/// A tree: its root pointer, and the area of its nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) root: Word,
    pub(super) key: Key,
    pub(super) area: Area,
}

/// A subtree: the pointer to its root, the root, and its largest possible height.
#[derive(Clone, Copy)]
struct Subtree {
    link: Word,
    root: Option<PhysAddr>,
    highest: u64,
}

#[derive(Clone, Copy)]
struct Node {
    block: Extent,
    left: Option<PhysAddr>,
    right: Option<PhysAddr>,
    height: u64,
}

impl Tree {
    pub(super) fn insert<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        block: Extent,
    ) -> Result<(), HeapError> {
        size_of(block.addr).write(bus, block.size)?;
        let whole = self.whole(bus)?;
        let root = self.inserted(bus, whole, block)?;
        self.root.write_pointer(bus, Some(root))
    }

    pub(super) fn remove<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        block: Extent,
    ) -> Result<(), HeapError> {
        let whole = self.whole(bus)?;
        let root = self.removed(bus, whole, block)?;
        self.root.write_pointer(bus, root)
    }

    /// Returns the block with the least key that is not less than `key`, and the number of nodes that were
    /// visited.
    pub(super) fn at_least<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        key: (u64, u64),
    ) -> Result<(Option<Extent>, u64), HeapError> {
        let (mut best, mut searched) = (None, 0);
        let mut subtree = self.whole(bus)?;
        while let Some(node) = self.load(bus, subtree)? {
            searched += 1;
            let enough = self.key.of(node.block) >= key;
            if enough {
                best = Some(node.block);
            }
            subtree = if enough { self.left(&node) } else { self.right(&node) };
        }
        Ok((best, searched))
    }

    /// Returns the block with the greatest key less than `key`.
    pub(super) fn before<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        key: (u64, u64),
    ) -> Result<Option<Extent>, HeapError> {
        let mut best = None;
        let mut subtree = self.whole(bus)?;
        while let Some(node) = self.load(bus, subtree)? {
            let before = self.key.of(node.block) < key;
            if before {
                best = Some(node.block);
            }
            subtree = if before { self.right(&node) } else { self.left(&node) };
        }
        Ok(best)
    }

    /// Returns all blocks by rising keys. It reads every word of the tree.
    pub(super) fn blocks<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let mut blocks = Vec::new();
        let whole = self.whole(bus)?;
        self.collect(bus, whole, &mut blocks)?;
        Ok(blocks)
    }

    fn collect<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        subtree: Subtree,
        blocks: &mut Vec<Extent>,
    ) -> Result<(), HeapError> {
        let Some(node) = self.load(bus, subtree)? else { return Ok(()) };
        self.collect(bus, self.left(&node), blocks)?;
        let last = blocks.last().map(|last| self.key.of(*last));
        if last.is_some_and(|last| last >= self.key.of(node.block)) {
            return Err(subtree.link.corrupt(Corruption::Order { block: node.block.addr }));
        }
        blocks.push(node.block);
        self.collect(bus, self.right(&node), blocks)?;
        let (left, right) = self.heights(bus, &node)?;
        if node.height != 1 + left.max(right) || left.abs_diff(right) > 1 {
            let word = self.word(node.block.addr, Field::Height);
            return Err(word.corrupt(Corruption::Value { found: node.height }));
        }
        Ok(())
    }

    /// Inserts a block, and returns the root of the subtree.
    fn inserted<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        subtree: Subtree,
        block: Extent,
    ) -> Result<PhysAddr, HeapError> {
        let Some(mut node) = self.load(bus, subtree)? else {
            let leaf = Node { block, left: None, right: None, height: 1 };
            return self.store(bus, leaf);
        };
        if self.key.of(block) < self.key.of(node.block) {
            node.left = Some(self.inserted(bus, self.left(&node), block)?);
        } else {
            node.right = Some(self.inserted(bus, self.right(&node), block)?);
        }
        self.balance(bus, node)
    }

    /// Removes a block, and returns the root of the subtree.
    fn removed<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        subtree: Subtree,
        block: Extent,
    ) -> Result<Option<PhysAddr>, HeapError> {
        let Some(mut node) = self.load(bus, subtree)? else {
            return Err(subtree.link.corrupt(Corruption::Unlisted { block: block.addr }));
        };
        if node.block.addr == block.addr {
            return self.without_root(bus, &node);
        }
        if self.key.of(block) < self.key.of(node.block) {
            node.left = self.removed(bus, self.left(&node), block)?;
        } else {
            node.right = self.removed(bus, self.right(&node), block)?;
        }
        self.balance(bus, node).map(Some)
    }

    /// Joins two subtrees: the least node of the right one becomes the root.
    fn without_root<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        node: &Node,
    ) -> Result<Option<PhysAddr>, HeapError> {
        let Some(right) = self.load(bus, self.right(node))? else { return Ok(node.left) };
        if node.left.is_none() {
            return Ok(node.right);
        }
        let (rest, mut least) = self.without_least(bus, right)?;
        (least.left, least.right) = (node.left, rest);
        self.balance(bus, least).map(Some)
    }

    /// Removes the least node, and returns the root of the subtree and that node.
    fn without_least<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        mut node: Node,
    ) -> Result<(Option<PhysAddr>, Node), HeapError> {
        let Some(left) = self.load(bus, self.left(&node))? else { return Ok((node.right, node)) };
        let (rest, least) = self.without_least(bus, left)?;
        node.left = rest;
        Ok((Some(self.balance(bus, node)?), least))
    }

    /// Writes the node, whose subtrees are balanced and whose heights differ by at most two, and returns the
    /// root of a balanced tree.
    fn balance<B: Bus + ?Sized>(&self, bus: &mut B, mut node: Node) -> Result<PhysAddr, HeapError> {
        let (left, right) = self.heights(bus, &node)?;
        node.height = 1 + left.max(right);
        if left > right + 1 {
            self.rotate_right(bus, node)
        } else if right > left + 1 {
            self.rotate_left(bus, node)
        } else {
            self.store(bus, node)
        }
    }

    fn rotate_right<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        mut node: Node,
    ) -> Result<PhysAddr, HeapError> {
        let Some(mut up) = self.load(bus, self.left(&node))? else { return self.store(bus, node) };
        let (outer, inner) = self.heights(bus, &up)?;
        if inner > outer
            && let Some(middle) = self.load(bus, self.right(&up))?
        {
            // A double rotation: the inner grandchild becomes the root.
            (up.right, node.left) = (middle.left, middle.right);
            return self.under(bus, middle, up, node);
        }
        node.left = up.right;
        up.right = Some(self.stored(bus, node)?);
        self.stored(bus, up)
    }

    fn rotate_left<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        mut node: Node,
    ) -> Result<PhysAddr, HeapError> {
        let Some(mut up) = self.load(bus, self.right(&node))? else { return self.store(bus, node) };
        let (inner, outer) = self.heights(bus, &up)?;
        if inner > outer
            && let Some(middle) = self.load(bus, self.left(&up))?
        {
            (node.right, up.left) = (middle.left, middle.right);
            return self.under(bus, middle, node, up);
        }
        node.right = up.left;
        up.left = Some(self.stored(bus, node)?);
        self.stored(bus, up)
    }

    /// Makes two nodes the children of a third.
    fn under<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        mut root: Node,
        left: Node,
        right: Node,
    ) -> Result<PhysAddr, HeapError> {
        root.left = Some(self.stored(bus, left)?);
        root.right = Some(self.stored(bus, right)?);
        self.stored(bus, root)
    }

    /// Computes the height of a node from its subtrees, and writes the node.
    fn stored<B: Bus + ?Sized>(&self, bus: &mut B, mut node: Node) -> Result<PhysAddr, HeapError> {
        let (left, right) = self.heights(bus, &node)?;
        node.height = 1 + left.max(right);
        self.store(bus, node)
    }

    fn store<B: Bus + ?Sized>(&self, bus: &mut B, node: Node) -> Result<PhysAddr, HeapError> {
        let addr = node.block.addr;
        self.word(addr, Field::Left).write_pointer(bus, node.left)?;
        self.word(addr, Field::Right).write_pointer(bus, node.right)?;
        self.word(addr, Field::Height).write(bus, node.height)?;
        Ok(addr)
    }

    /// Returns the root of a subtree, if it has one.
    fn load<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        subtree: Subtree,
    ) -> Result<Option<Node>, HeapError> {
        let Some(addr) = subtree.root else { return Ok(None) };
        let block = self.area.block(bus, addr, subtree.link)?;
        let left = self.word(addr, Field::Left).read_pointer(bus)?;
        let right = self.word(addr, Field::Right).read_pointer(bus)?;
        let word = self.word(addr, Field::Height);
        let height = word.read(bus)?;
        if height == 0 || height > subtree.highest {
            return Err(word.corrupt(Corruption::Value { found: height }));
        }
        Ok(Some(Node { block, left, right, height }))
    }

    fn heights<B: Bus + ?Sized>(&self, bus: &mut B, node: &Node) -> Result<(u64, u64), HeapError> {
        let addr = node.block.addr;
        let left = self.height(bus, self.word(addr, Field::Left), node.left)?;
        Ok((left, self.height(bus, self.word(addr, Field::Right), node.right)?))
    }

    fn height<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        link: Word,
        root: Option<PhysAddr>,
    ) -> Result<u64, HeapError> {
        match root {
            None => Ok(0),
            Some(addr) if self.area.admits(addr) => self.word(addr, Field::Height).read(bus),
            Some(block) => Err(link.corrupt(Corruption::Place { block })),
        }
    }

    fn whole<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Subtree, HeapError> {
        let root = self.root.read_pointer(bus)?;
        Ok(Subtree { link: self.root, root, highest: HIGHEST })
    }

    fn left(&self, node: &Node) -> Subtree {
        self.below(node, Field::Left, node.left)
    }

    fn right(&self, node: &Node) -> Subtree {
        self.below(node, Field::Right, node.right)
    }

    fn below(&self, node: &Node, field: Field, root: Option<PhysAddr>) -> Subtree {
        Subtree { link: self.word(node.block.addr, field), root, highest: node.height - 1 }
    }

    fn word(&self, addr: PhysAddr, field: Field) -> Word {
        let place = match field {
            Field::Left => 0,
            Field::Right => WORD,
            _ => 2 * WORD,
        };
        Word::new(addr, self.key.offset() + place, field)
    }
}
