//! x86 units against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("x86", bytes).unwrap());
