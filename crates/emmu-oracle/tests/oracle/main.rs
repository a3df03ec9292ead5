//! The tests of this crate in one binary.

mod riscv;
mod textbook;
mod vectors;
mod x86;
