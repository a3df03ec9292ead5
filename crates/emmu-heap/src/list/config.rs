//! The configuration of a free list.

use crate::{Layout, Order, Policy};

/// The configuration of a free list. Every combination is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListConfig {
    /// The choice of the free block for a request.
    pub policy: Policy,
    /// The place of a freed block on the list.
    pub order: Order,
    /// True if a free merges neighbours. The merge is one pass over the list. So with [`Order::Address`] it
    /// merges all neighbours, and with another order those that happen to be neighbours on the list too.
    pub coalesce: bool,
    /// The way to cut blocks.
    pub layout: Layout,
    /// The least number of bytes by which the heap grows.
    pub growth_step: u64,
}

impl Default for ListConfig {
    /// Returns first fit by address, with coalescing and growth by pages.
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
