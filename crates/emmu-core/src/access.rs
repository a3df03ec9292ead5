//! What a CPU asks of its memory interface.

use crate::VirtAddr;
use core::fmt;

/// What an access does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum AccessKind {
    /// Reads an instruction.
    Fetch,
    /// Reads data. RISC-V's `lr` is a load.
    Load,
    /// Writes data. RISC-V's `sc` is a store.
    Store,
    /// Reads and writes the same bytes as one indivisible access; needs both permissions.
    Amo,
}

impl AccessKind {
    /// All four, in order.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Load, Self::Store, Self::Amo];

    /// Whether the access may change memory.
    #[must_use]
    #[inline]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Store | Self::Amo)
    }

    /// Whether the access delivers data to the program; a fetch does not count as one.
    #[must_use]
    #[inline]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Load | Self::Amo)
    }
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fetch => "fetch",
            Self::Load => "load",
            Self::Store => "store",
            Self::Amo => "amo",
        })
    }
}

/// The privilege with which an access is made or a register is touched, least first.
///
/// | emmu | RISC-V | x86 | AArch64 |
/// |---|---|---|---|
/// | `User` | U | CPL 3 | EL0 |
/// | `Supervisor` | S | CPL 0–2 | EL1 |
/// | `Machine` | M | – | – |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Privilege {
    /// Programs.
    User,
    /// The operating system.
    #[default]
    Supervisor,
    /// Firmware below the operating system.
    Machine,
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::User => "user",
            Self::Supervisor => "supervisor",
            Self::Machine => "machine",
        })
    }
}

bitflags::bitflags! {
    /// What else the CPU knows of an access, for the machines that look at it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct AccessFlags: u8 {
        /// The address was formed from the stack pointer: selects the stack segment where selection is
        /// implicit; on x86 a non-canonical address raises #SS instead of #GP.
        const STACK = 1 << 0;
        /// Made by the CPU itself, not by an instruction's operand (x86: a descriptor-table or TSS access,
        /// "implicit supervisor-mode access", Intel SDM Vol. 3, 5.6.1).
        const IMPLICIT = 1 << 1;
        /// Made in a virtual machine (RISC-V: V = 1), on machines where the hypervisor's own accesses take
        /// another way: both stages translate it.
        const GUEST = 1 << 2;
        /// A load that needs the right to execute instead of the right to read (RISC-V HLVX).
        const EXECUTABLE = 1 << 3;
        /// Made through the code segment though it is data (x86: the CS prefix).
        const CS = 1 << 4;
        /// Made through the extra segment (x86: the ES prefix, string destinations).
        const ES = 1 << 5;
        /// Made through segment FS (x86: the FS prefix).
        const FS = 1 << 6;
        /// Made through segment GS (x86: the GS prefix).
        const GS = 1 << 7;
    }
}

/// As its bits, all of which mean something.
#[cfg(feature = "serde")]
impl serde::Serialize for AccessFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for AccessFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Self::from_bits_truncate)
    }
}

/// One access of the CPU: where, how many bytes, what for and with which privilege.
///
/// ```
/// use emmu_core::{Access, AccessKind, Privilege, VirtAddr};
/// let access = Access::load(VirtAddr::new(0x1000), 8).with_privilege(Privilege::User);
/// assert_eq!(access.kind, AccessKind::Load);
/// assert_eq!(access.to_string(), "user load of 8 bytes at 0x1000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Access {
    /// First byte.
    pub addr: VirtAddr,
    /// Bytes, at least 1. An access may be longer than a register: a slice is one access.
    pub size: u32,
    /// What is done with the bytes.
    pub kind: AccessKind,
    /// With which privilege.
    pub privilege: Privilege,
    /// What else is known.
    pub flags: AccessFlags,
}

impl Access {
    /// A supervisor access without flags.
    #[must_use]
    #[inline]
    pub const fn new(kind: AccessKind, addr: VirtAddr, size: u32) -> Self {
        Self { addr, size, kind, privilege: Privilege::Supervisor, flags: AccessFlags::empty() }
    }

    /// A supervisor instruction fetch.
    #[must_use]
    #[inline]
    pub const fn fetch(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Fetch, addr, size)
    }

    /// A supervisor load.
    #[must_use]
    #[inline]
    pub const fn load(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Load, addr, size)
    }

    /// A supervisor store.
    #[must_use]
    #[inline]
    pub const fn store(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Store, addr, size)
    }

    /// A supervisor atomic read-modify-write.
    #[must_use]
    #[inline]
    pub const fn amo(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Amo, addr, size)
    }

    /// The same access with another privilege.
    #[must_use]
    #[inline]
    pub const fn with_privilege(self, privilege: Privilege) -> Self {
        Self { privilege, ..self }
    }

    /// The same access with these flags instead of its own.
    #[must_use]
    #[inline]
    pub const fn with_flags(self, flags: AccessFlags) -> Self {
        Self { flags, ..self }
    }

    /// The same access made to another place: one piece of it, or its repetition.
    #[must_use]
    #[inline]
    pub const fn at(self, addr: VirtAddr, size: u32) -> Self {
        Self { addr, size, ..self }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.size == 1 { "" } else { "s" };
        write!(f, "{} {} of {} byte{plural} at {}", self.privilege, self.kind, self.size, self.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_fits_in_two_registers() {
        assert_eq!(size_of::<Access>(), 16);
    }

    #[test]
    fn only_stores_and_amos_write() {
        let writing: std::vec::Vec<_> =
            AccessKind::ALL.into_iter().filter(|kind| kind.writes()).collect();
        assert_eq!(writing, [AccessKind::Store, AccessKind::Amo]);
    }
}
