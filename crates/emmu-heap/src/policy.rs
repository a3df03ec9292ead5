//! Which free block is taken, and where a freed one is put: a free list's decisions as data.

use crate::Extent;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Which of the free blocks that are large enough is taken. Of equals, the first on the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The smallest. Searches the whole list.
    Best,
    /// The largest. Searches the whole list.
    Worst,
    /// The first.
    #[default]
    First,
    /// The first after the one that the last block was cut from, and around: Knuth's rover, with Kernighan and
    /// Ritchie's rules of where it rests (The C Programming Language, 2nd ed., 8.7). A block that is freed takes the
    /// rover with it.
    Next,
}

impl Policy {
    /// All of them, in the order in which reports list them.
    pub const ALL: &'static [Self] = &[Self::Best, Self::Worst, Self::First, Self::Next];

    /// Its name in the field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Worst => "worst",
            Self::First => "first",
            Self::Next => "next",
        }
    }

    /// Whether a block that fits is better than the best so far.
    pub(crate) fn prefers(self, block: Extent, so_far: Option<Extent>) -> bool {
        so_far.is_none_or(|other| match self {
            Self::Best => block.size < other.size,
            Self::Worst => block.size > other.size,
            Self::First | Self::Next => false,
        })
    }

    /// Whether no block can be better than the first that fits.
    pub(crate) const fn stops(self) -> bool {
        matches!(self, Self::First | Self::Next)
    }
}

/// Where on the list a freed block is put. What is left of a block that was split stays where that block was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// By rising addresses: neighbours in memory are neighbours on the list.
    #[default]
    Address,
    /// By rising sizes; a free sorts the list, a split does not.
    SizeAscending,
    /// By falling sizes; likewise.
    SizeDescending,
    /// At the front: last in, first out.
    Front,
    /// At the back: first in, first out.
    Back,
}

impl Order {
    /// All five.
    pub const ALL: &'static [Self] =
        &[Self::Address, Self::SizeAscending, Self::SizeDescending, Self::Front, Self::Back];

    /// Its name on the command line.
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

    /// Puts a freed block on the list.
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

/// One pass over the list that merges those which are neighbours both on the list and in memory: the test of the
/// textbook is `next − address = size`.
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
