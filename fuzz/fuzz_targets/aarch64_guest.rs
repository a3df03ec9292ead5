//! AArch64 units with stage 2 against the reference model.
#![no_main]

use emmu_verify::targets::walk;
use emmu_oracle::aarch64::stage2::Registers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| walk::<Registers>(bytes).unwrap());
