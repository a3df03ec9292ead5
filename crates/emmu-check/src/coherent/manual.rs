//! What an architecture's manual says of caching translations.

use super::EntryRead;
use crate::Architecture;
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege, RegisterId, VirtAddr};
use emmu_oracle::reference::SparseMemory;

/// What an architecture's manual says of caching translations.
pub trait Manual: Architecture<Second = ()> + PartialEq {
    /// What an invalidation of one page does to walk caches.
    const PAGE_FORGETS: Forgets;

    /// Bits of an entry whose change means something else.
    const BITS: &'static [u64];

    /// The privilege whose accesses are to physical addresses, if there is one.
    const UNTRANSLATED: Option<Privilege>;

    /// The address as a number by which pages can be told apart.
    fn place(&self, addr: VirtAddr) -> u64 {
        addr.raw()
    }

    /// At which of several first tables the walk for an address starts.
    fn which_root(&self, addr: VirtAddr) -> u64 {
        let _ = addr;
        0
    }

    /// The present address space.
    fn asid(&self) -> Asid;

    /// Whether a translation by these entries, the root's first, holds in every address space.
    fn is_global(&self, path: &[EntryRead]) -> bool;

    /// The table at which walks start, and its size in bytes.
    fn root(&self) -> (PhysAddr, u64);

    /// These registers, but with root and address space as they were `then`.
    #[must_use]
    fn with_root_of(&self, then: &Self) -> Self;

    /// These registers without physical memory protection: of what it refuses, the tables may be remembered.
    #[must_use]
    fn unprotected(&self) -> Self {
        self.clone()
    }

    /// Changes a register by these numbers, as software may; `other` is where there is a copy of the first root.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        roots: [PhysAddr; 2],
        memory: &SparseMemory,
    ) -> Option<Turn>;
}

/// Which entries of walk caches an invalidation of one page covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgets {
    /// None.
    Nothing,
    /// Those for tables on the way to the page.
    OnTheWay,
    /// Those on the way, and all of the present address space.
    AddressSpace,
}

/// A register write, and what it invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The register.
    pub id: RegisterId,
    /// The value.
    pub value: u64,
    /// What the manual says that the write invalidates.
    pub invalidates: Option<Invalidate>,
}

impl Turn {
    /// A write that invalidates nothing.
    pub(super) const fn plain(id: RegisterId, value: u64) -> Self {
        Self { id, value, invalidates: None }
    }
}
