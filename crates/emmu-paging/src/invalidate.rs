//! The cached translations that each invalidation drops.

use crate::{
    Owner, Paging, WalkCacheReach,
    format::Format,
    owner::{Context, Owners, Visible},
    second::SecondStage,
};
use alloc::vec::Vec;
use emmu_core::{Asid, Invalidate, PhysAddr, VirtAddr};

impl<F: Format, S: SecondStage> Paging<F, S> {
    /// Invalidates the translations that the scope names, and as many more as the machine does.
    pub(crate) fn invalidate_here(&mut self, scope: Invalidate) {
        self.epoch += 1;
        let exact = F::walk_cache_reach(scope);
        let walk_caches =
            if self.reach.empties_walk_caches(scope) { WalkCacheReach::All } else { exact };
        self.invalidate_exactly(scope, walk_caches);
        let wider = self.reach.widened(scope);
        if wider != scope {
            self.invalidate_exactly(wider, walk_caches);
        }
        if self.reach.is_of_all_guests(scope) {
            let guests = self.contexts_where(|_, context| context != Context::HOST.number());
            guests.into_iter().for_each(|guest| self.owners.end_context(guest));
        }
    }

    fn invalidate_exactly(&mut self, scope: Invalidate, walk_caches: WalkCacheReach) {
        match scope {
            Invalidate::Guest { vmid, asid, addr, keeps_global } => {
                let scope = match scope_of(asid, addr) {
                    Invalidate::All if keeps_global => Invalidate::NonGlobal,
                    scope => scope,
                };
                // Under whichever second-stage tables.
                let contexts = self.contexts_where(|stage, context| stage.is_of(context, vmid));
                contexts
                    .into_iter()
                    .for_each(|context| self.invalidate_in(context, scope, walk_caches));
            }
            Invalidate::SecondStage { tables, addr, combined } => {
                self.invalidate_second(tables, addr, combined);
            }
            scope if S::EXISTS => {
                let present = self.contexts_where(S::is_present);
                present
                    .into_iter()
                    .for_each(|context| self.invalidate_in(context, scope, walk_caches));
            }
            Invalidate::All => self.owners.end_all(),
            scope => self.invalidate_in(Context::HOST, scope, walk_caches),
        }
    }

    /// Invalidates in one virtual machine the entries that a scope names which names no virtual machine.
    fn invalidate_in(&mut self, present: Context, scope: Invalidate, walk_caches: WalkCacheReach) {
        match scope {
            Invalidate::All => self.owners.end_context(present),
            Invalidate::NonGlobal => self.owners.end_all_but_global(present),
            Invalidate::Asid(asid) => self.owners.end(self.format.implemented(asid), present),
            Invalidate::Page(addr) => {
                self.invalidate_page(addr, walk_caches, |owners, owner| {
                    owners.is_of(owner, present)
                });
            }
            Invalidate::PageInAsid { addr, asid, global: false } => {
                let asid = self.format.implemented(asid);
                let is_own = |owners: &Owners, owner| owners.is_own(owner, asid, present);
                self.invalidate_page(addr, walk_caches, is_own);
            }
            Invalidate::PageInAsid { addr, asid, global: true } => {
                let asid = self.format.implemented(asid);
                let is_seen = |owners: &Owners, owner| owners.is_seen(owner, asid, present);
                self.invalidate_page(addr, walk_caches, is_seen);
            }
            Invalidate::Range { addr, len, asid: None } => {
                let is_of = |owners: &Owners, owner| owners.is_of(owner, present);
                self.invalidate_range((addr, len), walk_caches, is_of);
            }
            Invalidate::Range { addr, len, asid: Some(asid) } => {
                let asid = self.format.implemented(asid);
                let is_seen = |owners: &Owners, owner| owners.is_seen(owner, asid, present);
                self.invalidate_range((addr, len), walk_caches, is_seen);
            }
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => {}
            // A scope that is not known here: everything is enough.
            _ => self.owners.end_context(present),
        }
    }

    /// The second-stage translations of these tables or of all; `combined`, what both stages made with them, too.
    fn invalidate_second(&mut self, tables: Option<u64>, addr: Option<PhysAddr>, combined: bool) {
        self.second.invalidate_tables(tables, addr);
        if combined {
            let contexts = match tables {
                Some(tables) => self.second.contexts_of(tables),
                None => Some(S::CONTEXTS),
            };
            contexts.into_iter().for_each(|contexts| self.owners.end_contexts(contexts));
        }
    }

    /// Invalidates the entries that an access which faulted may have used.
    pub(crate) fn invalidate_faulted(&mut self, addr: VirtAddr, visible: Visible) {
        self.epoch += 1;
        self.tlbs.invalidate_page(addr, |owner| visible.sees(owner));
        let tables = self.owners.tables();
        self.walk_caches.invalidate_page(addr, |owner| owner == tables);
    }

    fn contexts_where(&self, is_meant: impl Fn(&S, u32) -> bool) -> Vec<Context> {
        let is_meant = |context: &Context| is_meant(&self.second, context.number());
        self.owners.contexts().filter(is_meant).collect()
    }

    fn invalidate_page(
        &mut self,
        addr: VirtAddr,
        walk_caches: WalkCacheReach,
        concerns: impl Fn(&Owners, Owner) -> bool,
    ) {
        let addr = self.format.untagged(addr);
        let owners = &self.owners;
        let concerns = |owner| concerns(owners, owner);
        self.tlbs.invalidate_page(addr, concerns);
        if let Some(invalid) = &mut self.invalid {
            invalid.invalidate_range(addr, addr, concerns);
        }
        match walk_caches {
            WalkCacheReach::None => {}
            WalkCacheReach::OnTheWay => self.walk_caches.invalidate_page(addr, concerns),
            WalkCacheReach::All => self.walk_caches.invalidate_owners(concerns),
        }
    }

    fn invalidate_range(
        &mut self,
        (addr, len): (VirtAddr, u64),
        walk_caches: WalkCacheReach,
        concerns: impl Fn(&Owners, Owner) -> bool,
    ) {
        let Some(rest) = len.checked_sub(1) else { return };
        let first = self.format.untagged(addr);
        let last = first.checked_add(rest).unwrap_or(VirtAddr::new(u64::MAX));
        let owners = &self.owners;
        let concerns = |owner| concerns(owners, owner);
        self.tlbs.invalidate_range(first, last, concerns);
        if let Some(invalid) = &mut self.invalid {
            invalid.invalidate_range(first, last, concerns);
        }
        match walk_caches {
            WalkCacheReach::None => {}
            WalkCacheReach::OnTheWay => self.walk_caches.invalidate_range(first, last, concerns),
            WalkCacheReach::All => self.walk_caches.invalidate_owners(concerns),
        }
    }
}

/// The scope of these: all address spaces where none is named, all pages where no address is.
pub(crate) const fn scope_of(asid: Option<Asid>, addr: Option<VirtAddr>) -> Invalidate {
    match (asid, addr) {
        (None, None) => Invalidate::All,
        (None, Some(addr)) => Invalidate::Page(addr),
        (Some(asid), None) => Invalidate::Asid(asid),
        (Some(asid), Some(addr)) => Invalidate::PageInAsid { addr, asid, global: false },
    }
}
