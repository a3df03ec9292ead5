//! The tests of this crate in one binary, since each binary compiles and links all units again.
#![expect(clippy::unwrap_used, reason = "a test")]

mod bugs;
mod kernel;
mod own_format;
mod remembering;
mod silent;
mod toy;
mod two_stage;
mod words;
mod x86;
