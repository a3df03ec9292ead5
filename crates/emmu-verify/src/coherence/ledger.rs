//! `Ledger`: the translations and tables that a unit may hold in its caches.

mod cached_pages;
mod cover;

pub(super) use cached_pages::CachedPages;

use super::{
    EntryRead, Manual, Query, Space,
    replay::{ReplayMemory, Walked, unpaged, walk, walk_alone},
};
use cached_pages::shifted;
use core::cell::Cell;
use emmu_core::{PhysAddr, VirtAddr, Vmid, low_mask};
use emmu_oracle::{Outcome, reference::SparseMemory, two_stage::Visit};
use emmu_paging::format::Format;
use std::collections::BTreeSet;

/// The entries that the caches of a unit may hold, of the walks that the unit made, of either stage.
pub(super) struct Ledger<A> {
    fills: Vec<Fill<A>>,
    pointers: Vec<Pointer<A>>,
    /// Walks that ended at an entry that allows no access, if the unit may cache such entries.
    refusals: Vec<Pointer<A>>,
}

/// Entries that a walk read, the root's first, and the registers during the walk.
#[derive(Clone, PartialEq)]
pub(super) struct WalkPath<A> {
    pub(super) registers: A,
    pub(super) path: Vec<EntryRead>,
}

/// The second stage's part of a translation of both stages.
#[derive(Clone, PartialEq)]
pub(super) struct Second<A> {
    pub(super) walk_path: WalkPath<A>,
    /// The pages of the guest-physical address of the access.
    pub(super) pages: CachedPages,
}

/// A translation that a TLB may hold: the outcome of a whole walk of one stage, or of both stages together with the
/// last translation of the second.
#[derive(PartialEq)]
pub(super) struct Fill<A> {
    space: Space,
    global: bool,
    /// The pages of the first stage, or of the only one.
    pages: CachedPages,
    pub(super) walk_path: WalkPath<A>,
    second: Option<Second<A>>,
}

/// An answer that a TLB may give, and the entries that it comes from.
pub(super) struct Recalled<A: Manual> {
    pub(super) result: Result<Outcome, A::Fault>,
    pub(super) walk_path: WalkPath<A>,
}

/// A table address that a walk cache may hold.
#[derive(PartialEq)]
struct Pointer<A> {
    space: Space,
    addr: VirtAddr,
    /// The level of the entries in the table.
    level: u8,
    walk_path: WalkPath<A>,
}

/// A walk that succeeded.
pub(super) struct Success<A> {
    pub(super) query: Query,
    pub(super) walk_path: WalkPath<A>,
    /// The level of the first entry on its path.
    pub(super) top: u8,
    /// The outcome of the first stage, or of the only one.
    pub(super) outcome: Outcome,
    pub(super) second: Option<Second<A>>,
}

impl<A: Manual> Ledger<A> {
    pub(super) fn new() -> Self {
        Self { fills: Vec::new(), pointers: Vec::new(), refusals: Vec::new() }
    }

    /// Returns the virtual machines whose tables may be cached.
    pub(super) fn vmids(&self) -> BTreeSet<Vmid> {
        let tables = self.pointers.iter().chain(&self.refusals);
        tables.filter_map(|pointer| pointer.space.vmid).collect()
    }

    /// Adds the pointers and the translation of a walk.
    pub(super) fn note(&mut self, success: Success<A>) {
        let Success { query, walk_path, top, outcome, second } = success;
        let (space, addr) = (walk_path.registers.space(query), query.addr());
        for (level, count) in (0..top).rev().zip(1..walk_path.path.len()) {
            let path = walk_path.path[..count].to_vec();
            let walk_path = WalkPath { registers: walk_path.registers.clone(), path };
            note(&mut self.pointers, Pointer { space, addr, level, walk_path });
        }
        let is_first = matches!(query, Query::First(_));
        let fill = Fill {
            space,
            global: is_first && walk_path.registers.is_global(&walk_path.path),
            pages: CachedPages::of(query, &walk_path, &outcome),
            walk_path,
            second,
        };
        note(&mut self.fills, fill);
    }

    /// Adds a walk that was refused by the last of these entries, if that entry allows no access at all.
    pub(super) fn note_refusal(
        &mut self,
        query: Query,
        walk_path: WalkPath<A>,
        memory: &SparseMemory,
    ) {
        if !A::Format::MAY_CACHE_INVALID || walk_path.path.is_empty() {
            return;
        }
        let open = walk_path.registers.unprotected();
        let (space, addr) = (open.space(query), query.addr());
        let refusal = Pointer { space, addr, level: 0, walk_path };
        let walk = |query| refusal.toward(&open, &open, query, memory);
        let is_allowed = |query| walk(query).is_some_and(|walked| walked.result.is_ok());
        if !query.of_all_kinds().into_iter().any(is_allowed) {
            note(&mut self.refusals, refusal);
        }
    }

    /// Returns the refusals of this query that may be cached.
    pub(super) fn refusals_of(
        &self,
        now: &A,
        query: Query,
        memory: &SparseMemory,
    ) -> Vec<Recalled<A>> {
        let space = now.space(query);
        let recall = |refusal: &Pointer<A>| {
            let registers = now.with_root_of(&refusal.walk_path.registers);
            let fault = refusal.refuses(&registers, now, query, memory)?;
            Some(Recalled { result: Err(fault), walk_path: refusal.walk_path.clone() })
        };
        let of_space = self.refusals.iter().filter(|refusal| refusal.space == space);
        of_space.filter_map(recall).collect()
    }

    /// Returns the paths to tables of this level that a walk cache may hold, with the registers of now but the roots of
    /// the walk. If `addr` is given, the next entry must be at that address.
    pub(super) fn pointers_to(
        &self,
        now: &A,
        query: Query,
        (level, addr): (u8, Option<PhysAddr>),
        memory: &SparseMemory,
    ) -> Vec<WalkPath<A>> {
        self.leading(now, query, (level, addr), memory).map(|(_, walk_path)| walk_path).collect()
    }

    fn leading<'a>(
        &'a self,
        now: &'a A,
        query: Query,
        (level, addr): (u8, Option<PhysAddr>),
        memory: &'a SparseMemory,
    ) -> impl Iterator<Item = (&'a Pointer<A>, WalkPath<A>)> {
        let space = now.space(query);
        let of_level =
            move |pointer: &&Pointer<A>| pointer.level == level && pointer.space == space;
        let leads = move |pointer: &'a Pointer<A>| {
            let registers = now.with_root_of(&pointer.walk_path.registers);
            let walked = pointer.toward(&registers, now, query, memory)?;
            let next = walked.path.get(pointer.walk_path.path.len()).map(|entry| entry.addr);
            let walk_path = WalkPath { registers, path: pointer.walk_path.path.clone() };
            (addr.is_none() || next.is_none() || addr == next).then_some((pointer, walk_path))
        };
        self.pointers.iter().filter(of_level).filter_map(leads)
    }

    /// Returns the answers that a TLB may give.
    pub(super) fn answers(&self, now: &A, query: Query, memory: &SparseMemory) -> Vec<Recalled<A>> {
        // No walk reads the leaf of another page of a run, so its physical protection may apply or not.
        let open = now.unprotected();
        let answers = self.fills_for(now, query).flat_map(|fill| {
            let walk_path = fill.walk_path_for(now, query);
            let open = fill.is_run().then(|| fill.answer(&open, query, &walk_path, memory));
            let answers = [Some(fill.answer(now, query, &walk_path, memory)), open];
            let results = answers.into_iter().flatten().flatten();
            results.map(move |result| Recalled { result, walk_path: walk_path.clone() })
        });
        answers.collect()
    }

    /// Returns the translations that a TLB may hold for this query.
    fn fills_for<'a>(&'a self, now: &'a A, query: Query) -> impl Iterator<Item = &'a Fill<A>> {
        self.fills.iter().filter(move |fill| fill.serves(now, query))
    }
}

impl<A: Manual> Pointer<A> {
    /// Returns the walk for the query, if it passes through the table.
    fn toward(
        &self,
        registers: &A,
        now: &A,
        query: Query,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let walked = walk_alone(registers, now, query, &self.walk_path.path, memory);
        let noted = Query::probing(self.space, self.addr);
        let same_root = registers.which_root(query) == registers.which_root(noted);
        (same_root && walked.follows(&self.walk_path.path)).then_some(walked)
    }
}

impl<A: Manual> Pointer<A> {
    /// Returns the refusal by the last entry of the path, if the walk passes through that entry.
    fn refuses(
        &self,
        registers: &A,
        now: &A,
        query: Query,
        memory: &SparseMemory,
    ) -> Option<A::Fault> {
        let walked = self.toward(registers, now, query, memory)?;
        let is_last = walked.path.len() == self.walk_path.path.len();
        walked.result.err().filter(|_| is_last)
    }
}

impl<A: Manual> Fill<A> {
    /// Returns log2 of the size in bytes of the range that the entry may translate.
    fn whole_bits(&self) -> u32 {
        let of_second = self.second.as_ref().map_or(u32::MAX, |second| second.pages.whole_bits());
        self.pages.whole_bits().min(of_second)
    }

    fn is_run(&self) -> bool {
        self.pages.is_run() || self.second.as_ref().is_some_and(|second| second.pages.is_run())
    }

    fn serves(&self, now: &A, query: Query) -> bool {
        let (place, whole) = (now.place(query.addr()), self.whole_bits());
        // Each address of the whole is as far into it as its guest-physical one.
        let gpa = |second: &Second<A>| second.pages.at & !low_mask(whole) | place & low_mask(whole);
        let is_invalidated = |second: &Second<A>| second.pages.is_invalidated(gpa(second));
        self.space.is_seen_from(now.space(query), self.global)
            && shifted(place, whole) == shifted(self.pages.at, whole)
            && !self.pages.is_invalidated(place)
            && !self.second.as_ref().is_some_and(is_invalidated)
    }

    /// Returns the entries that the translation comes from.
    fn walk_path_for(&self, now: &A, query: Query) -> WalkPath<A> {
        let path = self.pages.path_for(&self.walk_path.path, now.place(query.addr()));
        WalkPath { registers: self.walk_path.registers.clone(), path }
    }

    /// Returns the answer of the model on the cached entries, if these need no update.
    fn answer(
        &self,
        now: &A,
        query: Query,
        WalkPath { registers, path }: &WalkPath<A>,
        memory: &SparseMemory,
    ) -> Option<Result<Outcome, A::Fault>> {
        let (registers, place) = (now.with_root_of(registers), now.place(query.addr()));
        let settled = Cell::new(true);
        let beyond = |gpa, visit: Visit| {
            // An update shows in the changes.
            if visit.is_walk() {
                return Ok(unpaged(gpa));
            }
            let gpa = self.pages.led(gpa, place);
            let walked = self.beyond(now, query, gpa, memory);
            settled.set(walked.is_some());
            walked.map_or(Ok(unpaged(gpa)), |walked| walked.result)
        };
        let walked = walk(&registers, query, &ReplayMemory::new(path, &[], memory), &beyond);
        // The model's writes to an entry that is on the way twice are not compared.
        let due = walked.result.is_ok() && !walked.changes.is_empty() && !walked.revisits();
        if !walked.follows(path) || due || !settled.get() {
            return None;
        }
        // The second stage has been asked for the right place of the run.
        let is_led = self.second.is_some();
        let led = |found| if is_led { found } else { self.pages.leads(found, place) };
        Some(walked.result.map(led))
    }

    /// Returns the cached second-stage translation of the address that the first stage found.
    fn beyond(
        &self,
        now: &A,
        query: Query,
        gpa: PhysAddr,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let query = Query::Second { access: query.access(), gpa, visit: Visit::Access };
        let place = now.place(query.addr());
        let (registers, path) = match &self.second {
            None => (now.clone(), Vec::new()),
            Some(Second { walk_path, pages }) => {
                (now.with_root_of(&walk_path.registers), pages.path_for(&walk_path.path, place))
            }
        };
        let mut walked = walk_alone(&registers, now, query, &path, memory);
        if let Some(Second { pages, .. }) = &self.second {
            walked.result = walked.result.map(|found| pages.leads(found, place));
        }
        let due = !walked.changes.is_empty() && !walked.revisits();
        let settled = walked.follows(&path) && walked.path.len() == path.len();
        (settled && !due).then_some(walked)
    }
}

/// Adds an item unless it is there already. Each item may lead to several others, so that duplicates would multiply
/// without end.
fn note<T: PartialEq>(items: &mut Vec<T>, item: T) {
    if !items.contains(&item) {
        items.push(item);
    }
}
