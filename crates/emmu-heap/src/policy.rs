//! The decisions of a free list as data: the choice of a free block, and the place of a freed block.

use crate::Extent;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The choice among the free blocks that are large enough. Of equal blocks it takes the first on the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The smallest block. It searches the whole list.
    Best,
    /// The largest block. It searches the whole list.
    Worst,
    /// The first block.
    #[default]
    First,
    /// The first block after the one from which the last block was cut, and around the list: Knuth's rover,
    /// with Kernighan and Ritchie's rules for its place (The C Programming Language, 2nd ed., 8.7). A freed
    /// block takes the rover with it.
    Next,
}

impl Policy {
    /// All of them, in the order in which reports list them.
    pub const ALL: &'static [Self] = &[Self::Best, Self::Worst, Self::First, Self::Next];

    /// Returns the name that the field uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Worst => "worst",
            Self::First => "first",
            Self::Next => "next",
        }
    }

    /// Returns true if a block that fits is better than the best so far.
    pub(crate) fn prefers(self, block: Extent, so_far: Option<Extent>) -> bool {
        so_far.is_none_or(|other| match self {
            Self::Best => block.size < other.size,
            Self::Worst => block.size > other.size,
            Self::First | Self::Next => false,
        })
    }

    /// Returns true if no block can be better than the first that fits.
    pub(crate) const fn stops(self) -> bool {
        matches!(self, Self::First | Self::Next)
    }
}

/// The place of a freed block on the list. The remainder of a block that was split stays at the place of that
/// block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// By rising addresses: neighbours in memory are neighbours on the list.
    #[default]
    Address,
    /// By rising sizes. A free sorts the list, and a split does not.
    SizeAscending,
    /// By falling sizes. A free sorts the list, and a split does not.
    SizeDescending,
    /// At the front: last in, first out.
    Front,
    /// At the back: first in, first out.
    Back,
}

impl Order {
    /// All orders, as reports list them.
    pub const ALL: &'static [Self] =
        &[Self::Address, Self::SizeAscending, Self::SizeDescending, Self::Front, Self::Back];

    /// Returns the name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::SizeAscending => "size-ascending",
            Self::SizeDescending => "size-descending",
            Self::Front => "insert-front",
            Self::Back => "insert-back",
        }
    }

    /// Inserts a freed block into the list.
    pub(crate) fn insert(self, list: &mut Vec<Extent>, block: Extent) {
        match self {
            Self::Front => list.insert(0, block),
            _ => list.push(block),
        }
        match self {
            Self::Address => list.sort_by_key(|block| block.addr),
            Self::SizeAscending => list.sort_by_key(|block| block.size),
            Self::SizeDescending => list.sort_by_key(|block| Reverse(block.size)),
            Self::Front | Self::Back => {}
        }
    }
}

/// Merges, in one pass over the list, blocks that are neighbours both on the list and in memory. The test is
/// the textbook's: `next − address = size`.
pub(crate) fn coalesce(list: &mut Vec<Extent>) {
    list.dedup_by(|block, before| {
        let adjacent = before.end() == block.addr;
        if adjacent {
            before.size += block.size;
        }
        adjacent
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_core::PhysAddr;

    fn list(blocks: &[(u64, u64)]) -> Vec<Extent> {
        blocks.iter().map(|&(addr, size)| Extent::new(PhysAddr::new(addr), size)).collect()
    }

    fn inserted(order: Order) -> Vec<Extent> {
        let mut blocks = list(&[(100, 20), (300, 10), (200, 20)]);
        order.insert(&mut blocks, Extent::new(PhysAddr::new(150), 20));
        blocks
    }

    #[test]
    fn equals_stay_in_order_and_the_new_block_is_the_last_of_them() {
        let ascending = list(&[(300, 10), (100, 20), (200, 20), (150, 20)]);
        assert_eq!(inserted(Order::SizeAscending), ascending);
        let descending = list(&[(100, 20), (200, 20), (150, 20), (300, 10)]);
        assert_eq!(inserted(Order::SizeDescending), descending);
    }

    #[test]
    fn insertion_leaves_the_others_where_they_are() {
        assert_eq!(inserted(Order::Front)[1..], inserted(Order::Back)[..3]);
    }

    #[test]
    fn a_pass_merges_runs_of_neighbours() {
        let mut blocks = list(&[(0, 10), (10, 10), (20, 5), (30, 5)]);
        coalesce(&mut blocks);
        assert_eq!(blocks, list(&[(0, 25), (30, 5)]));
    }

    #[test]
    fn neighbours_in_memory_that_are_none_on_the_list_are_not_merged() {
        let mut blocks = list(&[(10, 10), (0, 10)]);
        coalesce(&mut blocks);
        assert_eq!(blocks.len(), 2);
    }
}
