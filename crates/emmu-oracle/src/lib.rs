//! Naive, slow, obviously right reference models of address translation, to judge real MMUs by.
//!
//! Models: one access with an empty TLB, straight from the manuals: RISC-V Bare and Sv32 to Sv57 with PMP,
//! x86 32-bit, PAE, 4-level and 5-level paging, AArch64 stage 1.
//!
//! Does not model: TLBs, walk caches, time, or a second stage. It shares no decoding, no walk and no
//! arithmetic with the translation units that it judges.
//!
//! You want [`Reference::translate`] on the registers of your architecture.

pub mod aarch64;
mod bus;
pub mod generate;
pub mod reference;
pub mod riscv;
pub mod vectors;
pub mod x86;

pub use reference::{Hole, Memory, Outcome, Reference, Write};
