//! The tests of this crate in one binary.

mod behaviour;
mod reference;
mod table;
mod table_machine;
mod textbook;
