//! AArch64 units with stage 2 against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(
    |bytes: &[u8]| emmu_verify::targets::run("aarch64_guest", bytes).unwrap()
);
