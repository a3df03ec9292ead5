//! Runs properties on random cases with quickcheck, and prints the seed that repeats them.
//!
//! Models: nothing. It is how emmu's own tests run [quickcheck]: every run draws new cases, and a property that fails
//! says which seed it began with, so that `EMMU_SEED=… cargo test …` fails in the same way.
//!
//! | variable | what it sets | if it is not set |
//! |---|---|---|
//! | `EMMU_SEED` | the seed of all properties, as `12` or `0xc` | one is drawn |
//! | `QUICKCHECK_TESTS` | how many cases each property gets | as many as the test asks for |
//!
//! Tests that run vectors find the files by [`vector_files`].
//!
//! Which one you want: [`quickcheck!`] for a property with a name and a hundred cases, [`check`] to say how many cases,
//! [`Cases`] to say how large they are, too.
//!
//! ```
//! use emmu_property::check;
//! check(1000, (|a, b| a ^ b == b ^ a) as fn(u64, u64) -> bool);
//! ```
//!
//! [quickcheck]: https://docs.rs/quickcheck

mod vectors;

pub use quickcheck::{Arbitrary, Gen, TestResult, Testable, empty_shrinker, single_shrinker};
pub use vectors::{VectorFile, vector_files, vector_files_named};

use quickcheck::QuickCheck;
use std::{
    env::{self, VarError},
    hash::{BuildHasher, RandomState},
    num::ParseIntError,
    sync::OnceLock,
};

/// The seed of this process's properties, if it is to be another than a new one.
const SEED: &str = "EMMU_SEED";
/// How many cases each property gets, if it is to be another number than the test says.
const TESTS: &str = "QUICKCHECK_TESTS";

/// How many cases a property gets, and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cases {
    /// How many must hold. A hundred times as many are tried, where a property discards some.
    pub number: u64,
    /// The size of [`Gen`]: the length of the longest collections, for one.
    pub size: usize,
}

impl Default for Cases {
    fn default() -> Self {
        Self { number: 100, size: 100 }
    }
}

impl Cases {
    /// Runs the property on them, and prints the seed first: the test runner shows it if the property fails.
    ///
    /// # Panics
    /// If it fails, as quickcheck does: a test is what calls this. If a variable of the environment is no number.
    pub fn hold(self, property: impl Testable) {
        let seed = seed();
        println!("{SEED}={seed:#x} draws these cases again");
        let number = number_of(TESTS).unwrap_or(self.number);
        QuickCheck::new()
            .rng(Gen::from_size_and_seed(self.size, seed))
            .tests(number)
            .max_tests(number.saturating_mul(100))
            .quickcheck(property);
    }
}

/// Runs a property on so many cases of the usual size.
///
/// # Panics
/// As [`Cases::hold`].
pub fn check(number: u64, property: impl Testable) {
    Cases { number, ..Cases::default() }.hold(property);
}

/// A test of each of these properties, on a hundred cases.
///
/// ```
/// emmu_property::quickcheck! {
///     fn a_list_reversed_twice_is_itself(list: Vec<u8>) -> bool {
///         list.iter().rev().rev().eq(&list)
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! quickcheck {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $outcome:ty $body:block
    )*) => {$(
        #[test]
        $(#[$attribute])*
        fn $name() {
            fn property($($argument: $type),*) -> $outcome $body
            $crate::Cases::default().hold(property as fn($($type),*) -> $outcome);
        }
    )*};
}

/// The seed of this process.
fn seed() -> u64 {
    static SEED_OF_PROCESS: OnceLock<u64> = OnceLock::new();
    *SEED_OF_PROCESS
        .get_or_init(|| number_of(SEED).unwrap_or_else(|| RandomState::new().hash_one(SEED)))
}

/// The number that a variable of the environment is set to.
#[expect(clippy::panic, reason = "a run by another seed than the one asked for would say nothing")]
fn number_of(variable: &str) -> Option<u64> {
    let text = match env::var(variable) {
        Ok(text) => text,
        Err(VarError::NotPresent) => return None,
        Err(VarError::NotUnicode(text)) => panic!("{variable}={}: not a number", text.display()),
    };
    Some(parse(&text).unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// A number in decimal, or in hexadecimal behind `0x`.
fn parse(text: &str) -> Result<u64, ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, panic};

    /// The cases that a property gets in this process.
    fn drawn() -> Vec<u64> {
        thread_local!(static DRAWN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) });
        check(50, (|case| DRAWN.with_borrow_mut(|drawn| drawn.push(case))) as fn(u64));
        DRAWN.take()
    }

    #[test]
    fn one_seed_draws_the_same_cases_again() {
        let cases = drawn();
        assert!(cases.len() >= 50);
        assert_eq!(cases, drawn());
    }

    #[test]
    fn cases_differ_from_each_other() {
        let mut cases = drawn();
        let drawn = cases.len();
        cases.sort_unstable();
        cases.dedup();
        assert!(cases.len() > drawn / 2, "{} of {drawn}", cases.len());
    }

    #[test]
    fn a_property_that_does_not_hold_fails() {
        let fails =
            |property: fn(u64) -> bool| panic::catch_unwind(|| check(100, property)).is_err();
        assert!(fails(|case| case % 2 == 0));
        assert!(!fails(|_| true));
    }

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        assert_eq!(parse("12"), Ok(12));
        assert_eq!(parse("0xffffffffffffffff"), Ok(u64::MAX));
        for wrong in ["", "0x", "-1", "twelve", "0x10000000000000000"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    quickcheck! {
        fn numbers_are_what_they_are_written_as(number: u64) -> bool {
            parse(&number.to_string()) == Ok(number) && parse(&format!("{number:#x}")) == Ok(number)
        }
    }
}
