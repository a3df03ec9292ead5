//! Invalidations and faults remove items from the ledger.

use super::{Fill, Ledger, Pointer};
use crate::coherence::{FaultInvalidates, Manual, Query, Space, WalkCacheScope, trace::Source};
use emmu_core::{Access, Asid, Invalidate, PhysAddr, VirtAddr};
use emmu_oracle::{
    reference::SparseMemory,
    two_stage::{Stage, Visit},
};

/// The translations of one address space that an invalidation names.
#[derive(Clone, Copy)]
struct Cover {
    /// The address space of the non-global translations that are named; `None` means all address spaces.
    asid: Option<Asid>,
    /// True if global translations stay.
    keeps_global: bool,
    /// The pages from the first to the last of these addresses; `None` means all.
    pages: Option<(VirtAddr, VirtAddr)>,
    walk_caches: WalkCacheScope,
}

impl<A: Manual> Ledger<A> {
    /// Removes the items that an invalidation covers.
    pub(in crate::coherence) fn strike(
        &mut self,
        scope: Invalidate,
        now: &A,
        memory: &SparseMemory,
    ) {
        self.pointers.retain(|pointer| !pointer.is_concerned(scope, now, memory));
        // An invalidation treats an entry that ends a walk as a leaf.
        let as_leaf = |cover| Cover { walk_caches: WalkCacheScope::OnTheWay, ..cover };
        self.refusals.retain(|refusal| {
            let cover = refusal.cover_of(scope, now).map(as_leaf);
            cover.is_none_or(|cover| !refusal.is_covered(cover, now, memory))
        });
        self.fills.retain_mut(|fill| {
            let Some(cover) = fill.cover_of(scope, now) else { return true };
            match scope {
                // A translation of both stages is named by the guest-physical address of the access.
                Invalidate::SecondStage { addr: Some(gpa), .. }
                    if fill.space.stage == Stage::First =>
                {
                    !fill.cover_guest(now, gpa)
                }
                _ => !fill.cover(cover, now),
            }
        });
    }

    /// Returns true if an invalidation names an entry that may have answered the query.
    pub(in crate::coherence) fn concerns(
        &self,
        scope: Invalidate,
        now: &A,
        (query, source): (Query, &Source),
        memory: &SparseMemory,
    ) -> bool {
        match *source {
            Source::Hit => self.fills_for(now, query).any(|fill| fill.is_concerned(scope, now)),
            Source::Shortened { level, addr } => self
                .leading(now, query, (level, addr), memory)
                .any(|(pointer, _)| pointer.is_concerned(scope, now, memory)),
            Source::FromRoot { .. } | Source::Untranslated => false,
        }
    }

    /// Removes the items that a fault of the access invalidates.
    pub(in crate::coherence) fn strike_faulted(
        &mut self,
        FaultInvalidates { linear, gpa }: FaultInvalidates,
        now: &A,
        access: Access,
        memory: &SparseMemory,
    ) {
        if linear {
            self.strike_used(now, Query::First(access), memory);
        }
        if let Some(gpa) = gpa {
            let visit = Visit::Access;
            self.strike_used(now, Query::Second { access, gpa, visit }, memory);
        }
    }

    /// Removes the items that could be used to translate this query.
    fn strike_used(&mut self, now: &A, query: Query, memory: &SparseMemory) {
        let (space, addr) = (now.space(query), query.addr());
        let cover = Cover {
            asid: None,
            keeps_global: false,
            pages: Some((addr, addr)),
            walk_caches: WalkCacheScope::OnTheWay,
        };
        self.pointers
            .retain(|pointer| pointer.space != space || !pointer.is_covered(cover, now, memory));
        self.fills.retain_mut(|fill| {
            !fill.space.is_seen_from(space, fill.global) || !fill.cover(cover, now)
        });
    }
}

/// Returns the translations of this space that the invalidation names, if there are any.
fn cover<A: Manual>(scope: Invalidate, now: &A, space: Space) -> Option<Cover> {
    let [first, second] = A::PAGE_WALK_CACHE_SCOPE;
    let is_first = space.stage == Stage::First;
    let all = Cover { asid: None, keeps_global: false, pages: None, walk_caches: first };
    let cover = match scope {
        Invalidate::All => all,
        Invalidate::NonGlobal => Cover { keeps_global: true, ..all },
        Invalidate::Asid(asid) => Cover { asid: Some(asid), keeps_global: true, ..all },
        Invalidate::Page(addr) => Cover { pages: Some((addr, addr)), ..all },
        Invalidate::PageInAsid { addr, asid, global: true } => {
            Cover { asid: Some(asid), pages: Some((addr, addr)), ..all }
        }
        Invalidate::PageInAsid { addr, asid, global: false } => {
            let (asid, pages) = (Some(asid), Some((addr, addr)));
            Cover { asid, keeps_global: true, pages, walk_caches: at_most_on_the_way(first) }
        }
        Invalidate::Range { len: 0, .. } => return None,
        Invalidate::Range { addr, len, asid } => {
            let last = VirtAddr::new(addr.raw().saturating_add(len - 1));
            Cover { asid, pages: Some((addr, last)), ..all }
        }
        Invalidate::Guest { vmid, asid, addr, keeps_global } => {
            let (pages, walk_caches) = (addr.map(|addr| (addr, addr)), at_most_on_the_way(first));
            let is_named = is_first && space.vmid == Some(vmid);
            let keeps_global = keeps_global || asid.is_some();
            return is_named.then_some(Cover { asid, keeps_global, pages, walk_caches });
        }
        Invalidate::SecondStage { tables, addr, combined } => {
            let made = space.tables?;
            let is_named = tables.is_none_or(|number| A::tables(number) == made);
            let page = |addr: PhysAddr| VirtAddr::new(addr.raw());
            let pages = addr.map(|addr| (page(addr), page(addr)));
            let is_named = is_named && (combined || !is_first);
            return is_named.then_some(Cover { pages, walk_caches: second, ..all });
        }
        // A scope that this ledger does not know strikes out everything, so that no hit after it is excused.
        _ => all,
    };
    (is_first && now.is_present(space)).then_some(cover)
}

fn at_most_on_the_way(scope: WalkCacheScope) -> WalkCacheScope {
    if scope == WalkCacheScope::Nothing { scope } else { WalkCacheScope::OnTheWay }
}

impl<A: Manual> Pointer<A> {
    /// Returns the items of this pointer's space that the invalidation names, if there are any.
    fn cover_of(&self, scope: Invalidate, now: &A) -> Option<Cover> {
        let outlives = A::FIRST_OUTLIVES_SECOND && self.space.stage == Stage::First;
        match scope {
            Invalidate::SecondStage { .. } if outlives => None,
            _ => cover(scope, now, self.space),
        }
    }

    fn is_concerned(&self, scope: Invalidate, now: &A, memory: &SparseMemory) -> bool {
        let cover = self.cover_of(scope, now);
        cover.is_some_and(|cover| self.is_covered(cover, now, memory))
    }

    fn is_covered(&self, cover: Cover, now: &A, memory: &SparseMemory) -> bool {
        let Cover { asid, pages, walk_caches, .. } = cover;
        if asid.is_some_and(|asid| asid != self.space.asid) {
            return false;
        }
        let Some((first, last)) = pages else { return true };
        // A range is less than the smallest table maps, so that each table on the way to some of it is on the
        // way to one of its ends; but those of a hashed table are on the way to one page.
        let range = now.place(first)..=now.place(last);
        let by_page = || {
            range.contains(&now.place(self.addr))
                || self.is_on_way(first, now, memory)
                || self.is_on_way(last, now, memory)
        };
        match walk_caches {
            WalkCacheScope::Nothing => false,
            WalkCacheScope::OnTheWay => by_page(),
            WalkCacheScope::AddressSpace => true,
        }
    }

    fn is_on_way(&self, addr: VirtAddr, now: &A, memory: &SparseMemory) -> bool {
        let registers = now.with_root_of(&self.walk_path.registers);
        let query = Query::probing(self.space, now.meant(addr));
        self.toward(&registers, now, query, memory).is_some()
    }
}

impl<A: Manual> Fill<A> {
    /// Returns the translations of this item's space that the invalidation names, if they include this one. A TLB entry
    /// does not record the guest-physical page that it came from.
    fn cover_of(&self, scope: Invalidate, now: &A) -> Option<Cover> {
        let scope = match scope {
            Invalidate::SecondStage { tables, combined, .. }
                if self.space.stage == Stage::First =>
            {
                Invalidate::SecondStage { tables, addr: None, combined }
            }
            scope => scope,
        };
        cover(scope, now, self.space).filter(|Cover { asid, keeps_global, .. }| match self.global {
            true => !keeps_global,
            false => asid.is_none_or(|asid| self.space.asid == asid),
        })
    }

    /// Returns true if an invalidation names this translation. A run is invalidated as a whole if one of its pages is.
    fn is_concerned(&self, scope: Invalidate, now: &A) -> bool {
        self.cover_of(scope, now).is_some_and(|Cover { pages, .. }| {
            pages.is_none_or(|(first, last)| {
                self.pages.is_met_by(&(now.place(first)..=now.place(last)))
            })
        })
    }

    /// Removes the part of the translation that uses the second stage's page with this guest-physical address. Returns
    /// true if nothing is left.
    fn cover_guest(&mut self, now: &A, gpa: PhysAddr) -> bool {
        let place = now.place(VirtAddr::new(gpa.raw()));
        self.second.as_mut().is_some_and(|second| second.pages.invalidate(&(place..=place)))
    }

    /// Removes the part of the translation that an invalidation covers. Returns true if nothing is left.
    fn cover(&mut self, Cover { pages, .. }: Cover, now: &A) -> bool {
        pages.is_none_or(|(first, last)| {
            self.pages.invalidate(&(now.place(first)..=now.place(last)))
        })
    }
}

#[cfg(test)]
mod tests {
    use emmu_core::Invalidate;

    /// A new scope needs an arm of its own above.
    #[test]
    fn every_scope_is_covered() {
        let covered =
            ["all", "non_global", "asid", "page", "page_in_asid", "range", "guest", "second_stage"];
        assert_eq!(Invalidate::NAMES, covered);
    }
}
