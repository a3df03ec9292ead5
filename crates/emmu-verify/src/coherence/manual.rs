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

    /// Bits of an entry whose change gives the entry another meaning.
    const BITS: &'static [u64];

    /// The privilege whose accesses use physical addresses, if there is one.
    const UNTRANSLATED: Option<Privilege>;

    /// Returns the address as a number by which pages can be told apart.
    fn place(&self, addr: VirtAddr) -> u64 {
        addr.raw()
    }

    /// Returns the address that an invalidation uses for this one.
    fn meant(&self, addr: VirtAddr) -> VirtAddr {
        addr
    }

    /// Returns the number of the first table at which the walk starts, of several.
    fn which_root(&self, query: Query) -> u64 {
        let _ = query;
        0
    }

    /// Returns the tags of the translations that can answer the query.
    fn space(&self, query: Query) -> Space;

    /// Returns true if an invalidation that names no virtual machine concerns this address space.
    fn is_present(&self, space: Space) -> bool {
        space.vmid.is_none()
    }

    /// Returns the tag of the translations that were made with the second-stage tables that an invalidation names.
    #[must_use]
    fn tables(number: u64) -> u64 {
        number
    }

    /// Returns true if a first-stage translation by these entries, the root's first, holds in every address space.
    fn is_global(&self, path: &[EntryRead]) -> bool;

    /// Returns a table at which walks of the last stage start, and its size in bytes.
    fn root(&self) -> (PhysAddr, u64);

    /// Returns these registers with the roots and address spaces of `then`.
    #[must_use]
    fn with_root_of(&self, then: &Self) -> Self;

    /// Returns these registers without physical memory protection: a unit may cache the tables of an access that the
    /// protection refuses.
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

    /// Returns the run of the leaf entry of a walk, if it has one. The walk found a page of 2^`page_bits` bytes, or the
    /// whole run.
    fn run_of(&self, query: Query, leaf: u64, page_bits: u32) -> Option<Run> {
        let _ = (query, leaf, page_bits);
        None
    }

    /// Returns the entries that this fault invalidates.
    fn invalidated_by(&self, fault: &Self::Fault) -> FaultInvalidates {
        let _ = fault;
        FaultInvalidates::default()
    }

    /// Makes an invalidation of one of two stages from these numbers, if there are two stages.
    fn guest_scope(&self, choice: u8, named: Operands) -> Option<Invalidate> {
        let _ = (choice, named);
        None
    }

    /// Makes a register write from these numbers, as software may, and changes the registers accordingly.
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
    /// The addresses of the table at [`Manual::root`] and of a copy of it.
    pub roots: [PhysAddr; 2],
    /// Memory as it is now.
    pub memory: &'a SparseMemory,
}

/// The entries of walk caches that an invalidation of one page covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkCacheScope {
    /// No entries.
    Nothing,
    /// The entries for tables on the way to the page.
    OnTheWay,
    /// All entries of the address spaces concerned.
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
    /// The address of the first table of either virtual machine.
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
    /// Makes a write that invalidates nothing.
    pub(super) const fn plain(id: RegisterId, value: u64) -> Self {
        Self { id, value, invalidates: None, fenced: false }
    }

    /// Makes a write after which software has to invalidate all translations.
    pub(super) const fn fenced(id: RegisterId, value: u64) -> Self {
        Self { fenced: true, ..Self::plain(id, value) }
    }

    /// Makes a write that causes this invalidation.
    pub(super) const fn invalidating(
        id: RegisterId,
        value: u64,
        invalidates: Option<Invalidate>,
    ) -> Self {
        Self { invalidates, ..Self::plain(id, value) }
    }
}
