//! Accesses: the requests that a CPU makes of its memory interface.

use crate::VirtAddr;
use core::fmt;

/// The kinds of access, by what they do with the bytes.
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
    /// Reads and writes the same bytes as one indivisible access. It needs both permissions.
    Amo,
}

impl AccessKind {
    /// All four kinds, in order.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Load, Self::Store, Self::Amo];

    /// Returns true if the access may change memory.
    #[must_use]
    #[inline]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Store | Self::Amo)
    }

    /// Returns true if the access delivers data to the program. A fetch does not: it delivers an instruction.
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

/// The privilege of an access, or the privilege that a register demands; the least privileged comes first.
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
    /// The privilege of programs.
    User,
    /// The privilege of the operating system.
    #[default]
    Supervisor,
    /// The privilege of firmware, below the operating system.
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
    /// Further facts about an access. Only some machines look at them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct AccessFlags: u8 {
        /// The program formed the address from its stack pointer. Where segments are selected implicitly, the
        /// flag selects the stack segment; on x86 a non-canonical address then raises #SS instead of #GP.
        const STACK = 1 << 0;
        /// The CPU makes the access for itself, not for an operand of an instruction (x86: an access to a
        /// descriptor table or TSS, "implicit supervisor-mode access", Intel SDM Vol. 3, 5.6.1).
        const IMPLICIT = 1 << 1;
        /// A virtual machine makes the access (RISC-V: V = 1), so that both stages translate it. Only machines
        /// where the hypervisor's own accesses are translated otherwise look at this flag.
        const GUEST = 1 << 2;
        /// The access is a load that needs the right to execute instead of the right to read (RISC-V HLVX).
        const EXECUTABLE = 1 << 3;
        /// The access goes through the code segment although it is data (x86: the CS prefix).
        const CS = 1 << 4;
        /// The access goes through the extra segment (x86: the ES prefix, string destinations).
        const ES = 1 << 5;
        /// The access goes through segment FS (x86: the FS prefix).
        const FS = 1 << 6;
        /// The access goes through segment GS (x86: the GS prefix).
        const GS = 1 << 7;
    }
}

/// Writes the flags as a number. Each of its eight bits is a flag.
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

/// One access of the CPU: its address, its size in bytes, its kind and its privilege.
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
    /// The address of the first byte.
    pub addr: VirtAddr,
    /// The number of bytes, at least 1. An access may be longer than a register: a slice is one access.
    pub size: u32,
    /// The kind: what the access does with the bytes.
    pub kind: AccessKind,
    /// The privilege with which the access is made.
    pub privilege: Privilege,
    /// Further facts about the access.
    pub flags: AccessFlags,
}

impl Access {
    /// Makes a supervisor access without flags.
    #[must_use]
    #[inline]
    pub const fn new(kind: AccessKind, addr: VirtAddr, size: u32) -> Self {
        Self { addr, size, kind, privilege: Privilege::Supervisor, flags: AccessFlags::empty() }
    }

    /// Makes a supervisor instruction fetch.
    #[must_use]
    #[inline]
    pub const fn fetch(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Fetch, addr, size)
    }

    /// Makes a supervisor load.
    #[must_use]
    #[inline]
    pub const fn load(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Load, addr, size)
    }

    /// Makes a supervisor store.
    #[must_use]
    #[inline]
    pub const fn store(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Store, addr, size)
    }

    /// Makes a supervisor atomic read-modify-write.
    #[must_use]
    #[inline]
    pub const fn amo(addr: VirtAddr, size: u32) -> Self {
        Self::new(AccessKind::Amo, addr, size)
    }

    /// Returns this access with another privilege.
    #[must_use]
    #[inline]
    pub const fn with_privilege(self, privilege: Privilege) -> Self {
        Self { privilege, ..self }
    }

    /// Returns this access with these flags instead of its own.
    #[must_use]
    #[inline]
    pub const fn with_flags(self, flags: AccessFlags) -> Self {
        Self { flags, ..self }
    }

    /// Returns this access with another address and size. A caller makes so the pieces of an access, or its
    /// repetition.
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
