//! One set-associative table: what TLBs, walk caches, descriptor caches and data caches are made of.
//!
//! Models: sets, ways, and replacement: LRU, tree-PLRU, FIFO, random, SRRIP, NRU and DRRIP,
//! or a policy of your own ([`Replace`]). Entries belong to a
//! [`Owner`], so that all entries of one owner can be invalidated at once.
//!
//! Does not model: what is in an entry, what a lookup costs, or several lookups at once.
//!
//! Which type you want: [`Assoc`], with a [`Geometry`].
//!
//! ```
//! use emmu_assoc::{Assoc, Forever, Geometry, Policy, Owner};
//! let mut table = Assoc::new(Geometry::new(2, 1, Policy::Lru)?);
//! for tag in [6, 7, 8] {
//!     table.fill(tag, Owner::ONLY, tag * 10, &Forever);     // 8 goes where 6 was
//! }
//! let held = |tag| table.lookup(tag, |_, _| true).map(|found| *found.value);
//! assert_eq!([6, 7, 8].map(held), [None, Some(70), Some(80)]);
//! # Ok::<(), emmu_assoc::GeometryError>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod assoc;
mod geometry;
mod own;
mod policy;

pub use assoc::{Assoc, AssocHit, Evicted, Forever, Live, Owner};
pub use geometry::{Geometry, GeometryError};
pub use own::{Own, Replace};
pub use policy::{Limit, Parameter, Policy};
