//! EPT, worked out by hand.

mod machine;
mod paths;
mod rules;
