//! The hypervisor extension of RISC-V, worked out by hand.

mod machine;
mod paths;
mod rules;
