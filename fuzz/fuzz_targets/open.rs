//! Inputs that tell their own format and compression.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("open", bytes).unwrap());
