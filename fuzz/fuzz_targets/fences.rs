//! Fences of units of two stages against the reference models.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("fences", bytes).unwrap());
