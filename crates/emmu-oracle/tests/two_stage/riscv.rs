//! The hypervisor extension of RISC-V, worked out by hand.

mod cases;
mod machine;
mod paths;
mod rules;
