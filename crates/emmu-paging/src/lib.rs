//! Multi-level paging: page-table formats, the page walk, TLBs and walk caches.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod assoc;
mod config;
pub mod format;
mod replace;
mod scope;
mod tlb;
mod unit;
pub mod walk;
mod walk_cache;

pub use assoc::{Assoc, Geometry, GeometryError, Scope};
pub use config::{Bank, ConfigError, PagingConfig, TlbLevel, TlbTable, WalkCacheTable};
pub use format::{aarch64::AArch64, riscv::RiscV, x86::X86};
pub use replace::Policy;
pub use unit::Paging;
