//! Memory managers whose lists live in the emulated memory that they manage.
//!
//! Models: free lists with every [`Policy`], every [`Order`], and several ways to cut blocks and to grow
//! ([`FreeList`]); best fit in balanced trees ([`FreeTree`]); the buddy system ([`Buddy`]); slabs of objects of
//! one size in front of any of them ([`Slabs`]); stacks ([`Stack`]). Each manager finds its data through a
//! [`Bus`](emmu_core::Bus) and keeps none elsewhere. So code that can read memory can walk its lists, and code
//! that can write memory can damage them. A manager answers overwritten data, double frees and frees of
//! addresses that were never allocated with a typed [`HeapError`], and never with a hang or a panic.
//!
//! Does not model: the content of allocated memory (nothing is zeroed), and time. The managers count the
//! elements that they search.
//!
//! Which type you want: [`FreeList`] for an allocator like C's `malloc`, [`Buddy`] for page frames, [`Slabs`]
//! over a [`Buddy`] for a kernel. All are a [`Heap`]. [`Audited`] makes any of them report double frees,
//! invalid frees and leaks exactly.
//!
//! This example is the textbook's heap of 30 bytes whose middle is allocated. A byte is 16 bytes here, so that
//! every free block can hold its own size and next pointer:
//!
//! ```
//! use emmu_core::PhysAddr;
//! use emmu_heap::{Extent, FreeList, Fragmentation, Heap, HeapError, Layout, ListConfig, Request};
//! use emmu_memory::Memory;
//!
//! let (control, heap) = (PhysAddr::ZERO, Extent::new(PhysAddr::new(0x1000), 30 * 16));
//! let config = ListConfig { layout: Layout { header: 0, ..Layout::default() }, ..ListConfig::default() };
//! let mut memory = Memory::ram(1 << 16);
//! let mut list = FreeList::create(&mut memory, control, heap, config)?;
//!
//! let tens = [(); 3].map(|()| list.allocate(&mut memory, Request::new(10 * 16)).unwrap());
//! list.release(&mut memory, tens[0].addr, Some(10 * 16))?;
//! list.release(&mut memory, tens[2].addr, Some(10 * 16))?;
//!
//! // 20 are free, but no 11 in one piece.
//! let torn = Fragmentation::of(&list.free_blocks(&mut memory)?);
//! assert_eq!((torn.free, torn.largest, torn.external()), (20 * 16, 10 * 16, 0.5));
//! let refused = list.allocate(&mut memory, Request::new(11 * 16));
//! assert_eq!(refused, Err(HeapError::OutOfMemory { need: 11 * 16, searched: 2 }));
//!
//! // The middle makes one of all three.
//! list.release(&mut memory, tens[1].addr, Some(10 * 16))?;
//! assert_eq!(list.free_blocks(&mut memory)?, [heap]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod audit;
mod buddy;
mod chain;
mod error;
mod growth;
mod header;
mod heap;
mod layout;
mod list;
mod owned;
mod policy;
mod sealed;
mod slab;
mod stack;
mod tree;

pub use audit::{Allocation, Audited, Usage};
pub use buddy::{Buddy, BuddyConfig};
pub use error::{ConfigError, Corruption, HeapError, InvalidFree};
pub use growth::{Sbrk, UpTo};
pub use heap::{Block, Extent, Fragmentation, Heap, Request, Stats};
pub use layout::{End, Layout, Tail};
pub use list::{FreeList, ListConfig};
pub use policy::{Order, Policy};
pub use sealed::{ADDRESS_LIMIT, Field};
pub use slab::{Class, Slabs};
pub use stack::Stack;
pub use tree::FreeTree;
