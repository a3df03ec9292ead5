//! What the CPU port promises, over a small paged machine and real memory.

mod access;
mod atomic;
mod machine;

mod privilege;
mod trap;
