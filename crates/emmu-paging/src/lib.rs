//! Multi-level paging.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod assoc;
mod config;
mod replace;

pub use assoc::{Assoc, Geometry, GeometryError, Scope};
pub use config::{Bank, ConfigError, PagingConfig, TlbLevel, TlbTable, WalkCacheTable};
pub use replace::Policy;
