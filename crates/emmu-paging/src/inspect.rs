//! The entries that the answer to an access goes by, for tools that check or explain it.

use crate::{
    Paging,
    format::{Format, Mapping, Route},
    owner::Context,
    second::{Guest, SecondStage, SecondStageFormat},
    walk::{EntryAddr, Step, Trail, Walk},
};
use alloc::vec::Vec;
use emmu_core::{
    Access, AccessKind, Asid, Bus, PhysAddr, Privilege, VirtAddr,
    anatomy::{InspectedEntry, Inspection, Stage},
};

impl<F: Format, S: SecondStage> Paging<F, S> {
    /// Returns the entries of both stages that a walk for the access reads, and in whose name it reads them.
    pub(crate) fn inspection(&self, access: Access, bus: &(impl Bus + ?Sized)) -> Inspection {
        let (access, asid, is_translated) = match self.format.route(access) {
            Ok(Route::Tables { access, asid }) => (access, asid, true),
            Ok(Route::Identity { access, .. }) => (access, Asid(0), false),
            Err(_) => return Inspection::default(),
        };
        let is_guest = Context::new(self.second.context(access)) != Context::HOST;
        let tables = is_guest.then(|| self.second.tables(access));
        let mut found = Inspection::new(asid, tables);
        let entries = &mut found.entries;
        let guest = if is_translated {
            let mapping = self.first_stage(access, bus, entries);
            found.is_global = mapping.is_some_and(|mapping| mapping.global);
            mapping.map(|mapping| mapping.phys(access.addr))
        } else {
            Some(PhysAddr::new(access.addr.raw()))
        };
        if let Some(guest) = guest {
            self.second.inspect(Guest::data(access, guest), bus, entries);
        }
        found
    }

    /// Adds the entries of the first stage, each after those of the second stage that lead to it.
    fn first_stage(
        &self,
        access: Access,
        bus: &(impl Bus + ?Sized),
        entries: &mut Vec<InspectedEntry>,
    ) -> Option<Mapping<F::Permissions>> {
        let place = |entry, entries: &mut Vec<_>| {
            let guest = Guest::walk(entry, AccessKind::Load, access);
            self.second.inspect(guest, bus, entries)
        };
        follow(&self.format, access, Stage::First, place, bus, entries)
    }
}

impl<H: SecondStageFormat> Paging<H> {
    /// Adds the second stage's entries for a guest-physical access, and returns the physical address.
    pub(crate) fn inspect_guest(
        &self,
        guest: Guest,
        bus: &(impl Bus + ?Sized),
        entries: &mut Vec<InspectedEntry>,
    ) -> Option<PhysAddr> {
        let asked = self.seen(guest).access;
        match self.format.route(asked).ok()? {
            Route::Identity { access, .. } => Some(PhysAddr::new(access.addr.raw())),
            Route::Tables { access, .. } => {
                let stage = Stage::Second(PhysAddr::new(asked.addr.raw()));
                let place = |entry: EntryAddr, _: &mut Vec<_>| Some(entry.addr);
                let mapping = follow(&self.format, access, stage, place, bus, entries)?;
                Some(mapping.phys(VirtAddr::new(access.addr.raw())))
            }
        }
    }
}

/// Follows the entries of one stage from the root to the leaf, and adds each of them. `place` says where an entry
/// stands on the bus. Returns the mapping if the entries allow the access.
fn follow<F: Format>(
    format: &F,
    access: Access,
    stage: Stage,
    place: impl Fn(EntryAddr, &mut Vec<InspectedEntry>) -> Option<PhysAddr>,
    bus: &(impl Bus + ?Sized),
    entries: &mut Vec<InspectedEntry>,
) -> Option<Mapping<F::Permissions>> {
    let mut walk = Walk::new(access, format.root(access).ok()?);
    let mut trail = Trail::default();
    let mut entry = walk.start(format);
    loop {
        let EntryAddr { level, width, .. } = entry;
        let addr = place(entry, entries)?;
        format.grants(addr, width.bytes(), AccessKind::Load, Privilege::Supervisor).ok()?;
        let raw = bus.peek(addr, width).ok()?;
        let step = walk.read(format, raw, &mut trail);
        let leaf = trail.leaf(format, level, access);
        let is_leaf = leaf.is_some();
        entries.push(InspectedEntry { addr, width, raw, level, stage, is_leaf });
        match step {
            Step::Read(next) => entry = next,
            Step::Fault(_) => return None,
            Step::Done(_) | Step::Check(_) | Step::Update { .. } => return leaf,
        }
    }
}
