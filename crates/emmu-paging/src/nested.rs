//! A paging unit as the second stage: it translates the addresses of the first stage's data and of the entries
//! that the first stage reads.

use crate::{
    Paging,
    drive::{PeekOnBus, drive},
    format::{Entry, Mapping, Route},
    invalidate::scope_of,
    owner::Context,
    second::{Both, Guest, SecondStage, SecondStageFormat, private::Stage, unchanged},
    tlb::{Cached, Query},
    walk::{Trail, Walk},
};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use emmu_core::{
    Access, AccessFlags, Attributes, Bus, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr,
    Probe, RegisterError, RegisterId, RegisterInfo, Side, VirtAddr, Vmid,
    anatomy::{InspectedEntry, SecondAnatomy},
};

impl<H: SecondStageFormat> SecondStage for Paging<H> {}

impl<H: SecondStageFormat> Stage for Paging<H> {
    /// The rights of the second stage; `None` if it is off.
    type Permissions = Option<H::Permissions>;

    const EXISTS: bool = true;

    const CONTEXTS: RangeInclusive<u32> = H::CONTEXTS;

    const WALK_CACHES_APART: bool = H::WALK_CACHES_APART;

    #[inline]
    fn context(&self, access: Access) -> u32 {
        self.format.context(access)
    }

    fn is_present(&self, context: u32) -> bool {
        self.format.is_present(context)
    }

    fn is_of(&self, context: u32, vmid: Vmid) -> bool {
        self.format.is_of(context, vmid)
    }

    fn contexts_of(&self, tables: u64) -> Option<RangeInclusive<u32>> {
        Some(self.format.contexts_of(self.format.space_of(tables)?))
    }

    #[inline]
    fn permits(&self, permissions: Self::Permissions, access: Access) -> Result<(), Cause> {
        permissions.map_or(Ok(()), |permissions| self.format.permits(permissions, access))
    }

    fn map(
        &mut self,
        guest: Guest,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Mapping<Self::Permissions>, Fault> {
        let guest = self.seen(guest);
        match self.format.route(guest.access) {
            Ok(Route::Tables { access, asid }) => {
                probe.on(Event::SecondStage(guest.guest_access(0)));
                let visible = self.owners.visible(asid, Context::HOST, false);
                let hit = self.resolve(access, Query { access, visible }, bus, probe);
                probe.on(Event::SecondStageEnd);
                let hit = hit.map_err(|fault| self.refused(fault, guest, &self.trail))?;
                Ok(granted(hit.mapping))
            }
            Ok(Route::Identity { access, bits }) => Ok(unchanged(access.addr, bits)),
            Err(cause) => Err(Fault::new(guest.access, cause).with_guest(guest.guest_access(0))),
        }
    }

    fn peek(
        &self,
        guest: Guest,
        bus: &(impl Bus + ?Sized),
    ) -> Result<Mapping<Self::Permissions>, Fault> {
        let guest = self.seen(guest);
        let refuse = |cause| Fault::new(guest.access, cause).with_guest(guest.guest_access(0));
        match self.format.route(guest.access).map_err(refuse)? {
            Route::Tables { access, .. } => {
                let root = self.format.root(access).map_err(refuse)?;
                let mut trail = Trail::default();
                let mut walk = Walk::new(access, root);
                let mut tables = PeekOnBus { second: &(), bus, access };
                drive(&mut walk, &self.format, &mut trail, &mut tables)
                    .map(|mapping| mapping.with(Some(mapping.permissions)))
                    .map_err(|refusal| self.refused(refusal.of(access), guest, &trail))
            }
            Route::Identity { access, bits } => Ok(unchanged(access.addr, bits)),
        }
    }

    #[inline]
    fn attributes(&self, first: Attributes, second: Attributes) -> Attributes {
        self.format.attributes(first, second)
    }

    fn anatomy(&self) -> Option<SecondAnatomy> {
        Some(SecondAnatomy {
            tables: self.format.anatomy(),
            registers: H::REGISTERS,
            names_pages: H::NAMES_PAGES,
            walk_caches_apart: H::WALK_CACHES_APART,
        })
    }

    fn tables(&self, access: Access) -> u64 {
        self.format.tables(access)
    }

    fn inspect(
        &self,
        guest: Guest,
        bus: &(impl Bus + ?Sized),
        entries: &mut Vec<InspectedEntry>,
    ) -> Option<PhysAddr> {
        self.inspect_guest(guest, bus, entries)
    }

    fn registers(&self) -> &[RegisterInfo] {
        H::REGISTERS
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.format.read_register(id)
    }

    fn reasons(&self) -> &'static [&'static str] {
        H::REASONS
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut (impl Bus + ?Sized),
    ) -> Result<Option<Invalidate>, RegisterError> {
        let mut read = |addr, width| bus.read(addr, width);
        self.format.write_register(id, value, &mut read)
    }

    fn stand_behind(&mut self) {
        self.tlbs.relabel(Side::SecondStage);
    }

    fn invalidate_tables(&mut self, tables: Option<u64>, addr: Option<PhysAddr>) {
        let addr = addr.map(|addr| VirtAddr::new(addr.raw()));
        let asid = tables.map(|tables| self.format.space_of(tables));
        // The caches hold no entry of tables that were never used.
        if asid != Some(None) {
            self.invalidate_here(scope_of(asid.flatten(), addr));
        }
    }

    fn invalidate_refused(&mut self, addr: PhysAddr) {
        if !H::FAULTS_INVALIDATE {
            return;
        }
        let access = Access::load(VirtAddr::new(addr.raw()), 1).with_flags(AccessFlags::GUEST);
        if let Ok(Route::Tables { access, asid }) = self.format.route(access) {
            let visible = self.owners.visible(asid, Context::HOST, false);
            self.invalidate_faulted(access.addr, visible);
        }
    }
}

impl<H: SecondStageFormat> Paging<H> {
    /// Returns the access as the second stage sees it.
    pub(crate) fn seen(&self, guest: Guest) -> Guest {
        let Access { kind, .. } = guest.access;
        let kind = if guest.walk { self.format.walk_kind(kind) } else { kind };
        Guest { access: Access { kind, ..guest.access }, ..guest }
    }

    /// Returns the fault with the access that met it, and with the rights that the entries on its way leave. A
    /// refusal by physical memory protection at the place itself does not count as a refusal of this stage.
    fn refused(&self, fault: Fault, guest: Guest, trail: &Trail<H::Permissions>) -> Fault {
        if fault.entry.is_none() && fault.cause == Cause::Protection {
            return fault;
        }
        let decoded = fault.entry.and_then(|FaultEntry { level, raw, .. }| {
            Some(self.format.decode(raw?, level, guest.access, trail.inherited(level)))
        });
        let rights = match decoded {
            Some(Entry::Leaf(mapping)) => self.format.rights(mapping.permissions),
            _ => 0,
        };
        fault.with_guest(guest.guest_access(rights))
    }
}

/// Converts a mapping of the second stage's own TLB into the form that the first stage uses.
fn granted<P: Copy>(mapping: Cached<Both<P, ()>>) -> Mapping<Option<P>> {
    mapping.with(Some(mapping.permissions.rights.first))
}
