//! The tests of this crate in one binary, since each binary compiles and links all units again.

mod heap;
mod textbook;
mod vectors;
