//! `Manual`: the rules of an architecture's manual about cached translations.

use super::{EntryRead, Query, Space};
use crate::{Architecture, Run, recording};
use emmu_core::{Access, Asid, Invalidate, PhysAddr, Privilege, RegisterId, VirtAddr};
use emmu_oracle::{
    Memory, Outcome,
    reference::SparseMemory,
    two_stage::{Beyond, Nested, Visit},
};

/// The rules of an architecture's manual about cached translations, of one stage or of two.
pub trait Manual: Architecture + PartialEq {
    /// The walk-cache entries that an invalidation of one page covers: those of the first stage, and, if it is a page
    /// of guest-physical addresses, of the second.
    const PAGE_WALK_CACHE_SCOPE: [WalkCacheScope; 2];

    /// True if walk caches of the first stage, which hold guest-physical addresses, outlive invalidations of
    /// second-stage translations.
    const FIRST_OUTLIVES_SECOND: bool = false;

    /// Bits of an entry whose change means something else.
    const BITS: &'static [u64];

    /// The privilege whose accesses are to physical addresses, if there is one.
    const UNTRANSLATED: Option<Privilege>;

    /// The address as a number by which pages can be told apart.
    fn place(&self, addr: VirtAddr) -> u64 {
        addr.raw()
    }

    /// The address that an invalidation means by this one.
    fn meant(&self, addr: VirtAddr) -> VirtAddr {
        addr
    }

    /// At which of several first tables the walk starts.
    fn which_root(&self, query: Query) -> u64 {
        let _ = query;
        0
    }

    /// Whose translations answer.
    fn space(&self, query: Query) -> Space;

    /// Returns true if an invalidation that names no virtual machine concerns this address space.
    fn is_present(&self, space: Space) -> bool {
        space.vmid.is_none()
    }

    /// How translations are tagged that were made with the second-stage tables that an invalidation names so.
    #[must_use]
    fn tables(number: u64) -> u64 {
        number
    }

    /// Returns true if a first-stage translation by these entries, the root's first, holds in every address space.
    fn is_global(&self, path: &[EntryRead]) -> bool;

    /// A table at which walks start, of the last stage, and its size in bytes.
    fn root(&self) -> (PhysAddr, u64);

    /// These registers, but with roots and address spaces as they were `then`.
    #[must_use]
    fn with_root_of(&self, then: &Self) -> Self;

    /// These registers without physical memory protection: of what it refuses, the tables may be remembered.
    #[must_use]
    fn unprotected(&self) -> Self {
        self.clone()
    }

    /// Returns the answer of the first stage, in which `second` translates guest-physical addresses.
    fn first(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Self::Fault>,
    ) -> Nested<Self::Fault> {
        let _ = second;
        recording::ask(self, access, memory)
    }

    /// Returns the second-stage translation of a guest-physical address that an access uses: the address itself if
    /// there is no such stage.
    fn second(
        &self,
        access: Access,
        (gpa, visit): (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Self::Fault> {
        let _ = (access, visit, memory);
        let answer = Ok(Outcome { pa: gpa, page_bits: 64, writes: Vec::new() });
        Nested { answer, other: None, reads: Vec::new(), changes: Vec::new(), entangled: false }
    }

    /// Of which run the leaf entry of a walk is that found a page of 2^`page_bits` bytes, or of the whole run.
    fn run_of(&self, query: Query, leaf: u64, page_bits: u32) -> Option<Run> {
        let _ = (query, leaf, page_bits);
        None
    }

    /// Returns the entries that this fault invalidates.
    fn invalidated_by(&self, fault: &Self::Fault) -> FaultInvalidates {
        let _ = fault;
        FaultInvalidates::default()
    }

    /// An invalidation of one of two stages by these numbers, if there are two.
    fn guest_scope(&self, choice: u8, named: Operands) -> Option<Invalidate> {
        let _ = (choice, named);
        None
    }

    /// Changes a register by these numbers, as software may.
    fn turn(
        &mut self,
        choice: u8,
        value: u8,
        scene: WriteContext<'_, Self>,
    ) -> Option<RegisterWrite>;
}

/// The values that a register write can use.
#[derive(Debug)]
pub struct WriteContext<'a, A> {
    /// The registers as they were in the beginning.
    pub given: &'a A,
    /// Where the table at [`Manual::root`] is, and a copy of it.
    pub roots: [PhysAddr; 2],
    /// Memory as it is now.
    pub memory: &'a SparseMemory,
}

/// Which entries of walk caches an invalidation of one page covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkCacheScope {
    /// None.
    Nothing,
    /// Those for tables on the way to the page.
    OnTheWay,
    /// All of the address spaces concerned.
    AddressSpace,
}

/// The entries that a fault invalidates, so that it does not recur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultInvalidates {
    /// The entries that translate the address of the access.
    pub linear: bool,
    /// The entries that translate this guest-physical address.
    pub gpa: Option<PhysAddr>,
}

/// The operands of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operands {
    /// An address of an access.
    pub addr: VirtAddr,
    /// A guest-physical address that was used.
    pub gpa: PhysAddr,
    /// An address space.
    pub asid: Asid,
    /// True to name the present virtual machine and tables, and not others.
    pub own: bool,
    /// Where the first table of either virtual machine is.
    pub roots: [PhysAddr; 2],
}

/// A register write, and what it invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterWrite {
    /// The register.
    pub id: RegisterId,
    /// The value.
    pub value: u64,
    /// The invalidation that the write causes by the manual.
    pub invalidates: Option<Invalidate>,
    /// True if software has to invalidate all translations after the write. Until then, cached translations may have
    /// been made, and may be used, as if the register were as before.
    pub fenced: bool,
}

impl RegisterWrite {
    /// A write that invalidates nothing.
    pub(super) const fn plain(id: RegisterId, value: u64) -> Self {
        Self { id, value, invalidates: None, fenced: false }
    }

    /// Makes a write after which software has to invalidate all translations.
    pub(super) const fn fenced(id: RegisterId, value: u64) -> Self {
        Self { fenced: true, ..Self::plain(id, value) }
    }

    /// A write that invalidates this.
    pub(super) const fn invalidating(
        id: RegisterId,
        value: u64,
        invalidates: Option<Invalidate>,
    ) -> Self {
        Self { invalidates, ..Self::plain(id, value) }
    }
}
