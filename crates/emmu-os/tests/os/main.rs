//! The tests of this crate in one binary, since each binary compiles and links all units again.
#![expect(clippy::unwrap_used, reason = "a test")]

mod boot;
mod common;
mod early;
mod granules;
mod growth;
mod image;
mod isolation;
mod lives;
mod memory;
mod port;
mod protection;
mod safety;
mod scenarios;
mod toy;
mod transparency;
