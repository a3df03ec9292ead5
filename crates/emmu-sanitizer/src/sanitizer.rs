//! The state that units and buses of one sanitizer share.

use crate::{
    By, EntryWrite, RegisterWrite, Report, Sanitized, Severity, Watched, When,
    record::{Entry, Stage},
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    string::String,
    vec::Vec,
};
use core::cell::{Ref, RefCell, RefMut};
use emmu_core::{Access, Invalidate, PhysAddr, Registers, Translation, Width};

/// How many writes are remembered of each entry, and how many register writes and invalidations of all.
const REMEMBERED: usize = 64;

/// Checks every translation of the units that it wraps, against the tables behind the bus that it wraps.
///
/// It is a handle: clones are the same sanitizer. The units of several CPUs on one bus belong to one sanitizer, so that
/// a write of one CPU is found to have made the TLB of another one stale.
#[derive(Clone, Debug, Default)]
pub struct Sanitizer(Rc<RefCell<State>>);

impl Sanitizer {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A unit whose every translation is checked. It needs a bus of the same sanitizer.
    #[must_use]
    pub fn unit<U: Registers>(&self, unit: U) -> Sanitized<U> {
        let number = self.state().units;
        self.state_mut().units += 1;
        Sanitized::new(unit, self.clone(), number)
    }

    /// A bus whose writes of table entries are recorded. It has no RAM pages, so that a CPU takes no short path past
    /// it.
    #[must_use]
    pub fn bus<B>(&self, bus: B) -> Watched<B> {
        Watched::new(bus, self.clone())
    }

    /// Says what runs from now on: a function of the kernel, a program counter, a process. Reports quote it.
    pub fn mark(&self, place: impl Into<String>) {
        self.state_mut().place = Some(place.into());
    }

    /// Returns the reports in order, each cause once.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.state().reports.clone()
    }

    /// The first error that was found, warnings apart.
    ///
    /// # Errors
    /// Its [`Report`].
    pub fn check(&self) -> Result<(), alloc::boxed::Box<Report>> {
        let is_error = |report: &&Report| report.kind.severity() == Severity::Error;
        match self.state().reports.iter().find(is_error) {
            Some(report) => Err(report.clone().into()),
            None => Ok(()),
        }
    }

    pub(crate) fn state(&self) -> Ref<'_, State> {
        self.0.borrow()
    }

    pub(crate) fn state_mut(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

/// The activity to which the bus puts down each transfer.
#[derive(Debug, Default)]
pub(crate) enum Doing {
    /// Nothing that is known of.
    #[default]
    Nothing,
    /// A look at the tables.
    Looking,
    /// The walk of an access.
    Walking(Access),
    /// The transfer of an access, to these places.
    Moving { access: Access, pieces: Vec<(PhysAddr, u64)> },
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) units: usize,
    pub(crate) reports: Vec<Report>,
    pub(crate) register_writes: VecDeque<(u64, usize, RegisterWrite)>,
    pub(crate) invalidations: VecDeque<(u64, usize, Invalidate)>,
    /// The entries that cached translations depend on.
    entries: BTreeMap<PhysAddr, Watch>,
    doing: Doing,
    /// The entries read since the activity began.
    read: Vec<Entry>,
    place: Option<String>,
    accesses: u64,
    tick: u64,
}

/// An entry, and how it changed.
#[derive(Debug)]
struct Watch {
    width: Width,
    writes: VecDeque<(u64, EntryWrite)>,
}

impl State {
    pub(crate) fn now(&self) -> When {
        When { number: self.accesses, place: self.place.clone() }
    }

    /// A moment that is later than all before.
    pub(crate) fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// Begins a look at the tables, and returns the activity before it.
    pub(crate) fn look(&mut self) -> Doing {
        self.read.clear();
        core::mem::replace(&mut self.doing, Doing::Looking)
    }

    /// The look is over, and read these entries.
    pub(crate) fn looked(&mut self, before: Doing) -> Vec<Entry> {
        self.doing = before;
        core::mem::take(&mut self.read)
    }

    /// An access, or the rest of one, is to be translated. Returns what the bus heard of before.
    pub(crate) fn begin(&mut self, access: Access) -> Doing {
        self.read.clear();
        self.accesses += 1;
        core::mem::replace(&mut self.doing, Doing::Walking(access))
    }

    /// It has been translated. Says whether no entry was read for it.
    pub(crate) fn end(
        &mut self,
        before: Doing,
        access: Access,
        found: Option<Translation>,
    ) -> bool {
        self.doing = match found {
            Some(found) => moving(before, access, found),
            None => Doing::Nothing,
        };
        let is_hit = self.read.is_empty();
        self.read.clear();
        is_hit
    }

    /// The bus was read.
    pub(crate) fn note_read(&mut self, addr: PhysAddr, width: Width, raw: u64) {
        if matches!(self.doing, Doing::Looking | Doing::Walking(_)) {
            let (stage, is_leaf) = (Stage::First, false);
            self.read.push(Entry { addr, width, raw, level: None, stage, is_leaf });
        }
    }

    /// From now on the writes of these entries are remembered.
    pub(crate) fn watch(&mut self, entries: &[Entry]) {
        for &Entry { addr, width, .. } in entries {
            let watch = || Watch { width, writes: VecDeque::new() };
            self.entries.entry(addr).or_insert_with(watch);
        }
    }

    /// The entries that a write to these bytes touches.
    pub(crate) fn touched(&self, addr: PhysAddr, len: u64) -> Vec<(PhysAddr, Width)> {
        // No entry is longer than eight bytes.
        let first = PhysAddr::new(addr.raw().saturating_sub(7));
        let last = PhysAddr::new(addr.raw().saturating_add(len.saturating_sub(1)));
        let near = self.entries.range(first..=last);
        let reaches = |at: PhysAddr, width: Width| at.raw() + width.bytes() > addr.raw();
        near.filter(|(at, watch)| reaches(**at, watch.width))
            .map(|(at, watch)| (*at, watch.width))
            .collect()
    }

    /// An entry changed.
    pub(crate) fn note_write(&mut self, addr: PhysAddr, before: u64, after: u64, to: PhysAddr) {
        let (tick, by, when) = (self.tick(), self.writer(to), self.now());
        if let Some(Watch { writes, .. }) = self.entries.get_mut(&addr) {
            push(writes, (tick, EntryWrite { addr, before, after, by, when }));
        }
    }

    /// The writes of an entry after a moment, the first one first.
    pub(crate) fn writes_after(
        &self,
        addr: PhysAddr,
        tick: u64,
    ) -> impl DoubleEndedIterator<Item = &(u64, EntryWrite)> {
        let writes = self.entries.get(&addr).map(|watch| &watch.writes);
        writes.into_iter().flatten().filter(move |(at, _)| *at > tick)
    }

    /// Returns the writer of this address.
    fn writer(&self, to: PhysAddr) -> By {
        let within = |&(addr, len): &(PhysAddr, u64)| to.raw().wrapping_sub(addr.raw()) < len;
        match &self.doing {
            Doing::Walking(access) => By::Walk(*access),
            Doing::Moving { access, pieces }
                if access.kind.writes() && pieces.iter().any(within) =>
            {
                By::Access(*access)
            }
            _ => By::Unknown,
        }
    }
}

/// Adds to what is remembered.
pub(crate) fn push<T>(remembered: &mut VecDeque<T>, item: T) {
    if remembered.len() == REMEMBERED {
        remembered.pop_front();
    }
    remembered.push_back(item);
}

/// Returns the transfer that follows the translation of an access, which may be the rest of the one `before`.
fn moving(before: Doing, access: Access, found: Translation) -> Doing {
    let piece = (found.addr, found.span.min(access.size.into()));
    let covered = |pieces: &[(PhysAddr, u64)]| pieces.iter().map(|(_, len)| len).sum::<u64>();
    match before {
        Doing::Moving { access: whole, mut pieces }
            if whole.at(access.addr, access.size) == access
                && whole.addr.wrapping_add(covered(&pieces)) == access.addr
                && covered(&pieces) + u64::from(access.size) == whole.size.into() =>
        {
            pieces.push(piece);
            Doing::Moving { access: whole, pieces }
        }
        _ => Doing::Moving { access, pieces: alloc::vec![piece] },
    }
}
