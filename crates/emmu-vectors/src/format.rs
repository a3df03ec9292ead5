//! Which page tables a vector has.

use core::fmt;

/// A format of page tables, named as the vectors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `riscv-sv32`.
    Sv32,
    /// `riscv-sv39`.
    Sv39,
    /// `riscv-sv48`.
    Sv48,
    /// `riscv-sv57`.
    Sv57,
    /// `x86-32`.
    X86Bits32,
    /// `x86-pae`.
    X86Pae,
    /// `x86-64-4level`.
    X86Level4,
    /// `x86-64-5level`.
    X86Level5,
    /// `aarch64-4k-48` and the like: granule, and bits of virtual address in each half.
    AArch64 {
        /// The translation granule of both halves.
        granule: Granule,
        /// Bits of virtual address, 16 to 48: 64 − T0SZ and 64 − T1SZ.
        va_bits: u32,
    },
}

/// An AArch64 translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granule {
    /// 4 KiB.
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

const NAMED: [(Format, &str); 8] = [
    (Format::Sv32, "riscv-sv32"),
    (Format::Sv39, "riscv-sv39"),
    (Format::Sv48, "riscv-sv48"),
    (Format::Sv57, "riscv-sv57"),
    (Format::X86Bits32, "x86-32"),
    (Format::X86Pae, "x86-pae"),
    (Format::X86Level4, "x86-64-4level"),
    (Format::X86Level5, "x86-64-5level"),
];

const GRANULES: [(Granule, &str); 3] =
    [(Granule::K4, "4k"), (Granule::K16, "16k"), (Granule::K64, "64k")];

impl Format {
    /// The format of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = NAMED.into_iter().find(|(_, known)| *known == name);
        named.map(|(format, _)| format).or_else(|| Self::aarch64_from_name(name))
    }

    fn aarch64_from_name(name: &str) -> Option<Self> {
        let (size, bits) = name.strip_prefix("aarch64-")?.split_once('-')?;
        let (granule, _) = GRANULES.into_iter().find(|(_, known)| *known == size)?;
        // Two digits, so that every format has one name.
        let va_bits = bits.parse().ok().filter(|va_bits| bits.len() == 2 && *va_bits <= 48)?;
        (va_bits >= 16).then_some(Self::AArch64 { granule, va_bits })
    }

    /// Bytes in a table entry.
    #[must_use]
    pub fn entry_size(self) -> u8 {
        match self {
            Self::Sv32 | Self::X86Bits32 => 4,
            _ => 8,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::AArch64 { granule, va_bits } = self {
            return write!(f, "aarch64-{granule}-{va_bits}");
        }
        let name = NAMED.iter().find(|(format, _)| format == self).map(|(_, name)| *name);
        f.pad(name.unwrap_or_default())
    }
}

impl fmt::Display for Granule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = GRANULES.iter().find(|(granule, _)| granule == self).map(|(_, name)| *name);
        f.pad(name.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_printed_by_the_name_it_was_found_by() {
        for name in ["riscv-sv32", "x86-64-5level", "aarch64-4k-48", "aarch64-64k-42"] {
            let format = Format::from_name(name).unwrap();
            assert_eq!(format.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_no_formats() {
        for name in ["", "riscv", "x86", "aarch64-8k-48", "aarch64-4k-52", "aarch64-4k-048"] {
            assert_eq!(Format::from_name(name), None, "{name}");
        }
    }
}
