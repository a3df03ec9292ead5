//! The tests of this crate in one binary, since each binary compiles and links all units again.
#![expect(clippy::unwrap_used, reason = "a test")]

mod heap;
mod textbook;
mod vectors;
