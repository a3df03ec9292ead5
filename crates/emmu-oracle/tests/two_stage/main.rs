//! The models of two stages: their rules, worked out by hand from the manuals, and the generators of their cases.

mod aarch64;
mod cases;
mod riscv;
mod x86;
