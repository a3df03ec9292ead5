//! Which free list.

use crate::{Layout, Order, Policy};

/// Which free list: every combination is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListConfig {
    /// Which free block is taken.
    pub policy: Policy,
    /// Where a freed block is put.
    pub order: Order,
    /// Whether a free merges neighbours: one pass over the list, so all of them with [`Order::Address`], and with
    /// another order those that happen to be neighbours on the list too.
    pub coalesce: bool,
    /// How blocks are cut.
    pub layout: Layout,
    /// The least number of bytes by which the heap grows.
    pub growth_step: u64,
}

impl Default for ListConfig {
    /// First fit by address, coalescing, growing by pages.
    fn default() -> Self {
        Self {
            policy: Policy::First,
            order: Order::Address,
            coalesce: true,
            layout: Layout::default(),
            growth_step: 4096,
        }
    }
}
