//! Units of hashed page tables against the reference model.
#![no_main]

use emmu_verify::targets::walk;
use emmu_oracle::hashed::Registers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| walk::<Registers>(bytes).unwrap());
