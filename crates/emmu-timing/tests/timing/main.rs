//! Tests of the crate's public interface.

// This repeats what the manifest says, so that clippy treats the code that tests share as test code.
#![cfg(test)]

mod counters;
mod cycles;
mod documentation;
mod events;
mod machines;
mod own_policies;
mod sweep;
mod two_stages;
mod wrong_machines;
