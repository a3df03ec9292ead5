//! How a unit's translations come about: for tools that check or explain them, never asked on the way of an access.

use crate::{Asid, Invalidate, PhysAddr, RegisterId, RegisterInfo, VirtAddr, Width};
use alloc::vec::Vec;
use core::fmt;

/// Describes the table entries of one stage, the registers that lead to them, and the instructions that invalidate
/// what is cached of them.
///
/// Each format of tables describes itself once. Tools take the facts from here: a sanitizer looks for lost flags and
/// words the missing invalidation. [`Anatomy::new`] describes tables of which nothing is known.
///
/// ```
/// use emmu_core::{RegisterId, anatomy::{Anatomy, Dirty, Flags}};
///
/// const ROOT: RegisterId = RegisterId(7);
/// const ANATOMY: Anatomy =
///     Anatomy::new().with_flags(Flags::new(1 << 5, Dirty::Flag(1 << 6))).with_roots(&[ROOT]);
/// assert!(ANATOMY.flags.is_accessed(0x20) && !ANATOMY.flags.is_dirty(0x20));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Anatomy {
    /// The flags that record accesses and writes in leaf entries.
    pub flags: Flags,
    /// The registers that say where the tables are, or which address space or virtual machine they belong to.
    pub roots: &'static [RegisterId],
    /// The registers that the accesses of guests do not depend on, where the unit has a second stage.
    pub host_registers: &'static [RegisterId],
    /// The registers of this stage that only the accesses of guests depend on.
    pub guest_registers: &'static [RegisterId],
    /// The instructions that invalidate.
    pub fences: &'static Fences,
}

impl Anatomy {
    /// Describes tables of which nothing is known: no flags, no roots, and instructions without a name.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            flags: Flags::NONE,
            roots: &[],
            host_registers: &[],
            guest_registers: &[],
            fences: &Fences::UNNAMED,
        }
    }

    /// Returns this anatomy with these flags.
    #[must_use]
    pub const fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Returns this anatomy with these root registers.
    #[must_use]
    pub const fn with_roots(self, roots: &'static [RegisterId]) -> Self {
        Self { roots, ..self }
    }

    /// Returns this anatomy with registers that only the hypervisor's own accesses depend on, and registers that only
    /// the accesses of guests depend on.
    #[must_use]
    pub const fn with_owners(
        self,
        host_registers: &'static [RegisterId],
        guest_registers: &'static [RegisterId],
    ) -> Self {
        Self { host_registers, guest_registers, ..self }
    }

    /// Returns this anatomy with these instructions.
    #[must_use]
    pub const fn with_fences(self, fences: &'static Fences) -> Self {
        Self { fences, ..self }
    }
}

impl Default for Anatomy {
    fn default() -> Self {
        Self::new()
    }
}

/// The places of the accessed and the dirty flag in a leaf entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    accessed: u64,
    dirty: Dirty,
}

/// The encoding of the dirty state in a leaf entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dirty {
    /// The entry records no writes.
    #[default]
    None,
    /// The entry is dirty if this bit is set.
    Flag(u64),
    /// The entry is clean while the bits of `mask` read `clean`. The bits are rights as well: a change of them by
    /// software makes cached translations stale.
    Right {
        /// The bits that count.
        mask: u64,
        /// Their value in a clean entry.
        clean: u64,
    },
}

impl Flags {
    /// No flags at all.
    pub const NONE: Self = Self { accessed: 0, dirty: Dirty::None };

    /// The accessed flag is the bit of this mask, which is 0 if there is none.
    #[must_use]
    pub const fn new(accessed: u64, dirty: Dirty) -> Self {
        Self { accessed, dirty }
    }

    /// Returns whether the entry says that it was accessed. An entry without the flag always does.
    #[must_use]
    pub const fn is_accessed(self, raw: u64) -> bool {
        self.accessed == 0 || raw & self.accessed != 0
    }

    /// Returns whether the entry says that it was written. An entry without the flag always does.
    #[must_use]
    pub const fn is_dirty(self, raw: u64) -> bool {
        match self.dirty {
            Dirty::None => true,
            Dirty::Flag(bit) => raw & bit != 0,
            Dirty::Right { mask, clean } => raw & mask != clean,
        }
    }

    /// Returns the bits that a walk sets by itself: a change of them alone makes no cached translation stale.
    #[must_use]
    pub const fn walker_bits(self) -> u64 {
        match self.dirty {
            Dirty::Flag(bit) => self.accessed | bit,
            Dirty::None | Dirty::Right { .. } => self.accessed,
        }
    }
}

/// The instructions by which an architecture invalidates cached translations.
///
/// Two of them are equal if they have one name.
#[derive(Clone, Copy, Debug)]
pub struct Fences {
    /// The architecture's name.
    pub name: &'static str,
    /// Returns the narrowest invalidation that drops a stale translation.
    pub narrowest: fn(&Stale) -> Invalidate,
    /// Writes an invalidation as the instruction that asks for it.
    pub words: fn(Invalidate, &mut fmt::Formatter<'_>) -> fmt::Result,
}

impl Fences {
    /// Invalidations without an instruction set: a page in all address spaces, an address space or everything, each
    /// written as [`Invalidate`] writes itself.
    pub const UNNAMED: Self =
        Self { name: "", narrowest: any_page, words: |scope, f| write!(f, "{scope:?}") };
}

impl PartialEq for Fences {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Fences {}

fn any_page(stale: &Stale) -> Invalidate {
    stale.space_or(Invalidate::Page(stale.addr))
}

/// The change that made a cached first-stage translation stale, and the translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The change.
    pub change: Change,
    /// The virtual address.
    pub addr: VirtAddr,
    /// The address space.
    pub asid: Asid,
    /// The number by which invalidations know the guest's second-stage tables ([`Inspection::tables`]); `None` if no
    /// guest made the access.
    pub tables: Option<u64>,
    /// True if the translation holds in every address space.
    pub is_global: bool,
}

impl Stale {
    /// Returns the invalidation of the translation's whole address space, or of all of them if it is global.
    #[must_use]
    pub const fn whole_space(&self) -> Invalidate {
        if self.is_global { Invalidate::All } else { Invalidate::Asid(self.asid) }
    }

    /// Returns the invalidation of the whole address space where the root has changed, and `page` where an entry has.
    #[must_use]
    pub const fn space_or(&self, page: Invalidate) -> Invalidate {
        match self.change {
            Change::Root => self.whole_space(),
            Change::Leaf | Change::Table => page,
        }
    }
}

/// The change that made a cached translation stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The entry that maps the page.
    Leaf,
    /// An entry that names a table on the way to the page.
    Table,
    /// A register that says where the tables are.
    Root,
}

/// The anatomy of a unit with one stage or two.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UnitAnatomy {
    /// The tables of virtual addresses.
    pub first: Anatomy,
    /// The tables of guest-physical addresses, if the unit has a second stage.
    pub second: Option<SecondAnatomy>,
}

impl UnitAnatomy {
    /// The anatomy of a unit with these stages.
    #[must_use]
    pub const fn new(first: Anatomy, second: Option<SecondAnatomy>) -> Self {
        Self { first, second }
    }
}

/// The anatomy of second-stage tables.
#[derive(Clone, Copy, Debug)]
pub struct SecondAnatomy {
    /// The tables.
    pub tables: Anatomy,
    /// The registers of the stage.
    pub registers: &'static [RegisterInfo],
    /// True if an invalidation of the stage can name a page.
    pub names_pages: bool,
    /// True if the walk caches of the first stage outlive invalidations of this stage. Then an invalidation of
    /// the first stage must follow if a table of the first stage has moved.
    pub walk_caches_apart: bool,
}

/// The stage that a table entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The entry translates a virtual address.
    First,
    /// The entry translates this guest-physical address.
    Second(PhysAddr),
}

/// The table entries by which the answer to an access comes about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The address space that the access is made in.
    pub asid: Asid,
    /// The number by which invalidations know the second-stage tables in force (a VMID, or on x86 an EPTP), if a guest
    /// makes the access.
    pub tables: Option<u64>,
    /// True if the first-stage translation holds in every address space.
    pub is_global: bool,
    /// The entries in the order in which a walk without caches reads them: before each entry of the first stage those
    /// of the second stage that lead to it, and at last those of the second stage that lead to the page.
    pub entries: Vec<InspectedEntry>,
}

impl Inspection {
    /// The inspection of an access in this address space, of a guest with these second-stage tables or of no guest,
    /// without entries.
    #[must_use]
    pub const fn new(asid: Asid, tables: Option<u64>) -> Self {
        Self { asid, tables, is_global: false, entries: Vec::new() }
    }
}

/// A table entry that a walk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectedEntry {
    /// Its physical address.
    pub addr: PhysAddr,
    /// Its width.
    pub width: Width,
    /// Its bits.
    pub raw: u64,
    /// Its level, as [`Event::EntryRead`](crate::Event::EntryRead) numbers levels.
    pub level: u8,
    /// Its stage.
    pub stage: Stage,
    /// True if the entry maps a page, and so ends the walk of its stage.
    pub is_leaf: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// Wraps an invalidation, to be written in an architecture's words.
    struct Worded(Invalidate);

    impl fmt::Display for Worded {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (Fences::UNNAMED.words)(self.0, f)
        }
    }

    #[test]
    fn a_dirty_state_that_is_a_right_is_no_bit_of_the_walker() {
        let flags = Flags::new(1 << 10, Dirty::Right { mask: 0b11, clean: 0b10 });
        assert!(!flags.is_dirty(0b10) && flags.is_dirty(0b11) && flags.is_dirty(0));
        assert_eq!(flags.walker_bits(), 1 << 10);
        assert_eq!(Flags::new(1, Dirty::Flag(2)).walker_bits(), 3);
    }

    #[test]
    fn an_entry_without_flags_lacks_none() {
        assert!(Flags::NONE.is_accessed(0) && Flags::NONE.is_dirty(0));
        assert_eq!(Flags::NONE.walker_bits(), 0);
    }

    #[test]
    fn without_an_instruction_set_the_scope_is_written() {
        let (addr, asid) = (VirtAddr::new(0x4000), Asid(3));
        let stale = |change, is_global| Stale { change, addr, asid, tables: None, is_global };
        let narrowest = |change, is_global| (Fences::UNNAMED.narrowest)(&stale(change, is_global));
        assert_eq!(narrowest(Change::Leaf, false), Invalidate::Page(addr));
        assert_eq!(narrowest(Change::Root, true), Invalidate::All);
        assert_eq!(Worded(narrowest(Change::Root, false)).to_string(), "Asid(Asid(3))");
    }
}
