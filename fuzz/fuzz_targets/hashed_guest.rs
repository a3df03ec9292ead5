//! Units of hashed page tables at two stages against the reference model.
#![no_main]

use emmu_verify::targets::walk;
use emmu_oracle::hashed::Guest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| walk::<Guest>(bytes).unwrap());
