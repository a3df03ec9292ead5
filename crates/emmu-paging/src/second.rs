//! The second of two stages, and the combination of the results of both.

use crate::{
    format::{Format, Mapping},
    owner::Context,
    tlb::{Cached, Of},
    walk::EntryAddr,
};
use alloc::vec::Vec;
use core::{fmt, ops::RangeInclusive};
use emmu_core::{
    Access, AccessFlags, AccessKind, Asid, Attributes, Bus, Cause, Fault, GuestAccess, Invalidate,
    PhysAddr, Probe, RegisterError, RegisterId, RegisterInfo, VirtAddr, Vmid, Width,
    anatomy::{InspectedEntry, SecondAnatomy},
};

/// A format of second-stage tables: guest-physical addresses take the place of virtual ones.
pub trait SecondStageFormat: Format {
    /// The numbers of [`SecondStageFormat::context`] of translations that were made with second-stage tables.
    const CONTEXTS: RangeInclusive<u32> = 1..=u32::MAX;

    /// True if the first stage's walk caches, which hold guest-physical addresses, outlive invalidations of second-stage
    /// translations.
    const WALK_CACHES_APART: bool = false;

    /// Returns the number of the virtual machine that makes this access, or 0 if none does. Other virtual
    /// machines do not see its entries of both stages together. The defaults below suit numbers that are the
    /// VMID plus one.
    fn context(&self, access: Access) -> u32;

    /// Returns true if an invalidation that names no virtual machine means translations of this number.
    fn is_present(&self, context: u32) -> bool;

    /// Returns true if a number of [`SecondStageFormat::context`] is of this virtual machine.
    fn is_of(&self, context: u32, vmid: Vmid) -> bool {
        context == u32::from(vmid.0) + 1
    }

    /// Returns the address space under which the second stage's own caches hold the translations of the tables
    /// that an invalidation names by this number (a VMID; on x86 an EPTP), if they hold any.
    fn space_of(&self, tables: u64) -> Option<Asid> {
        u16::try_from(tables).ok().map(Asid)
    }

    /// Returns the numbers of [`SecondStageFormat::context`] whose tables are those of this address space.
    fn contexts_of(&self, space: Asid) -> RangeInclusive<u32> {
        let context = u32::from(space.0) + 1;
        context..=context
    }

    /// True if the architecture has an invalidation of this stage that names a page.
    const NAMES_PAGES: bool = true;

    /// Returns the number by which an invalidation names the tables in force: a VMID, or on x86 an EPTP. The default is
    /// for numbers of [`SecondStageFormat::context`] that are the VMID plus one.
    fn tables(&self, access: Access) -> u64 {
        self.context(access).saturating_sub(1).into()
    }

    /// Returns the kind of access that the second stage sees if the walk of the first stage makes an access of
    /// this kind.
    #[inline]
    fn walk_kind(&self, kind: AccessKind) -> AccessKind {
        kind
    }

    /// Returns the rights of a leaf's permissions: bit 0 read, bit 1 write, bit 2 execute.
    fn rights(&self, permissions: Self::Permissions) -> u8;

    /// Returns the memory attributes that result from those of both stages.
    #[inline]
    fn attributes(&self, first: Attributes, second: Attributes) -> Attributes {
        let _ = second;
        first
    }
}

/// A guest-physical access: its address is guest-physical.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    pub(crate) access: Access,
    pub(crate) walk: bool,
}

impl Guest {
    /// Makes the visit of the first stage to one of its entries.
    #[inline]
    pub(crate) fn walk(entry: EntryAddr, kind: AccessKind, walker: Access) -> Self {
        let addr = VirtAddr::new(entry.addr.raw());
        let flags = walker.flags & AccessFlags::GUEST | AccessFlags::IMPLICIT;
        let access = Access { kind, flags, ..walker.at(addr, entry.width as u32) };
        Self { access, walk: true }
    }

    /// Makes the load of a word for a register write of the guest (x86: the PDPTEs of PAE paging).
    pub(crate) fn register_load(addr: PhysAddr, width: Width) -> Self {
        let access = Access::load(VirtAddr::new(addr.raw()), width as u32);
        Self { access: access.with_flags(AccessFlags::GUEST | AccessFlags::IMPLICIT), walk: false }
    }

    /// Makes the access to the data.
    #[inline]
    pub(crate) fn data(access: Access, addr: PhysAddr) -> Self {
        Self { access: access.at(VirtAddr::new(addr.raw()), access.size), walk: false }
    }

    /// Returns the access as events and faults report it, with these rights of the second stage.
    pub(crate) fn guest_access(&self, rights: u8) -> GuestAccess {
        let Access { addr, kind, .. } = self.access;
        GuestAccess { addr: PhysAddr::new(addr.raw()), kind, walk: self.walk, rights }
    }
}

/// The stage behind the first one: none (`()`), or a paging unit whose format is a [`SecondStageFormat`]. No other type
/// can be one.
pub trait SecondStage: private::Stage {}

pub(crate) mod private {
    use super::{
        Access, Attributes, Bus, Cause, Fault, Guest, InspectedEntry, Invalidate, Mapping,
        PhysAddr, Probe, RangeInclusive, RegisterError, RegisterId, RegisterInfo, SecondAnatomy,
        Vec, Vmid, fmt,
    };

    /// The questions of a first stage to the second one.
    pub trait Stage {
        /// The rights of its entries that a TLB must hold.
        type Permissions: Copy + Default + PartialEq + fmt::Debug;

        const EXISTS: bool;

        const CONTEXTS: RangeInclusive<u32> = 1..=u32::MAX;

        const WALK_CACHES_APART: bool = false;

        fn context(&self, access: Access) -> u32;

        fn is_present(&self, context: u32) -> bool;

        fn is_of(&self, context: u32, vmid: Vmid) -> bool;

        fn contexts_of(&self, tables: u64) -> Option<RangeInclusive<u32>>;

        fn permits(&self, permissions: Self::Permissions, access: Access) -> Result<(), Cause>;

        fn map(
            &mut self,
            guest: Guest,
            bus: &mut (impl Bus + ?Sized),
            probe: &mut (impl Probe + ?Sized),
        ) -> Result<Mapping<Self::Permissions>, Fault>;

        fn peek(
            &self,
            guest: Guest,
            bus: &(impl Bus + ?Sized),
        ) -> Result<Mapping<Self::Permissions>, Fault>;

        fn attributes(&self, first: Attributes, second: Attributes) -> Attributes;

        fn anatomy(&self) -> Option<SecondAnatomy>;

        fn tables(&self, access: Access) -> u64;

        fn inspect(
            &self,
            guest: Guest,
            bus: &(impl Bus + ?Sized),
            entries: &mut Vec<InspectedEntry>,
        ) -> Option<PhysAddr>;

        fn registers(&self) -> &[RegisterInfo];

        fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError>;

        fn reasons(&self) -> &'static [&'static str];

        fn write_register(
            &mut self,
            id: RegisterId,
            value: u64,
            bus: &mut (impl Bus + ?Sized),
        ) -> Result<Option<Invalidate>, RegisterError>;

        /// Makes this unit the second of two stages.
        fn stand_behind(&mut self) {}

        fn invalidate_tables(&mut self, tables: Option<u64>, addr: Option<PhysAddr>);

        /// Invalidates what a refusal of a guest-physical address invalidates, where it does.
        fn invalidate_refused(&mut self, addr: PhysAddr) {
            let _ = addr;
        }
    }
}

/// The rights of both stages, which a TLB holds side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Both<A, B> {
    pub(crate) first: A,
    pub(crate) second: B,
}

/// Makes one translation of those of both stages: the smaller page of the two. It is writable without a visit
/// to the tables if both are.
#[inline]
pub(crate) fn compose<A: Copy, S: SecondStage>(
    stage: &S,
    first: Mapping<A>,
    second: Mapping<S::Permissions>,
    addr: VirtAddr,
) -> Cached<Both<A, S::Permissions>> {
    let guest = VirtAddr::new(first.phys(addr).raw());
    let bits = first.bits.min(second.bits);
    let rights = Both { first: first.permissions, second: second.permissions };
    Mapping {
        frame: second.phys(guest).align_down(bits.into()),
        bits,
        permissions: Of { rights, leaf: first.bits },
        dirty: first.dirty && second.dirty,
        global: first.global,
        attributes: stage.attributes(first.attributes, second.attributes),
    }
}

/// There is no second stage: the physical addresses of the first stage are those of the bus.
impl SecondStage for () {}

impl private::Stage for () {
    type Permissions = ();

    const EXISTS: bool = false;

    #[inline(always)]
    fn context(&self, _: Access) -> u32 {
        Context::HOST.number()
    }

    fn is_present(&self, context: u32) -> bool {
        context == Context::HOST.number()
    }

    fn is_of(&self, _: u32, _: Vmid) -> bool {
        false
    }

    fn contexts_of(&self, _: u64) -> Option<RangeInclusive<u32>> {
        None
    }

    #[inline(always)]
    fn permits(&self, (): (), _: Access) -> Result<(), Cause> {
        Ok(())
    }

    #[inline(always)]
    fn map(
        &mut self,
        guest: Guest,
        _: &mut (impl Bus + ?Sized),
        _: &mut (impl Probe + ?Sized),
    ) -> Result<Mapping<()>, Fault> {
        Ok(unchanged(guest.access.addr, 64))
    }

    fn peek(&self, guest: Guest, _: &(impl Bus + ?Sized)) -> Result<Mapping<()>, Fault> {
        Ok(unchanged(guest.access.addr, 64))
    }

    #[inline(always)]
    fn attributes(&self, first: Attributes, _: Attributes) -> Attributes {
        first
    }

    fn anatomy(&self) -> Option<SecondAnatomy> {
        None
    }

    fn tables(&self, _: Access) -> u64 {
        0
    }

    fn inspect(
        &self,
        guest: Guest,
        _: &(impl Bus + ?Sized),
        _: &mut Vec<InspectedEntry>,
    ) -> Option<PhysAddr> {
        Some(PhysAddr::new(guest.access.addr.raw()))
    }

    fn registers(&self) -> &[RegisterInfo] {
        &[]
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        Err(RegisterError::Unknown { id })
    }

    fn reasons(&self) -> &'static [&'static str] {
        &[]
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        _: u64,
        _: &mut (impl Bus + ?Sized),
    ) -> Result<Option<Invalidate>, RegisterError> {
        Err(RegisterError::Unknown { id })
    }

    fn invalidate_tables(&mut self, _: Option<u64>, _: Option<PhysAddr>) {}
}

/// The space of 2^`bits` addresses around `addr`, or half of it if there are no more, each of which is its own
/// translation.
#[inline(always)]
pub(crate) fn unchanged<P: Default>(addr: VirtAddr, bits: u8) -> Mapping<P> {
    let bits = if bits < 63 { bits } else { 63 };
    let frame = PhysAddr::new(addr.raw()).align_down(bits.into());
    Mapping { frame, bits, dirty: true, ..Mapping::default() }
}

/// Returns the bytes that physical memory protection grants to an access, as [`Format::grants`] says. One that
/// needs the right to execute instead of the right to read needs both beyond translation ("Hypervisor
/// Virtual-Machine Load and Store Instructions").
#[inline]
pub(crate) fn granted<F: Format, S: SecondStage>(
    format: &F,
    addr: PhysAddr,
    len: u64,
    access: Access,
) -> Result<u64, Cause> {
    let Access { kind, privilege, flags, .. } = access;
    let granted = format.grants(addr, len, kind, privilege)?;
    if S::EXISTS && flags.contains(AccessFlags::EXECUTABLE) {
        return Ok(granted.min(format.grants(addr, len, AccessKind::Fetch, privilege)?));
    }
    Ok(granted)
}
