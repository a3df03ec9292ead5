//! Stage 2 of AArch64, worked out by hand.

mod cases;
mod machine;
mod paths;
mod rules;
