//! The tests of this crate in one binary, since each binary compiles and links all units again.
#![expect(clippy::unwrap_used, reason = "a test")]

mod causes;
mod exact;
mod hashed;
mod inclusion;
mod invalid_entries;
mod invalidation;
mod protection;
mod reach;
mod reference_counts;
mod registers;
