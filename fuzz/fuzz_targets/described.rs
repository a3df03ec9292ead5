//! Units of described formats against the reference model.
#![no_main]

use emmu_verify::targets::walk;
use emmu_oracle::described::Registers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| walk::<Registers>(bytes).unwrap());
