//! Memory managers whose data somebody else writes to.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("heap", bytes).unwrap());
