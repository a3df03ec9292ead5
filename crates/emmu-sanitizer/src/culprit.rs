//! Finds the change that made a translation stale.

use crate::{
    EntryWrite, Fence, Kind, RegisterWrite, Report, Sanitized,
    facts::Facts,
    record::{Entry, Stage},
    report::Cause,
    sanitizer::{State, push},
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    vec::Vec,
};
use emmu_core::{
    Access, Asid, Invalidate, PhysAddr, RegisterInfo, Registers, VirtAddr,
    anatomy::{Change, Stale},
};

/// Log2 of the size of what is remembered as one.
const PAGE_BITS: u32 = 12;

/// On what the translations depend that a unit may have cached, by page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fills(BTreeMap<u64, VecDeque<Fill>>);

/// A translation as it was when the tables agreed to it.
#[derive(Clone, Debug)]
pub(crate) struct Fill {
    pub(crate) frame: PhysAddr,
    pub(crate) asid: Asid,
    /// The number of the guest's second-stage tables, if a guest made it.
    pub(crate) tables: Option<u64>,
    pub(crate) is_global: bool,
    pub(crate) tick: u64,
    pub(crate) entries: Vec<Entry>,
    /// All registers.
    pub(crate) values: Rc<[u64]>,
}

/// A translation that is not what the tables say.
pub(crate) struct Outdated<'a> {
    pub(crate) access: Access,
    pub(crate) kind: Kind,
    /// Where it leads.
    pub(crate) frame: PhysAddr,
    /// The entries that a walk comes by now.
    pub(crate) fresh: &'a [Entry],
}

/// The change that made the translation stale, and the invalidation that would have helped.
#[derive(Debug, Default)]
pub(crate) struct FoundCulprit {
    pub(crate) cause: Cause,
    pub(crate) invalidation: Option<Fence>,
    pub(crate) insufficient: Option<Fence>,
}

impl Fills {
    /// Remembers a translation, unless the last one of its page was the same.
    pub(crate) fn remember(&mut self, addr: VirtAddr, fill: Fill) {
        let fills = self.0.entry(addr.block(PAGE_BITS)).or_default();
        if fills.back().is_none_or(|last| !last.is_same(&fill)) {
            push(fills, fill);
        }
    }

    /// Returns the change to blame for a stale translation: a change since the last one of this page to the same
    /// frame; or since any other that came by an entry which `fresh` comes by too, as it is where a walk cache is
    /// stale, or another part of a superpage.
    pub(crate) fn culprit<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        stale: &Outdated<'_>,
        values: &[u64],
    ) -> FoundCulprit {
        let own = self.of(stale.access.addr, stale.frame);
        let found = own.map(|fill| fill.culprit(unit, state, stale, values));
        if let Some(found) = found.filter(|found| !matches!(found.cause, Cause::Unknown)) {
            return found;
        }
        let mut others: Vec<_> = self.0.values().flatten().collect();
        others.sort_unstable_by_key(|fill| core::cmp::Reverse(fill.tick));
        let shared = others.into_iter().find(|fill| {
            let changes = fill.stale_entries(unit.facts(), state, stale.kind);
            changes.first().is_some_and(|(_, write, _)| {
                stale.fresh.iter().any(|entry| entry.addr == write.addr)
            })
        });
        shared.map(|fill| fill.culprit(unit, state, stale, values)).unwrap_or_default()
    }

    /// The last translation of this page to there, or else anywhere.
    fn of(&self, addr: VirtAddr, frame: PhysAddr) -> Option<&Fill> {
        let fills = self.0.get(&addr.block(PAGE_BITS))?;
        let same = |fill: &&Fill| fill.frame.block(PAGE_BITS) == frame.block(PAGE_BITS);
        fills.iter().rev().find(same).or_else(|| fills.back())
    }
}

/// Adds a report, or counts it if there is one of the same page and cause.
pub(crate) fn tell(reports: &mut Vec<Report>, report: Report) {
    let page = |report: &Report| report.access.addr.block(PAGE_BITS);
    let same = |other: &&mut Report| {
        (other.kind, other.unit, page(other), &other.cause)
            == (report.kind, report.unit, page(&report), &report.cause)
    };
    match reports.iter_mut().find(same) {
        Some(other) => other.times += 1,
        None => reports.push(report),
    }
}

impl Fill {
    fn is_same(&self, other: &Self) -> bool {
        (self.frame.block(PAGE_BITS), self.asid, self.tables)
            == (other.frame.block(PAGE_BITS), other.asid, other.tables)
            && (&self.entries, &self.values) == (&other.entries, &other.values)
    }

    /// Finds the change to blame, among all that the translation depends on.
    fn culprit<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        stale: &Outdated<'_>,
        values: &[u64],
    ) -> FoundCulprit {
        let facts = unit.facts();
        let changes = self.stale_entries(facts, state, stale.kind);
        let (cause, tick, scope, at) = match changes.first() {
            Some((tick, write, entry)) => {
                let scope = self.narrowest(facts, entry, stale.access.addr);
                // One stage's invalidation is not enough for both.
                let is_second = |entry: &Entry| matches!(entry.stage, Stage::Second(_));
                let is_plain =
                    changes.iter().all(|(_, _, other)| is_second(other) == is_second(entry));
                let (level, stage) = (entry.level, entry.stage);
                let cause = Cause::Entry { write: write.clone(), level, stage };
                let at = self.entries.iter().position(|other| other.addr == entry.addr);
                (cause, *tick, scope.filter(|_| is_plain), at)
            }
            None => self.changed_registers(unit, state, stale.access.addr, values),
        };
        let due = |scope| {
            let below = &self.entries[at.map_or(0, |at| at + 1)..];
            let then = self.then_due(facts, scope, below, stale.access.addr);
            Fence { then, ..Fence::new(facts.fences(), scope) }
        };
        let mut later = state.invalidations.iter().rev();
        let insufficient = later.find(|(at, of, _)| *at > tick && *of == unit.number());
        FoundCulprit {
            cause,
            invalidation: scope.map(due),
            insufficient: insufficient.map(|(_, _, scope)| Fence::new(facts.fences(), *scope)),
        }
    }

    /// The narrowest invalidation for a change of the first stage.
    fn first_stage(&self, facts: &Facts, change: Change, addr: VirtAddr) -> Invalidate {
        let Self { asid, tables, is_global, .. } = *self;
        (facts.fences().narrowest)(&Stale { change, addr, asid, tables, is_global })
    }

    /// The narrowest invalidation for a change of an entry that an access to this address came by.
    fn narrowest(&self, facts: &Facts, entry: &Entry, addr: VirtAddr) -> Option<Invalidate> {
        match entry.stage {
            Stage::First => {
                let change = if entry.is_leaf { Change::Leaf } else { Change::Table };
                Some(self.first_stage(facts, change, addr))
            }
            Stage::Second(page) => Some(facts.second_stage(self.tables?, page)),
        }
    }

    /// Finds the register to blame. Its cause, moment, invalidation, and no entry.
    fn changed_registers<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        addr: VirtAddr,
        values: &[u64],
    ) -> (Cause, u64, Option<Invalidate>, Option<usize>) {
        let facts = unit.facts();
        match self.changed_register(unit, state, values) {
            Some((tick, write)) if facts.is_root_of_second(write.id).is_some() => {
                let scope = self.of_roots(facts, unit.registers(), addr, values);
                (Cause::Root(write), tick, scope, None)
            }
            Some((tick, write)) => (Cause::Rights(write), tick, None, None),
            None => (Cause::Unknown, self.tick, None, None),
        }
    }

    /// The invalidation that must follow one of the second stage, if the change concerns the entries `below`: HFENCE.GVMA
    /// "need not flush" a cache "that maps guest virtual addresses to guest physical addresses" ("Hypervisor
    /// Memory-Management Fence Instructions"), and so leaves what was read of the guest's tables.
    fn then_due(
        &self,
        facts: &Facts,
        scope: Invalidate,
        below: &[Entry],
        addr: VirtAddr,
    ) -> Option<Invalidate> {
        let leaves_tables = facts.has_walk_caches_apart()
            && matches!(scope, Invalidate::SecondStage { .. })
            && below.iter().any(|entry| entry.stage == Stage::First && !entry.is_leaf);
        leaves_tables.then(|| self.first_stage(facts, Change::Root, addr))
    }

    /// The last writes that made entries other ones, in the order of the walk: if one has changed, those of its stage
    /// below it are not on the way any more.
    fn stale_entries(
        &self,
        facts: &Facts,
        state: &State,
        kind: Kind,
    ) -> Vec<(u64, EntryWrite, &Entry)> {
        let mut writes = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let has_flags = at + 1 == self.entries.len() || entry.is_first_leaf();
            let changed = |(_, write): &&(u64, EntryWrite)| match kind {
                Kind::NotDirty | Kind::NotAccessed => {
                    has_flags && loses_flag(facts, kind, write, entry.stage)
                }
                _ => {
                    let bits = !facts.flags(entry.stage).walker_bits();
                    let differs = |raw: u64| (raw ^ entry.raw) & bits != 0;
                    !differs(write.before) && differs(write.after)
                }
            };
            let last = state.writes_after(entry.addr, self.tick).rev().find(changed);
            writes.extend(last.map(|(tick, write)| (*tick, write.clone(), entry)));
        }
        writes
    }

    /// The invalidation that changed roots need, if they are of one stage.
    fn of_roots(
        &self,
        facts: &Facts,
        infos: &[RegisterInfo],
        addr: VirtAddr,
        values: &[u64],
    ) -> Option<Invalidate> {
        let changed = self.changed(facts, infos, values);
        let mut stages = changed.filter_map(|info| facts.is_root_of_second(info.id));
        let is_second = stages.next()?;
        if stages.any(|other| other != is_second) {
            return None;
        }
        match is_second {
            false => Some(self.first_stage(facts, Change::Root, addr)),
            true => Some(facts.second_stage(self.tables?, None)),
        }
    }

    /// The registers that are not as they were, of those that count.
    fn changed<'a>(
        &'a self,
        facts: &'a Facts,
        infos: &'a [RegisterInfo],
        values: &'a [u64],
    ) -> impl Iterator<Item = &'a RegisterInfo> {
        let pairs = infos.iter().zip(self.values.iter().zip(values));
        let changed = pairs.filter(|(_, (then, now))| then != now).map(|(info, _)| info);
        changed.filter(move |info| facts.concerns(info.id, self.tables.is_some()))
    }

    /// The last write of a register that is not as it was: of the root if that has changed.
    fn changed_register<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        values: &[u64],
    ) -> Option<(u64, RegisterWrite)> {
        let facts = unit.facts();
        let changed: Vec<_> = self.changed(facts, unit.registers(), values).collect();
        let root = changed.iter().find(|info| facts.is_root_of_second(info.id).is_some());
        let register = root.or_else(|| changed.first())?;
        let mut writes = state.register_writes.iter().rev();
        let last = writes.find(|(tick, of, write)| {
            *tick > self.tick && *of == unit.number() && write.id == register.id
        });
        last.map(|(tick, _, write)| (*tick, write.clone()))
    }
}

/// Returns true if a write clears the flag that is missing.
fn loses_flag(facts: &Facts, kind: Kind, write: &EntryWrite, stage: Stage) -> bool {
    let flags = facts.flags(stage);
    let flag = |raw| match kind {
        Kind::NotDirty => flags.is_dirty(raw),
        _ => flags.is_accessed(raw),
    };
    flag(write.before) && !flag(write.after)
}
