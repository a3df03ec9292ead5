//! Units of hashed page tables against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("hashed", bytes).unwrap());
