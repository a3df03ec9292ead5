//! Random descriptors, loads and accesses.

use emmu_check::targets;
use quickcheck::{Gen, QuickCheck};

#[test]
fn descriptors_of_any_bits_are_loaded_and_used_without_surprise() {
    let property: fn(Vec<u8>) -> Result<(), String> = |bytes| targets::descriptors(&bytes);
    QuickCheck::new().rng(Gen::new(4000)).tests(300).quickcheck(property);
}
