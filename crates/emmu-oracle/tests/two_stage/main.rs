//! The models of two stages: their rules, worked out by hand from the manuals.

mod aarch64;
mod riscv;
mod x86;
