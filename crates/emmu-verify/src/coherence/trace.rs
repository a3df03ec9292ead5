//! Reads the source of an access's answer from the events that the unit reports.

use super::replay::TracedRead;
use emmu_core::{Event, GuestAccess, PhysAddr};
use emmu_oracle::{Memory, reference::SparseMemory, two_stage::Visit};

/// The events of one access, sorted by stage.
#[derive(Debug)]
pub(super) struct Trace {
    /// The events of the first stage, or of the only one.
    pub(super) whole: Part,
    /// The translations of the second stage for this access, in order.
    pub(super) parts: Vec<Part>,
    /// Memory as it must be after the access.
    pub(super) memory: SparseMemory,
}

/// The events of one stage while it translates one address.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The guest-physical access that is translated, if the stage is the second.
    pub(super) guest: Option<GuestAccess>,
    hit: bool,
    missed: bool,
    began: bool,
    /// True if the walk ended in a fault; `None` if there was no walk.
    pub(super) faulted: Option<bool>,
    /// The level of the table that a walk cache held.
    cached_level: Option<u8>,
    /// The entries that the walk read after its last beginning.
    pub(super) reads: Vec<TracedRead>,
    /// The entries that the walk changed since its first beginning.
    pub(super) updates: Vec<(PhysAddr, u64)>,
    /// True if the walk began more than once.
    pub(super) restarted: bool,
    /// Number of second-stage translations that were over when the walk last began.
    pub(super) after: usize,
    /// The address at which the first stage found the entry that it looked for.
    pub(super) led: Option<PhysAddr>,
    /// True if the first stage changed that entry there.
    pub(super) updating: bool,
}

/// The source of a stage's answer.
#[derive(Debug)]
pub(super) enum Source {
    /// No table was used.
    Untranslated,
    /// A TLB held the translation.
    Hit,
    /// A walk from the root, whose first entry has this level.
    FromRoot { level: u8 },
    /// A walk that began in a table of this level that a walk cache held, and the first entry that it read, if any.
    Shortened { level: u8, addr: Option<PhysAddr> },
}

impl Trace {
    /// Makes the trace of an access from its events and memory before it. Returns `None` if an entry held another value
    /// than the event reports.
    pub(super) fn of(events: &[Event], memory: SparseMemory) -> Option<Self> {
        let mut trace = Self { whole: Part::default(), parts: Vec::new(), memory };
        let (mut inside, mut pending) = (false, false);
        for event in events {
            match *event {
                Event::SecondStage(guest) => {
                    if trace.parts.last().is_some_and(Part::lost_update) {
                        trace.whole.begin_again(trace.parts.len());
                    }
                    trace.parts.push(Part { guest: Some(guest), ..Part::default() });
                    inside = true;
                }
                Event::SecondStageEnd => (inside, pending) = (false, true),
                Event::EntryRead { level, addr, raw } => {
                    let held = trace.held(addr, raw)?;
                    let gpa = if inside { None } else { trace.arrive(&mut pending, addr, false) };
                    let after = trace.parts.len() - usize::from(gpa.is_some());
                    let traced = TracedRead { level, addr: gpa.unwrap_or(addr), host: addr, held };
                    trace.part(inside)?.read(traced, after);
                }
                Event::EntryUpdate { addr, raw, .. } => {
                    // No format has its flags above bit 31.
                    trace.memory.write32(addr, u32::try_from(raw & 0xffff_ffff).ok()?);
                    if !inside {
                        trace.arrive(&mut pending, addr, true);
                    }
                    trace.part(inside)?.updates.push((addr, raw));
                }
                ref other => trace.part(inside)?.record(other),
            }
        }
        Some(trace)
    }

    fn part(&mut self, inside: bool) -> Option<&mut Part> {
        if inside { self.parts.last_mut() } else { Some(&mut self.whole) }
    }

    /// Records that the first stage is at an entry. If the second stage has just translated the entry's guest-physical
    /// address, returns that address.
    fn arrive(&mut self, pending: &mut bool, host: PhysAddr, updating: bool) -> Option<PhysAddr> {
        let part = self.parts.last_mut().filter(|_| *pending)?;
        *pending = false;
        (part.led, part.updating) = (Some(host), updating);
        part.guest.map(|guest| guest.addr)
    }

    /// Returns the eight bytes that are there now, if they begin with the reported value.
    fn held(&self, addr: PhysAddr, raw: u64) -> Option<u64> {
        let word = |addr| self.memory.read32(addr).map_or(0, u64::from);
        let (low, high) = (word(addr), word(addr.wrapping_add(4)));
        let held = high << 32 | low;
        (raw == low || raw == held).then_some(held)
    }
}

impl Part {
    fn record(&mut self, event: &Event) {
        match *event {
            Event::TlbHit { .. } => self.hit = true,
            Event::TlbMiss { .. } => self.missed = true,
            Event::WalkBegin(_) => self.began = true,
            Event::WalkEnd { faulted } => self.faulted = Some(faulted),
            Event::WalkCacheHit { level } => self.cached_level = Some(level),
            _ => {}
        }
    }

    /// Adds a read. A walk whose level does not go down has begun again from the root.
    fn read(&mut self, traced: TracedRead, after: usize) {
        if self.reads.last().is_some_and(|last| last.level <= traced.level) {
            self.begin_again(after);
        }
        self.reads.push(traced);
    }

    fn begin_again(&mut self, after: usize) {
        self.reads.clear();
        (self.restarted, self.cached_level, self.after) = (true, None, after);
    }

    /// Returns true if the second stage translated for a change of an entry, and the first stage went on without the
    /// change: the entry held another value by then, and the walk begins again.
    fn lost_update(&self) -> bool {
        self.guest.is_some_and(|guest| guest.walk) && self.led.is_none()
    }

    /// Returns true if the first level of TLB hit, so that nothing was filled.
    pub(super) fn fills_nothing(&self) -> bool {
        self.hit && !self.missed && !self.began
    }

    pub(super) fn source(&self) -> Source {
        let (level, addr) = self.reads.first().map(|traced| (traced.level, traced.addr)).unzip();
        match self.cached_level {
            Some(level) => Source::Shortened { level, addr },
            None if self.began => Source::FromRoot { level: level.unwrap_or(0) },
            None if self.hit => Source::Hit,
            None => Source::Untranslated,
        }
    }

    /// Returns the purpose for which the first stage used the guest-physical address.
    pub(super) fn visit(&self) -> Visit {
        match self.guest {
            Some(guest) if guest.walk => {
                let reads = self.led.is_some() && !self.updating || !guest.kind.writes();
                if reads { Visit::WalkRead } else { Visit::WalkUpdate }
            }
            _ => Visit::Access,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_core::AccessKind;

    /// Makes the events of a second-stage translation, of the entry at this guest-physical address, that hits.
    fn query(gpa: u64) -> [Event; 2] {
        let (addr, kind) = (PhysAddr::new(gpa), AccessKind::Amo);
        let guest = GuestAccess { addr, kind, walk: true, rights: 0 };
        [Event::SecondStage(guest), Event::SecondStageEnd]
    }

    fn read(level: u8, addr: u64) -> Event {
        Event::EntryRead { level, addr: PhysAddr::new(addr), raw: 0 }
    }

    #[test]
    fn a_walk_that_loses_an_update_begins_again_even_if_it_gets_nowhere() {
        let mut events = Vec::new();
        for (level, place) in [(1, 0x1000), (0, 0x2000)] {
            events.extend(query(place));
            events.push(read(level, place));
        }
        let trace = Trace::of(&events, SparseMemory::default()).unwrap();
        assert_eq!(
            (trace.whole.restarted, trace.whole.after, trace.whole.reads.len()),
            (false, 0, 2)
        );
        // The update of the upper entry, lost; and the first entry once more, which cannot be reached.
        events.extend(query(0x1000).into_iter().chain(query(0x1000)));
        let trace = Trace::of(&events, SparseMemory::default()).unwrap();
        assert_eq!(
            (trace.whole.restarted, trace.whole.after, trace.whole.reads.len()),
            (true, 3, 0)
        );
    }
}
