//! Who made a translation stale.

use crate::{
    Architecture, EntryWrite, Fence, Kind, RegisterWrite, Report, Sanitized,
    record::Entry,
    report::Cause,
    sanitizer::{State, push},
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    vec::Vec,
};
use emmu_core::{Access, Asid, PhysAddr, Registers, VirtAddr};

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
    pub(crate) tick: u64,
    pub(crate) entries: Vec<Entry>,
    /// All registers.
    pub(crate) values: Rc<[u64]>,
}

/// A translation that is not what the tables say.
pub(crate) struct Stale<'a> {
    pub(crate) access: Access,
    pub(crate) kind: Kind,
    /// Where it leads.
    pub(crate) frame: PhysAddr,
    /// The entries that a walk comes by now.
    pub(crate) fresh: &'a [Entry],
}

/// Who made it stale, and what would have helped.
#[derive(Debug, Default)]
pub(crate) struct Found {
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

    /// What is to blame for a stale translation: a change since the last one of this page to the same frame; or
    /// since any other that came by an entry which `fresh` comes by too, as it is where a walk cache is stale, or
    /// another part of a superpage.
    pub(crate) fn culprit<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        stale: &Stale<'_>,
        values: &[u64],
    ) -> Found {
        let own = self.of(stale.access.addr, stale.frame);
        let found = own.map(|fill| fill.culprit(unit, state, stale, values));
        if let Some(found) = found.filter(|found| !matches!(found.cause, Cause::Unknown)) {
            return found;
        }
        let mut others: Vec<_> = self.0.values().flatten().collect();
        others.sort_unstable_by_key(|fill| core::cmp::Reverse(fill.tick));
        let shared = others.into_iter().find(|fill| {
            let entry = fill.stale_entry(unit.architecture(), state, stale.kind);
            entry.is_some_and(|(_, write, _)| {
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
        (self.frame.block(PAGE_BITS), self.asid) == (other.frame.block(PAGE_BITS), other.asid)
            && (&self.entries, &self.values) == (&other.entries, &other.values)
    }

    /// What has changed since, of all that the translation depends on.
    fn culprit<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        stale: &Stale<'_>,
        values: &[u64],
    ) -> Found {
        let architecture = unit.architecture();
        let write = self.stale_entry(architecture, state, stale.kind);
        let register = || self.changed_register(unit, state, values);
        let raws = self.entries.iter().map(|entry| entry.raw);
        let is_global = architecture.is_global(raws);
        let (cause, tick, scope) = match write {
            Some((tick, write, at)) => {
                let (is_leaf, level) = (at + 1 == self.entries.len(), self.entries[at].level);
                let scope =
                    architecture.narrowest(stale.access.addr, self.asid, is_leaf, is_global);
                (Cause::Entry { write, level }, tick, Some(scope))
            }
            None => match register() {
                Some((tick, write)) if architecture.is_root(write.name) => {
                    let scope = architecture.of_space(self.asid, is_global);
                    (Cause::Root(write), tick, Some(scope))
                }
                Some((tick, write)) => (Cause::Rights(write), tick, None),
                None => (Cause::Unknown, self.tick, None),
            },
        };
        let fence = |scope| Fence { architecture, scope };
        let mut later = state.invalidations.iter().rev();
        let insufficient = later.find(|(at, of, _)| *at > tick && *of == unit.number());
        Found {
            cause,
            invalidation: scope.map(fence),
            insufficient: insufficient.map(|(_, _, scope)| fence(*scope)),
        }
    }

    /// The last write that made one of the entries another one, and which entry, counted from the root.
    fn stale_entry(
        &self,
        architecture: Architecture,
        state: &State,
        kind: Kind,
    ) -> Option<(u64, EntryWrite, usize)> {
        let (mut writes, leaf) = (Vec::new(), self.entries.len().wrapping_sub(1));
        for (at, entry) in self.entries.iter().enumerate() {
            let changed = |(_, write): &&(u64, EntryWrite)| match kind {
                Kind::NotDirty | Kind::NotAccessed => {
                    at == leaf && loses_flag(architecture, kind, write)
                }
                _ => {
                    let differs = |raw: u64| (raw ^ entry.raw) & !architecture.walker_bits() != 0;
                    !differs(write.before) && differs(write.after)
                }
            };
            let last = state.writes_after(entry.addr, self.tick).rev().find(changed);
            writes.extend(last.map(|(tick, write)| (*tick, write.clone(), at)));
        }
        // Of several, that of the entry nearest to the root: those below it are not on the way any more.
        writes.into_iter().next()
    }

    /// The last write of a register that is not as it was: of the root if that has changed.
    fn changed_register<U: Registers>(
        &self,
        unit: &Sanitized<U>,
        state: &State,
        values: &[u64],
    ) -> Option<(u64, RegisterWrite)> {
        let infos = unit.registers().iter().zip(self.values.iter().zip(values));
        let changed: Vec<_> =
            infos.filter(|(_, (then, now))| then != now).map(|(info, _)| info).collect();
        let root = changed.iter().find(|info| unit.architecture().is_root(info.name));
        let register = root.or_else(|| changed.first())?;
        let mut writes = state.register_writes.iter().rev();
        let last = writes.find(|(tick, of, write)| {
            *tick > self.tick && *of == unit.number() && write.name == register.name
        });
        last.map(|(tick, _, write)| (*tick, write.clone()))
    }
}

/// Whether a write clears the flag that is missing.
fn loses_flag(architecture: Architecture, kind: Kind, write: &EntryWrite) -> bool {
    let flag = |raw| {
        architecture.flags(raw).is_some_and(|flags| match kind {
            Kind::NotDirty => flags.dirty,
            _ => flags.accessed,
        })
    };
    flag(write.before) && !flag(write.after)
}
