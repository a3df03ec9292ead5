//! What units remember while tables and registers change.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("coherent", bytes).unwrap());
