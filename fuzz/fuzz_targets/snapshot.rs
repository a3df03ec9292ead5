//! Units out of snapshots that may be damaged.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("snapshot", bytes).unwrap());
