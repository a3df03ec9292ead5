//! Units of hashed page tables at two stages against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |bytes: &[u8]| emmu_verify::targets::run("hashed_guest", bytes).unwrap()
);
