//! Sets of bits in snapshots are numbers. Each format's own snapshots say which sets it has.

/// Writes sets of bits as numbers, and refuses numbers with other bits.
macro_rules! as_numbers {
    ($($flags:ty: $bits:ty),* $(,)?) => {$(
        impl serde::Serialize for $flags {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.bits().serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $flags {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bits = <$bits as serde::Deserialize>::deserialize(deserializer)?;
                Self::from_bits(bits).ok_or_else(|| {
                    serde::de::Error::custom(format_args!("{}: no such bits in {bits:#x}", stringify!($flags)))
                })
            }
        }
    )*};
}

pub(crate) use as_numbers;
