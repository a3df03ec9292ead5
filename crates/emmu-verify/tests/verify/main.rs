//! The tests of this crate in one binary, since each binary compiles and links all units again.
#![expect(clippy::unwrap_used, reason = "a test")]

mod aarch64_paging_crate;
mod coherence;
mod density;
mod described;
mod descriptors;
mod differential;
mod hashed;
mod heap_crates;
mod seeds;
mod snapshot;
mod snapshot_refused;
mod x86_64_crate;
