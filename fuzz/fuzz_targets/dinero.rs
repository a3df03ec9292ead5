//! Dinero's text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("dinero", bytes).unwrap());
