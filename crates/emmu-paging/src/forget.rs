//! Which cached translations each invalidation forgets.

use crate::{
    Paging, Scope, WalkCacheReach,
    format::Format,
    scope::{Context, Scopes, Visible},
    second::SecondStage,
};
use alloc::vec::Vec;
use emmu_core::{Asid, Invalidate, PhysAddr, VirtAddr};

impl<F: Format, S: SecondStage> Paging<F, S> {
    /// Forgets what the scope names, and as much more as the machine does.
    pub(crate) fn forget_here(&mut self, scope: Invalidate) {
        self.epoch += 1;
        let exact = F::walk_cache_reach(scope);
        let walk_caches =
            if self.reach.empties_walk_caches(scope) { WalkCacheReach::All } else { exact };
        self.forget(scope, walk_caches);
        let wider = self.reach.widened(scope);
        if wider != scope {
            self.forget(wider, walk_caches);
        }
        if self.reach.is_of_all_guests(scope) {
            let guests = self.contexts_where(|_, context| context != Context::HOST.number());
            guests.into_iter().for_each(|guest| self.scopes.end_context(guest));
        }
    }

    fn forget(&mut self, scope: Invalidate, walk_caches: WalkCacheReach) {
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
                    .for_each(|context| self.forget_in(context, scope, walk_caches));
            }
            Invalidate::SecondStage { tables, addr, combined } => {
                self.forget_second(tables, addr, combined);
            }
            scope if S::EXISTS => {
                let present = self.contexts_where(S::is_present);
                present.into_iter().for_each(|context| self.forget_in(context, scope, walk_caches));
            }
            Invalidate::All => self.scopes.end_all(),
            scope => self.forget_in(Context::HOST, scope, walk_caches),
        }
    }

    /// Invalidates in one virtual machine the entries that a scope names which names no virtual machine.
    fn forget_in(&mut self, present: Context, scope: Invalidate, walk_caches: WalkCacheReach) {
        match scope {
            Invalidate::All => self.scopes.end_context(present),
            Invalidate::NonGlobal => self.scopes.end_all_but_global(present),
            Invalidate::Asid(asid) => self.scopes.end(self.format.implemented(asid), present),
            Invalidate::Page(addr) => {
                self.forget_page(addr, walk_caches, |scopes, scope| scopes.is_of(scope, present));
            }
            Invalidate::PageInAsid { addr, asid, global: false } => {
                let asid = self.format.implemented(asid);
                let is_own = |scopes: &Scopes, scope| scopes.is_own(scope, asid, present);
                self.forget_page(addr, walk_caches, is_own);
            }
            Invalidate::PageInAsid { addr, asid, global: true } => {
                let asid = self.format.implemented(asid);
                let is_seen = |scopes: &Scopes, scope| scopes.is_seen(scope, asid, present);
                self.forget_page(addr, walk_caches, is_seen);
            }
            Invalidate::Range { addr, len, asid: None } => {
                let is_of = |scopes: &Scopes, scope| scopes.is_of(scope, present);
                self.forget_range((addr, len), walk_caches, is_of);
            }
            Invalidate::Range { addr, len, asid: Some(asid) } => {
                let asid = self.format.implemented(asid);
                let is_seen = |scopes: &Scopes, scope| scopes.is_seen(scope, asid, present);
                self.forget_range((addr, len), walk_caches, is_seen);
            }
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => {}
            // A scope that is not known here: everything is enough.
            _ => self.scopes.end_context(present),
        }
    }

    /// The second-stage translations of these tables or of all; `combined`, what both stages made with them, too.
    fn forget_second(&mut self, tables: Option<u64>, addr: Option<PhysAddr>, combined: bool) {
        self.second.forget(tables, addr);
        if combined {
            let contexts = match tables {
                Some(tables) => self.second.contexts_of(tables),
                None => Some(S::CONTEXTS),
            };
            contexts.into_iter().for_each(|contexts| self.scopes.end_contexts(contexts));
        }
    }

    /// Invalidates the entries that an access which faulted may have used.
    pub(crate) fn forget_faulted(&mut self, addr: VirtAddr, visible: Visible) {
        self.epoch += 1;
        self.tlbs.remove_page(addr, |scope| visible.sees(scope));
        let tables = self.scopes.tables();
        self.walk_caches.remove_page(addr, |scope| scope == tables);
    }

    fn contexts_where(&self, is_meant: impl Fn(&S, u32) -> bool) -> Vec<Context> {
        let is_meant = |context: &Context| is_meant(&self.second, context.number());
        self.scopes.contexts().filter(is_meant).collect()
    }

    fn forget_page(
        &mut self,
        addr: VirtAddr,
        walk_caches: WalkCacheReach,
        concerns: impl Fn(&Scopes, Scope) -> bool,
    ) {
        let addr = self.format.untagged(addr);
        let scopes = &self.scopes;
        let concerns = |scope| concerns(scopes, scope);
        self.tlbs.remove_page(addr, concerns);
        if let Some(invalid) = &mut self.invalid {
            invalid.remove_range(addr, addr, concerns);
        }
        match walk_caches {
            WalkCacheReach::None => {}
            WalkCacheReach::OnTheWay => self.walk_caches.remove_page(addr, concerns),
            WalkCacheReach::All => self.walk_caches.remove_scopes(concerns),
        }
    }

    fn forget_range(
        &mut self,
        (addr, len): (VirtAddr, u64),
        walk_caches: WalkCacheReach,
        concerns: impl Fn(&Scopes, Scope) -> bool,
    ) {
        let Some(rest) = len.checked_sub(1) else { return };
        let first = self.format.untagged(addr);
        let last = first.checked_add(rest).unwrap_or(VirtAddr::new(u64::MAX));
        let scopes = &self.scopes;
        let concerns = |scope| concerns(scopes, scope);
        self.tlbs.remove_range(first, last, concerns);
        if let Some(invalid) = &mut self.invalid {
            invalid.remove_range(first, last, concerns);
        }
        match walk_caches {
            WalkCacheReach::None => {}
            WalkCacheReach::OnTheWay => self.walk_caches.remove_range(first, last, concerns),
            WalkCacheReach::All => self.walk_caches.remove_scopes(concerns),
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
