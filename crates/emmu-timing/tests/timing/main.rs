//! The crate as its users see it.

// Said once more, so that clippy takes what tests share for tests.
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
