//! Tests of the CPU port, with a small paged machine and real memory.

mod accelerator;
mod access;
mod atomic;
mod machine;
mod patchwork;
mod privilege;
mod trap;
