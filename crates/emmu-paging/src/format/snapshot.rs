//! Sets of bits in snapshots: as numbers, of which those with other bits are refused.

use super::{aarch64, described, riscv, x86};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! as_numbers {
    ($($flags:ty: $bits:ty),* $(,)?) => {$(
        impl Serialize for $flags {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.bits().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $flags {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bits = <$bits>::deserialize(deserializer)?;
                Self::from_bits(bits).ok_or_else(|| {
                    D::Error::custom(format_args!("{}: no such bits in {bits:#x}", stringify!($flags)))
                })
            }
        }
    )*};
}

as_numbers! {
    riscv::Permissions: u8,
    riscv::Extensions: u8,
    riscv::Status: u64,
    riscv::EnvConfig: u64,
    x86::Permissions: u8,
    x86::EptRights: u8,
    x86::Cr0: u64,
    x86::Cr4: u64,
    x86::Efer: u64,
    aarch64::Permissions: u8,
    aarch64::S2Permissions: u8,
    described::Permissions: u8,
}
