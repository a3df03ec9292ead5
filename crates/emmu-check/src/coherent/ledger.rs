//! What a unit may remember.

mod cover;

use super::{
    Asked, EntryRead, Manual, Space,
    tape::{Tape, Walked, unpaged, walk, walk_alone},
};
use crate::Run;
use core::cell::Cell;
use emmu_core::{PhysAddr, VirtAddr, low_mask};
use emmu_oracle::{Outcome, reference::SparseMemory, two_stage::Visit};

/// What a unit may remember of the walks that it made, of either stage.
pub(super) struct Ledger<A> {
    fills: Vec<Fill<A>>,
    pointers: Vec<Pointer<A>>,
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
    /// The guest-physical address of the access.
    pub(super) gpa: PhysAddr,
    /// Log2 of the size of the second stage's page.
    pub(super) page_bits: u32,
}

/// What a TLB may hold: the outcome of a whole walk, of one stage, or of both with what the second one did last.
#[derive(PartialEq)]
pub(super) struct Fill<A> {
    space: Space,
    global: bool,
    addr: VirtAddr,
    /// Log2 of the size of the page that it is for: of two stages, the first one's.
    bits: u32,
    /// Neighbouring pages that the same entry may stand for.
    run: Option<Run>,
    /// Pages of the run for which it does no more.
    lost: Vec<u64>,
    pub(super) route: Route<A>,
    second: Option<Second<A>>,
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
    pub(super) outcome: Outcome,
    pub(super) run: Option<Run>,
    pub(super) second: Option<Second<A>>,
}

impl<A: Manual> Ledger<A> {
    pub(super) fn new() -> Self {
        Self { fills: Vec::new(), pointers: Vec::new() }
    }

    /// Takes note of a walk.
    pub(super) fn note(&mut self, success: Success<A>) {
        let Success { asked, route, top, outcome, run, second } = success;
        let (space, addr) = (route.registers.space(asked), asked.addr());
        for (level, count) in (0..top).rev().zip(1..route.path.len()) {
            let path = route.path[..count].to_vec();
            let route = Route { registers: route.registers.clone(), path };
            note(&mut self.pointers, Pointer { space, addr, level, route });
        }
        let run = run.filter(|run| fits(*run, route.registers.place(addr), outcome.pa));
        let is_first = matches!(asked, Asked::First(_));
        let fill = Fill {
            space,
            global: is_first && route.registers.is_global(&route.path),
            addr,
            bits: run.map_or(outcome.page_bits, |run| run.page_bits),
            run,
            lost: Vec::new(),
            route,
            second,
        };
        note(&mut self.fills, fill);
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
        let space = now.space(asked);
        let of_level = |pointer: &&Pointer<A>| pointer.level == level && pointer.space == space;
        let leads = |pointer: &Pointer<A>| {
            let registers = now.with_root_of(&pointer.route.registers);
            let walked = pointer.toward(&registers, now, asked, memory)?;
            let next = walked.path.get(pointer.route.path.len()).map(|entry| entry.addr);
            let route = Route { registers, path: pointer.route.path.clone() };
            (addr.is_none() || next.is_none() || addr == next).then_some(route)
        };
        self.pointers.iter().filter(of_level).filter_map(leads).collect()
    }

    /// What a TLB may hold for this.
    pub(super) fn fills_for<'a>(
        &'a self,
        now: &'a A,
        asked: Asked,
    ) -> impl Iterator<Item = &'a Fill<A>> {
        self.fills.iter().filter(move |fill| fill.serves(now, asked))
    }

    /// What may be answered out of a TLB.
    pub(super) fn answers(
        &self,
        now: &A,
        asked: Asked,
        memory: &SparseMemory,
    ) -> Vec<Result<PhysAddr, A::Fault>> {
        // No walk reads the leaf of another page of a run, so that its protection may count or not.
        let open = now.unprotected();
        let answers = self.fills_for(now, asked).flat_map(|fill| {
            let open = fill.run.and_then(|_| fill.answer(&open, asked, memory));
            [fill.answer(now, asked, memory), open]
        });
        answers.flatten().map(|answer| answer.map(|outcome| outcome.pa)).collect()
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

impl<A: Manual> Fill<A> {
    /// Log2 of the size of all that the entry may stand for.
    fn whole_bits(&self) -> u32 {
        let bits = self.bits + self.run.map_or(0, |run| run.bits);
        self.second.as_ref().map_or(bits, |second| bits.min(second.page_bits))
    }

    fn serves(&self, now: &A, asked: Asked) -> bool {
        let place = now.place(asked.addr());
        let same = |bits| shifted(place, bits) == shifted(now.place(self.addr), bits);
        self.space.is_seen_from(now.space(asked), self.global)
            && same(self.whole_bits())
            && !self.lost.contains(&shifted(place, self.bits))
    }

    /// What the model makes of the remembered entries, if they need no update.
    pub(super) fn answer(
        &self,
        now: &A,
        asked: Asked,
        memory: &SparseMemory,
    ) -> Option<Result<Outcome, A::Fault>> {
        let registers = now.with_root_of(&self.route.registers);
        let path = self.path_for(now, asked);
        let settled = Cell::new(true);
        let beyond = |gpa, visit: Visit| {
            // An update shows in what changes.
            if visit.is_walk() {
                return Ok(unpaged(gpa));
            }
            let walked = self.beyond(now, asked, gpa, memory);
            settled.set(walked.is_some());
            walked.map_or(Ok(unpaged(gpa)), |walked| walked.result)
        };
        let walked = walk(&registers, asked, &Tape::new(&path, &[], memory), &beyond);
        // What the model writes to an entry that is on the way twice is not to be relied on.
        let due = walked.result.is_ok() && !walked.changes.is_empty() && !walked.revisits();
        if !walked.follows(&path) || due || !settled.get() {
            return None;
        }
        let within = low_mask(self.whole_bits());
        let addr = asked.addr().raw();
        Some(walked.result.map(|outcome| {
            let pa = PhysAddr::new(outcome.pa.raw() & !within | addr & within);
            Outcome { pa, ..outcome }
        }))
    }

    /// What the second stage is remembered to make of what the first one found.
    fn beyond(
        &self,
        now: &A,
        asked: Asked,
        gpa: PhysAddr,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let none = Vec::new();
        let route = self.second.as_ref().map(|second| &second.route);
        let path = route.map_or(&none, |route| &route.path);
        let registers = route.map_or(now.clone(), |route| now.with_root_of(&route.registers));
        let asked = Asked::Second { access: asked.access(), gpa, visit: Visit::Access };
        let walked = walk_alone(&registers, now, asked, path, memory);
        let due = !walked.changes.is_empty() && !walked.revisits();
        let settled = walked.follows(path) && walked.path.len() == path.len();
        (settled && !due).then_some(walked)
    }

    /// Its entries, with the leaf where that of another page of the run stands.
    fn path_for(&self, now: &A, asked: Asked) -> Vec<EntryRead> {
        let mut path = self.route.path.clone();
        if let (Some(run), Some(leaf)) = (self.run, path.last_mut()) {
            let number = |addr| shifted(now.place(addr), self.bits) & low_mask(run.bits);
            let first = leaf.addr.raw().wrapping_sub(8 * number(self.addr));
            leaf.addr = PhysAddr::new(first.wrapping_add(8 * number(asked.addr())));
            leaf.host = leaf.addr;
        }
        path
    }
}

/// Adds an item that is not there yet. Each may lead to several others: if some were there twice, they would be
/// without number before long.
fn note<T: PartialEq>(items: &mut Vec<T>, item: T) {
    if !items.contains(&item) {
        items.push(item);
    }
}

/// Whether an entry of a run lies in it where the address does. Else it is misprogrammed, and stands for itself.
fn fits(run: Run, place: u64, pa: PhysAddr) -> bool {
    let within = |addr| shifted(addr, run.page_bits) & low_mask(run.bits);
    within(place) == within(pa.raw())
}

fn shifted(number: u64, bits: u32) -> u64 {
    number.checked_shr(bits).unwrap_or(0)
}
