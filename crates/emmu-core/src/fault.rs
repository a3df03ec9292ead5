//! Faults: the reasons why a translation was refused, before an architecture gives them its own numbers.

use crate::{Access, AccessKind, BusError, PhysAddr, VirtAddr};
use core::fmt;
use thiserror::Error;

/// A refused access: the access, the byte that failed, the cause, and the table entry that decided it.
///
/// A fault is a value, not yet an exception: one table per architecture turns it into `scause`/`stval`, a #PF
/// error code and CR2, or ESR and FAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fault {
    /// The access as the CPU made it.
    pub access: Access,
    /// The first byte of the access that could not be translated or reached.
    pub addr: VirtAddr,
    /// The cause of the refusal.
    pub cause: Cause,
    /// The table entry that decided the fault. Units without tables have none.
    pub entry: Option<FaultEntry>,
    /// The access that the second stage refused, if that stage raised the fault. Then `entry` is an entry of
    /// the second stage.
    pub guest: Option<GuestAccess>,
}

impl Fault {
    /// Makes a fault at the first byte of `access` that no table entry decided.
    #[must_use]
    pub const fn new(access: Access, cause: Cause) -> Self {
        Self { access, addr: access.addr, cause, entry: None, guest: None }
    }

    /// Returns this fault with the entry that decided it.
    #[must_use]
    pub const fn with_entry(self, entry: FaultEntry) -> Self {
        Self { entry: Some(entry), ..self }
    }

    /// Returns this fault as one that the second stage raised for this guest-physical address.
    #[must_use]
    pub const fn with_guest(self, guest: GuestAccess) -> Self {
        Self { guest: Some(guest), ..self }
    }

    /// Returns this fault for the larger access that contains the faulting piece. The faulting byte stays the
    /// same.
    #[must_use]
    pub const fn within(self, access: Access) -> Self {
        Self { access, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.access, self.cause)?;
        if self.addr != self.access.addr {
            write!(f, ", first at {}", self.addr)?;
        }
        match (self.entry, self.guest) {
            (Some(entry), Some(guest)) => write!(f, " ({guest}; {entry})"),
            (Some(entry), None) => write!(f, " ({entry})"),
            (None, Some(guest)) => write!(f, " ({guest})"),
            (None, None) => Ok(()),
        }
    }
}

/// An access to guest-physical memory: the first of two stages makes it, and the second translates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuestAccess {
    /// The guest-physical address (Arm: intermediate physical address).
    pub addr: PhysAddr,
    /// The kind of access. The walker of the first stage loads an entry, or stores the flags of one.
    pub kind: AccessKind,
    /// True if the walk of the first stage accesses its own tables; false if it is the access itself.
    pub walk: bool,
    /// The rights that the entries of the second stage grant, as far as the walk read them: bit 0 read, bit 1
    /// write, bit 2 execute. It is 0 if an entry was absent.
    pub rights: u8,
}

impl fmt::Display for GuestAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.walk { "table entry" } else { "data" };
        write!(f, "second stage, {} of the {what} at guest-physical {}", self.kind, self.addr)
    }
}

/// The table entry that decided a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FaultEntry {
    /// The level of the entry; 0 is the level of the smallest pages.
    pub level: u8,
    /// The physical address of the entry. If the entry belongs to the first of two stages, the address is
    /// guest-physical.
    pub addr: PhysAddr,
    /// The bits of the entry, or `None` if the bus refused to read it.
    pub raw: Option<u64>,
}

impl fmt::Display for FaultEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} entry at {}", self.level, self.addr)?;
        match self.raw {
            Some(raw) => write!(f, " holds {raw:#x}"),
            None => write!(f, " could not be read"),
        }
    }
}

/// The causes of a fault. Each manual groups them in its own way; the exception table of each architecture does
/// so too.
///
/// Later versions may add causes. An exception table reports a cause that it does not know as an absent mapping. Its
/// test visits every cause in [`Cause::ALL`], so that a new cause is looked up in the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Cause {
    /// The address is outside the virtual address space: not canonical, or beyond the configured width.
    #[error("the address is outside the virtual address space")]
    NonCanonical,
    /// A register switches off walks for this half of the address space.
    #[error("translation table walks are disabled for this address")]
    WalkDisabled,
    /// The address is at or above the bound of the space or segment.
    #[error("the address is out of bounds")]
    Bounds,
    /// No segment has this selector.
    #[error("the selector names no segment")]
    NoSegment,
    /// The entry or segment is not valid, or not present.
    #[error("nothing is mapped there")]
    Absent,
    /// The entry is valid, but has reserved bits set or a reserved combination of bits.
    #[error("the entry has reserved bits or a reserved combination set")]
    Reserved,
    /// The address of a superpage or table is not aligned to its size.
    #[error("the superpage is misaligned")]
    Misaligned,
    /// The mapping does not allow this kind of access, or not with this privilege.
    #[error("permission denied")]
    Permission,
    /// The mapping allows reading these bytes, but not writing them.
    #[error("the mapping is read-only")]
    ReadOnly,
    /// The page's protection key forbids the access.
    #[error("the protection key forbids it")]
    ProtectionKey,
    /// The accessed flag is clear, and hardware does not set it.
    #[error("the accessed flag is clear")]
    AccessFlag,
    /// The dirty flag is clear on a write, and hardware does not set it.
    #[error("the dirty flag is clear")]
    DirtyFlag,
    /// An output address is wider than the machine's physical addresses.
    #[error("the output address is wider than physical addresses")]
    AddressSize,
    /// Physical memory protection forbids it.
    #[error("physical memory protection forbids it")]
    Protection,
    /// The bus refused the access, or a read of a table if the fault names an entry.
    #[error("{0}")]
    Bus(#[from] BusError),
}

impl Cause {
    /// Every cause once, in the order in which reports list them. [`Cause::Bus`] stands for all refusals of the bus.
    pub const ALL: &'static [Self] = &[
        Self::NonCanonical,
        Self::WalkDisabled,
        Self::Bounds,
        Self::NoSegment,
        Self::Absent,
        Self::Reserved,
        Self::Misaligned,
        Self::Permission,
        Self::ReadOnly,
        Self::ProtectionKey,
        Self::AccessFlag,
        Self::DirtyFlag,
        Self::AddressSize,
        Self::Protection,
        Self::Bus(BusError::Unmapped { addr: PhysAddr::ZERO }),
    ];

    /// Returns the name of the cause in reports. All refusals of the bus have one name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // A new cause has a place in `ALL`, too.
        match self {
            Self::NonCanonical => "non_canonical",
            Self::WalkDisabled => "walk_disabled",
            Self::Bounds => "bounds",
            Self::NoSegment => "no_segment",
            Self::Absent => "absent",
            Self::Reserved => "reserved",
            Self::Misaligned => "misaligned",
            Self::Permission => "permission",
            Self::ReadOnly => "read_only",
            Self::ProtectionKey => "protection_key",
            Self::AccessFlag => "access_flag",
            Self::DirtyFlag => "dirty_flag",
            Self::AddressSize => "address_size",
            Self::Protection => "protection",
            Self::Bus(_) => "bus",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, string::ToString};

    #[test]
    fn a_fault_names_access_cause_byte_and_entry() {
        let access = Access::store(VirtAddr::new(0xfff), 2);
        let fault = Fault { addr: VirtAddr::new(0x1000), ..Fault::new(access, Cause::Absent) }
            .with_entry(FaultEntry { level: 0, addr: PhysAddr::new(0x8008), raw: Some(0) });
        assert_eq!(
            fault.to_string(),
            "supervisor store of 2 bytes at 0xfff: nothing is mapped there, first at 0x1000 \
             (level 0 entry at 0x8008 holds 0x0)"
        );
    }

    #[test]
    fn no_two_causes_have_one_name() {
        let names: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
    }

    #[test]
    fn the_larger_access_keeps_the_faulting_byte() {
        let whole = Access::load(VirtAddr::new(0x0ff8), 16);
        let piece = Fault::new(whole.at(VirtAddr::new(0x1000), 8), Cause::Absent);
        let fault = piece.within(whole);
        assert_eq!((fault.access, fault.addr), (whole, VirtAddr::new(0x1000)));
    }
}
