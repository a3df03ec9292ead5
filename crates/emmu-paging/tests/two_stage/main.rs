//! Two stages: how many references a walk makes, which faults there are, and what is forgotten.
#![expect(clippy::unwrap_used, reason = "a test")]

mod beyond;
mod counts;
mod faults;
mod forget;
mod hashed;
mod tables;
