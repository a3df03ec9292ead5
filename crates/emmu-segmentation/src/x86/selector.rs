//! Segment selectors (Intel SDM Vol. 3A, 3.4.2).

use core::fmt;

/// A segment selector.
///
/// ```text
/// 15 ................ 3 | 2  | 1 0
/// index of the descriptor | TI | RPL
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Selector(pub u16);

impl Selector {
    /// Returns the low 16 bits of a wider register, as MOV takes them.
    #[must_use]
    pub const fn of_register(value: u64) -> Self {
        let [low, high, ..] = value.to_le_bytes();
        Self(u16::from_le_bytes([low, high]))
    }

    /// Which descriptor of the table.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0 >> 3
    }

    /// TI: whether the table is the LDT.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 & 4 != 0
    }

    /// The requested privilege level, 0 to 3.
    #[must_use]
    pub const fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Returns true if the selector names the first descriptor of the GDT, which no segment has.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 & !3 == 0
    }

    /// Returns this selector with another requested privilege level.
    #[must_use]
    pub const fn with_rpl(self, rpl: u8) -> Self {
        Self(self.0 & !3 | (rpl & 3) as u16)
    }

    /// As an exception's error code tells of it: without the RPL, in whose place are EXT and IDT, both 0 (Intel SDM
    /// Vol. 3A, "Error Code").
    #[must_use]
    pub const fn error_code(self) -> u16 {
        self.0 & !3
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
