//! Random descriptors, loads and accesses.

use emmu_property::Cases;
use emmu_verify::targets;

#[test]
fn descriptors_of_any_bits_are_loaded_and_used_without_surprise() {
    let property: fn(Vec<u8>) -> Result<(), String> = |bytes| targets::descriptors(&bytes);
    Cases { number: 300, size: 4000 }.hold(property);
}
