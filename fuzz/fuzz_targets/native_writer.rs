//! References through the native writer and back.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |bytes: &[u8]| emmu_verify::targets::run("native_writer", bytes).unwrap()
);
