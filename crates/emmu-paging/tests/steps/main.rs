//! The manuals step by step: one behaviour a test, marked with the step that it shows (the book: "Spec map").
#![expect(clippy::unwrap_used, reason = "a test")]

mod aarch64;
mod bits;
mod described;
mod machine;
mod riscv;
mod x86;
