//! What a unit may remember.

mod cover;
mod piece;

pub(super) use piece::Piece;

use super::{
    Asked, EntryRead, Manual, Space,
    tape::{Tape, Walked, unpaged, walk, walk_alone},
};
use core::cell::Cell;
use emmu_core::{PhysAddr, VirtAddr, Vmid, low_mask};
use emmu_oracle::{Outcome, reference::SparseMemory, two_stage::Visit};
use emmu_paging::format::Format;
use piece::shifted;
use std::collections::BTreeSet;

/// What a unit may remember of the walks that it made, of either stage.
pub(super) struct Ledger<A> {
    fills: Vec<Fill<A>>,
    pointers: Vec<Pointer<A>>,
    /// Where walks ended at an entry that allows no access, if such may be remembered.
    refusals: Vec<Pointer<A>>,
}

/// Entries that were read, the root's first, and under which registers.
#[derive(Clone, PartialEq)]
pub(super) struct Route<A> {
    pub(super) registers: A,
    pub(super) path: Vec<EntryRead>,
}

/// The second stage's part in what both stages made together.
#[derive(Clone, PartialEq)]
pub(super) struct Second<A> {
    pub(super) route: Route<A>,
    /// Around the guest-physical address of the access.
    pub(super) piece: Piece,
}

/// What a TLB may hold: the outcome of a whole walk, of one stage, or of both with what the second one did last.
#[derive(PartialEq)]
pub(super) struct Fill<A> {
    space: Space,
    global: bool,
    /// Of two stages, the first one's.
    piece: Piece,
    pub(super) route: Route<A>,
    second: Option<Second<A>>,
}

/// What may be answered out of a TLB, and by which entries.
pub(super) struct Recalled<A: Manual> {
    pub(super) result: Result<Outcome, A::Fault>,
    pub(super) route: Route<A>,
}

/// What a walk cache may hold: where a table is.
#[derive(PartialEq)]
struct Pointer<A> {
    space: Space,
    addr: VirtAddr,
    /// The level of the entries in the table.
    level: u8,
    route: Route<A>,
}

/// A walk that succeeded.
pub(super) struct Success<A> {
    pub(super) asked: Asked,
    pub(super) route: Route<A>,
    /// The level of the first entry on its path.
    pub(super) top: u8,
    /// Of two stages, what the first one found.
    pub(super) outcome: Outcome,
    pub(super) second: Option<Second<A>>,
}

impl<A: Manual> Ledger<A> {
    pub(super) fn new() -> Self {
        Self { fills: Vec::new(), pointers: Vec::new(), refusals: Vec::new() }
    }

    /// Whose virtual machines' tables may be remembered.
    pub(super) fn vmids(&self) -> BTreeSet<Vmid> {
        let tables = self.pointers.iter().chain(&self.refusals);
        tables.filter_map(|pointer| pointer.space.vmid).collect()
    }

    /// Takes note of a walk.
    pub(super) fn note(&mut self, success: Success<A>) {
        let Success { asked, route, top, outcome, second } = success;
        let (space, addr) = (route.registers.space(asked), asked.addr());
        for (level, count) in (0..top).rev().zip(1..route.path.len()) {
            let path = route.path[..count].to_vec();
            let route = Route { registers: route.registers.clone(), path };
            note(&mut self.pointers, Pointer { space, addr, level, route });
        }
        let is_first = matches!(asked, Asked::First(_));
        let fill = Fill {
            space,
            global: is_first && route.registers.is_global(&route.path),
            piece: Piece::of(asked, &route, &outcome),
            route,
            second,
        };
        note(&mut self.fills, fill);
    }

    /// Takes note of a walk that was refused by the last of these entries, if that allows no access at all.
    pub(super) fn note_refusal(&mut self, asked: Asked, route: Route<A>, memory: &SparseMemory) {
        if !A::Format::MAY_CACHE_INVALID || route.path.is_empty() {
            return;
        }
        let open = route.registers.unprotected();
        let (space, addr) = (open.space(asked), asked.addr());
        let refusal = Pointer { space, addr, level: 0, route };
        let walk = |asked| refusal.toward(&open, &open, asked, memory);
        let is_allowed = |asked| walk(asked).is_some_and(|walked| walked.result.is_ok());
        if !asked.of_all_kinds().into_iter().any(is_allowed) {
            note(&mut self.refusals, refusal);
        }
    }

    /// The refusals of this that may be remembered.
    pub(super) fn refusals_of(
        &self,
        now: &A,
        asked: Asked,
        memory: &SparseMemory,
    ) -> Vec<Recalled<A>> {
        let space = now.space(asked);
        let recall = |refusal: &Pointer<A>| {
            let registers = now.with_root_of(&refusal.route.registers);
            let fault = refusal.refuses(&registers, now, asked, memory)?;
            Some(Recalled { result: Err(fault), route: refusal.route.clone() })
        };
        let of_space = self.refusals.iter().filter(|refusal| refusal.space == space);
        of_space.filter_map(recall).collect()
    }

    /// The ways to tables of this level that may be found remembered, with the entry that is asked for at `addr` if that
    /// is known; under the registers of now, but with the root of then.
    pub(super) fn pointers_to(
        &self,
        now: &A,
        asked: Asked,
        (level, addr): (u8, Option<PhysAddr>),
        memory: &SparseMemory,
    ) -> Vec<Route<A>> {
        self.leading(now, asked, (level, addr), memory).map(|(_, route)| route).collect()
    }

    fn leading<'a>(
        &'a self,
        now: &'a A,
        asked: Asked,
        (level, addr): (u8, Option<PhysAddr>),
        memory: &'a SparseMemory,
    ) -> impl Iterator<Item = (&'a Pointer<A>, Route<A>)> {
        let space = now.space(asked);
        let of_level =
            move |pointer: &&Pointer<A>| pointer.level == level && pointer.space == space;
        let leads = move |pointer: &'a Pointer<A>| {
            let registers = now.with_root_of(&pointer.route.registers);
            let walked = pointer.toward(&registers, now, asked, memory)?;
            let next = walked.path.get(pointer.route.path.len()).map(|entry| entry.addr);
            let route = Route { registers, path: pointer.route.path.clone() };
            (addr.is_none() || next.is_none() || addr == next).then_some((pointer, route))
        };
        self.pointers.iter().filter(of_level).filter_map(leads)
    }

    /// All that may be answered out of a TLB.
    pub(super) fn answers(&self, now: &A, asked: Asked, memory: &SparseMemory) -> Vec<Recalled<A>> {
        // No walk reads the leaf of another page of a run, so that its protection may count or not.
        let open = now.unprotected();
        let answers = self.fills_for(now, asked).flat_map(|fill| {
            let route = fill.route_for(now, asked);
            let open = fill.is_run().then(|| fill.answer(&open, asked, &route, memory));
            let answers = [Some(fill.answer(now, asked, &route, memory)), open];
            let results = answers.into_iter().flatten().flatten();
            results.map(move |result| Recalled { result, route: route.clone() })
        });
        answers.collect()
    }

    /// What a TLB may hold for this.
    fn fills_for<'a>(&'a self, now: &'a A, asked: Asked) -> impl Iterator<Item = &'a Fill<A>> {
        self.fills.iter().filter(move |fill| fill.serves(now, asked))
    }
}

impl<A: Manual> Pointer<A> {
    /// The walk that comes by the table, if it does.
    fn toward(
        &self,
        registers: &A,
        now: &A,
        asked: Asked,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let walked = walk_alone(registers, now, asked, &self.route.path, memory);
        let noted = Asked::probing(self.space, self.addr);
        let same_root = registers.which_root(asked) == registers.which_root(noted);
        (same_root && walked.follows(&self.route.path)).then_some(walked)
    }
}

impl<A: Manual> Pointer<A> {
    /// The refusal by the last of its entries, if the walk comes by it.
    fn refuses(
        &self,
        registers: &A,
        now: &A,
        asked: Asked,
        memory: &SparseMemory,
    ) -> Option<A::Fault> {
        let walked = self.toward(registers, now, asked, memory)?;
        let is_last = walked.path.len() == self.route.path.len();
        walked.result.err().filter(|_| is_last)
    }
}

impl<A: Manual> Fill<A> {
    /// Log2 of the size of all that the entry may stand for.
    fn whole_bits(&self) -> u32 {
        let of_second = self.second.as_ref().map_or(u32::MAX, |second| second.piece.whole_bits());
        self.piece.whole_bits().min(of_second)
    }

    fn is_run(&self) -> bool {
        self.piece.is_run() || self.second.as_ref().is_some_and(|second| second.piece.is_run())
    }

    fn serves(&self, now: &A, asked: Asked) -> bool {
        let (place, whole) = (now.place(asked.addr()), self.whole_bits());
        // Each address of the whole is as far into it as its guest-physical one.
        let gpa = |second: &Second<A>| second.piece.at & !low_mask(whole) | place & low_mask(whole);
        let is_lost = |second: &Second<A>| second.piece.is_lost(gpa(second));
        self.space.is_seen_from(now.space(asked), self.global)
            && shifted(place, whole) == shifted(self.piece.at, whole)
            && !self.piece.is_lost(place)
            && !self.second.as_ref().is_some_and(is_lost)
    }

    /// The entries that it is due to.
    fn route_for(&self, now: &A, asked: Asked) -> Route<A> {
        let path = self.piece.path_for(&self.route.path, now.place(asked.addr()));
        Route { registers: self.route.registers.clone(), path }
    }

    /// What the model makes of the remembered entries, if they need no update.
    fn answer(
        &self,
        now: &A,
        asked: Asked,
        Route { registers, path }: &Route<A>,
        memory: &SparseMemory,
    ) -> Option<Result<Outcome, A::Fault>> {
        let (registers, place) = (now.with_root_of(registers), now.place(asked.addr()));
        let settled = Cell::new(true);
        let beyond = |gpa, visit: Visit| {
            // An update shows in what changes.
            if visit.is_walk() {
                return Ok(unpaged(gpa));
            }
            let gpa = self.piece.led(gpa, place);
            let walked = self.beyond(now, asked, gpa, memory);
            settled.set(walked.is_some());
            walked.map_or(Ok(unpaged(gpa)), |walked| walked.result)
        };
        let walked = walk(&registers, asked, &Tape::new(path, &[], memory), &beyond);
        // What the model writes to an entry that is on the way twice is not to be relied on.
        let due = walked.result.is_ok() && !walked.changes.is_empty() && !walked.revisits();
        if !walked.follows(path) || due || !settled.get() {
            return None;
        }
        // The second stage has been asked for the right place of the run.
        let is_led = self.second.is_some();
        let led = |found| if is_led { found } else { self.piece.leads(found, place) };
        Some(walked.result.map(led))
    }

    /// What the second stage is remembered to make of what the first one found.
    fn beyond(
        &self,
        now: &A,
        asked: Asked,
        gpa: PhysAddr,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let asked = Asked::Second { access: asked.access(), gpa, visit: Visit::Access };
        let place = now.place(asked.addr());
        let (registers, path) = match &self.second {
            None => (now.clone(), Vec::new()),
            Some(Second { route, piece }) => {
                (now.with_root_of(&route.registers), piece.path_for(&route.path, place))
            }
        };
        let mut walked = walk_alone(&registers, now, asked, &path, memory);
        if let Some(Second { piece, .. }) = &self.second {
            walked.result = walked.result.map(|found| piece.leads(found, place));
        }
        let due = !walked.changes.is_empty() && !walked.revisits();
        let settled = walked.follows(&path) && walked.path.len() == path.len();
        (settled && !due).then_some(walked)
    }
}

/// Adds an item that is not there yet. Each may lead to several others: if some were there twice, they would be
/// without number before long.
fn note<T: PartialEq>(items: &mut Vec<T>, item: T) {
    if !items.contains(&item) {
        items.push(item);
    }
}
