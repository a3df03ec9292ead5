//! Checks the cached translations of units while tables and registers change.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("coherent", bytes).unwrap());
