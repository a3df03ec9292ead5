//! Stage 2 of AArch64, worked out by hand.

mod machine;
mod paths;
mod rules;
