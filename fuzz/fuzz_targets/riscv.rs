//! RISC-V units against the reference model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| emmu_verify::targets::run("riscv", bytes).unwrap());
