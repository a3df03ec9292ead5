//! The tests of this crate in one binary.
#![expect(clippy::unwrap_used, reason = "a test")]

mod behaviour;
mod reference;
mod table;
mod table_machine;
mod textbook;
