//! EPT, worked out by hand.

mod cases;
mod machine;
mod paths;
mod rules;
