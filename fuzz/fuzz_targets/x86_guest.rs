//! x86 units with EPT against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("x86_guest", bytes).unwrap());
