//! What a unit may remember.

use super::{
    EntryRead, Forgets, Manual,
    tape::{Walked, walk},
};
use crate::Run;
use emmu_core::{Access, Asid, Invalidate, PhysAddr, VirtAddr, low_mask};
use emmu_oracle::{Outcome, reference::SparseMemory};

/// What a unit may remember of the walks that it made.
pub(super) struct Ledger<A> {
    fills: Vec<Fill<A>>,
    pointers: Vec<Pointer<A>>,
}

/// What a TLB may hold: the outcome of a whole walk.
#[derive(PartialEq)]
struct Fill<A> {
    /// Under which root.
    registers: A,
    asid: Asid,
    global: bool,
    addr: VirtAddr,
    /// Log2 of the size of the page that it is for.
    bits: u32,
    /// Neighbouring pages that the same entry may stand for.
    run: Option<Run>,
    /// Pages of the run for which it does no more.
    lost: Vec<u64>,
    path: Vec<EntryRead>,
}

/// What a walk cache may hold: where a table is.
#[derive(PartialEq)]
pub(super) struct Pointer<A> {
    registers: A,
    asid: Asid,
    addr: VirtAddr,
    /// The level of the entries in the table.
    level: u8,
    pub(super) path: Vec<EntryRead>,
}

impl<A: Manual> Ledger<A> {
    pub(super) fn new() -> Self {
        Self { fills: Vec::new(), pointers: Vec::new() }
    }

    /// Takes note of a walk that succeeded. `top` is the level of the first entry on its path.
    pub(super) fn note(
        &mut self,
        registers: &A,
        access: Access,
        (outcome, path): (&Outcome, Vec<EntryRead>),
        run: Option<Run>,
        top: u8,
    ) {
        let Access { addr, .. } = access;
        let asid = registers.asid();
        for (level, count) in (0..top).rev().zip(1..path.len()) {
            let (registers, path) = (registers.clone(), path[..count].to_vec());
            note(&mut self.pointers, Pointer { registers, asid, addr, level, path });
        }
        let run = run.filter(|run| fits(*run, registers.place(addr), outcome.pa));
        let fill = Fill {
            asid,
            global: registers.is_global(&path),
            addr,
            bits: run.map_or(outcome.page_bits, |run| run.page_bits),
            run,
            lost: Vec::new(),
            registers: registers.clone(),
            path,
        };
        note(&mut self.fills, fill);
    }

    /// Tables of this level that an access may find remembered, with its entry there at `addr` if that is known.
    pub(super) fn pointers_to<'a>(
        &'a self,
        now: &'a A,
        access: Access,
        (level, addr): (u8, Option<PhysAddr>),
        memory: &'a SparseMemory,
    ) -> impl Iterator<Item = (A, &'a Pointer<A>)> {
        let asid = now.asid();
        let of_level = self
            .pointers
            .iter()
            .filter(move |pointer| pointer.level == level && pointer.asid == asid);
        of_level.filter_map(move |pointer| {
            let registers = now.with_root_of(&pointer.registers);
            let walked = pointer.toward(&registers, access, memory)?;
            let next = walked.path.get(pointer.path.len()).map(|entry| entry.addr);
            (addr.is_none() || addr == next).then_some((registers, pointer))
        })
    }

    /// What the access may be answered out of a TLB.
    pub(super) fn answers(
        &self,
        now: &A,
        access: Access,
        memory: &SparseMemory,
    ) -> Vec<Result<PhysAddr, A::Fault>> {
        let held = self.fills.iter().filter(|fill| fill.serves(now, access));
        // No walk reads the leaf of another page of a run, so that its protection may count or not.
        let open = now.unprotected();
        let answers = held.flat_map(|fill| {
            let open = fill.run.and_then(|_| fill.answer(&open, access, memory));
            [fill.answer(now, access, memory), open]
        });
        answers.flatten().collect()
    }

    /// Strikes out what an invalidation covers.
    pub(super) fn forget(&mut self, scope: Invalidate, now: &A, memory: &SparseMemory) {
        self.pointers.retain(|pointer| !pointer.is_covered(scope, now, memory));
        self.fills.retain_mut(|fill| !fill.cover(scope, now));
    }
}

impl<A: Manual> Pointer<A> {
    /// The walk of an access that comes by the table, if it does.
    fn toward(
        &self,
        registers: &A,
        access: Access,
        memory: &SparseMemory,
    ) -> Option<Walked<A::Fault>> {
        let walked = walk(registers, access, &self.path, memory);
        let same_root = registers.which_root(access.addr) == registers.which_root(self.addr);
        (same_root && walked.follows(&self.path)).then_some(walked)
    }

    fn is_covered(&self, scope: Invalidate, now: &A, memory: &SparseMemory) -> bool {
        let on_the_way = |addr| {
            let registers = now.with_root_of(&self.registers);
            self.toward(&registers, Access::load(addr, 1), memory).is_some()
        };
        let by_page = |addr| A::PAGE_FORGETS != Forgets::Nothing && on_the_way(addr);
        let of_space = A::PAGE_FORGETS == Forgets::AddressSpace && self.asid == now.asid();
        match scope {
            Invalidate::All | Invalidate::NonGlobal => true,
            Invalidate::Asid(asid) => self.asid == asid,
            Invalidate::Page(addr) => of_space || by_page(addr),
            Invalidate::PageInAsid { addr, asid } => self.asid == asid && by_page(addr),
            // A range is less than the smallest table maps, so that each table on the way to some of it is on the
            // way to one of its ends.
            Invalidate::Range { addr, len } => {
                let last = VirtAddr::new(addr.raw().saturating_add(len.saturating_sub(1)));
                len > 0 && (by_page(addr) || by_page(last))
            }
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => false,
        }
    }
}

impl<A: Manual> Fill<A> {
    /// Log2 of the size of all that the entry may stand for.
    fn whole_bits(&self) -> u32 {
        self.bits + self.run.map_or(0, |run| run.bits)
    }

    fn serves(&self, now: &A, access: Access) -> bool {
        let place = now.place(access.addr);
        let same = |bits| shifted(place, bits) == shifted(now.place(self.addr), bits);
        (self.global || self.asid == now.asid())
            && same(self.whole_bits())
            && !self.lost.contains(&shifted(place, self.bits))
    }

    /// What the model makes of the remembered entries, if they need no update.
    fn answer(
        &self,
        now: &A,
        access: Access,
        memory: &SparseMemory,
    ) -> Option<Result<PhysAddr, A::Fault>> {
        let registers = now.with_root_of(&self.registers);
        let path = self.path_for(now, access);
        let walked = walk(&registers, access, &path, memory);
        if !walked.follows(&path) {
            return None;
        }
        // What the model writes to an entry that is on the way twice is not to be relied on.
        let is_twice = walked.revisits();
        match walked.result {
            Ok(outcome) if !outcome.writes.is_empty() && !is_twice => None,
            Ok(outcome) => {
                let within = low_mask(self.whole_bits());
                Some(Ok(PhysAddr::new(outcome.pa.raw() & !within | access.addr.raw() & within)))
            }
            Err(fault) => Some(Err(fault)),
        }
    }

    /// Its entries, with the leaf where that of another page of the run stands.
    fn path_for(&self, now: &A, access: Access) -> Vec<EntryRead> {
        let mut path = self.path.clone();
        if let (Some(run), Some(leaf)) = (self.run, path.last_mut()) {
            let number = |addr| shifted(now.place(addr), self.bits) & low_mask(run.bits);
            let first = leaf.addr.raw().wrapping_sub(8 * number(self.addr));
            leaf.addr = PhysAddr::new(first.wrapping_add(8 * number(access.addr)));
        }
        path
    }

    /// Strikes out what of it an invalidation covers; says whether nothing is left.
    fn cover(&mut self, scope: Invalidate, now: &A) -> bool {
        let own = |asid| !self.global && self.asid == asid;
        match scope {
            Invalidate::All => true,
            Invalidate::NonGlobal => !self.global,
            Invalidate::Asid(asid) => own(asid),
            Invalidate::Page(addr) => self.cover_pages(now, addr, addr),
            Invalidate::PageInAsid { addr, asid } => own(asid) && self.cover_pages(now, addr, addr),
            Invalidate::Range { len: 0, .. } => false,
            Invalidate::Range { addr, len } => {
                self.cover_pages(now, addr, VirtAddr::new(addr.raw().saturating_add(len - 1)))
            }
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => false,
        }
    }

    /// The pages from `first` to `last`: all of a page goes if some of it is invalidated, but a run may be cached as
    /// its pages.
    fn cover_pages(&mut self, now: &A, first: VirtAddr, last: VirtAddr) -> bool {
        let page = |addr| shifted(now.place(addr), self.bits);
        let (first, last) = (page(first), page(last));
        match self.run {
            None => (first..=last).contains(&page(self.addr)),
            Some(run) => {
                let start = shifted(page(self.addr), run.bits) << run.bits;
                let pages = start..=start + low_mask(run.bits);
                self.lost.extend(pages.filter(|page| (first..=last).contains(page)));
                false
            }
        }
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
