//! Events and probes. Units tell a probe what happens, and never what it costs.

use crate::{Access, Cause, GuestAccess, Invalidate, PhysAddr, RegisterId, VirtAddr};
use alloc::boxed::Box;

/// The stream of accesses that a TLB serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Fetches.
    Instruction,
    /// Loads, stores and atomics.
    Data,
    /// Both streams.
    Unified,
    /// Guest-physical addresses: those of first-stage walks and those of data. Such a TLB belongs to the second
    /// stage alone.
    SecondStage,
}

/// One level of TLB on one side. Statistics count it as one TLB, even if it consists of several tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlbId {
    /// The level; 1 is nearest to the CPU.
    pub level: u8,
    /// The stream of accesses that the TLB serves.
    pub side: Side,
}

/// Something that happened. A unit and a CPU tell events in the order in which they happen.
///
/// Later versions may add events. A probe ignores the events that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The CPU starts an access. All events up to the next `Access` or `Restart` belong to it.
    Access(Access),
    /// The CPU repeats an access after a handler has repaired the cause of its fault. Otherwise the event is
    /// like `Access`.
    Restart(Access),
    /// A TLB held the translation of a piece of the access.
    TlbHit {
        /// The TLB.
        tlb: TlbId,
        /// The piece of the access that was looked up.
        access: Access,
    },
    /// A TLB did not hold the translation of a piece of the access.
    TlbMiss {
        /// The TLB.
        tlb: TlbId,
        /// The piece of the access that was looked up.
        access: Access,
    },
    /// A translation entered a TLB.
    TlbFill {
        /// The TLB.
        tlb: TlbId,
        /// The first byte of the page.
        page: VirtAddr,
        /// Log2 of the page size in bytes. The size is that of the TLB's entry.
        bits: u8,
    },
    /// A page walk begins.
    WalkBegin(Access),
    /// A walk cache held the address of a table, so that the walk reads its first entry there.
    WalkCacheHit {
        /// The level of that table.
        level: u8,
    },
    /// No walk cache held a table, so that the walk starts at the root. Only units with walk caches tell this
    /// event.
    WalkCacheMiss,
    /// The walk read a table entry.
    EntryRead {
        /// The level of the entry; 0 is the level of the smallest pages.
        level: u8,
        /// The physical address of the entry.
        addr: PhysAddr,
        /// The bits of the entry.
        raw: u64,
    },
    /// The walk set accessed or dirty bits in an entry, by compare-exchange.
    EntryUpdate {
        /// The level of the entry.
        level: u8,
        /// The physical address of the entry.
        addr: PhysAddr,
        /// The new bits of the entry.
        raw: u64,
    },
    /// The page walk is over.
    WalkEnd {
        /// True if the walk ended in a fault.
        faulted: bool,
    },
    /// The second of two stages begins to translate a guest-physical address. Up to [`Event::SecondStageEnd`],
    /// all events of walk caches and walks belong to the second stage. Its TLBs have the side
    /// [`Side::SecondStage`].
    SecondStage(GuestAccess),
    /// The second stage has ended, and the first stage continues. A walk of the first stage may be under way.
    SecondStageEnd,
    /// The bus moved the bytes of one piece of the access.
    Transfer {
        /// The piece, with its first byte and size.
        access: Access,
        /// The physical address of its first byte.
        addr: PhysAddr,
    },
    /// An access was refused.
    Fault {
        /// The whole access.
        access: Access,
        /// The cause of the refusal.
        cause: Cause,
    },
    /// The CPU entered the trap handler.
    TrapEnter,
    /// The trap handler returned.
    TrapReturn,
    /// A register of the translation unit was written.
    RegisterWrite(RegisterId),
    /// Cached translations were invalidated.
    Invalidate(Invalidate),
}

impl Event {
    /// The names of all events. The test of a probe that must know every event compares its own list with this one.
    pub const NAMES: &'static [&'static str] = &[
        "access",
        "restart",
        "tlb_hit",
        "tlb_miss",
        "tlb_fill",
        "walk_begin",
        "walk_cache_hit",
        "walk_cache_miss",
        "entry_read",
        "entry_update",
        "walk_end",
        "second_stage",
        "second_stage_end",
        "transfer",
        "fault",
        "trap_enter",
        "trap_return",
        "register_write",
        "invalidate",
    ];

    /// Returns the name of the event: one of [`Event::NAMES`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        // A new event has a place in `NAMES`, too.
        match self {
            Self::Access(_) => "access",
            Self::Restart(_) => "restart",
            Self::TlbHit { .. } => "tlb_hit",
            Self::TlbMiss { .. } => "tlb_miss",
            Self::TlbFill { .. } => "tlb_fill",
            Self::WalkBegin(_) => "walk_begin",
            Self::WalkCacheHit { .. } => "walk_cache_hit",
            Self::WalkCacheMiss => "walk_cache_miss",
            Self::EntryRead { .. } => "entry_read",
            Self::EntryUpdate { .. } => "entry_update",
            Self::WalkEnd { .. } => "walk_end",
            Self::SecondStage(_) => "second_stage",
            Self::SecondStageEnd => "second_stage_end",
            Self::Transfer { .. } => "transfer",
            Self::Fault { .. } => "fault",
            Self::TrapEnter => "trap_enter",
            Self::TrapReturn => "trap_return",
            Self::RegisterWrite(_) => "register_write",
            Self::Invalidate(_) => "invalidate",
        }
    }
}

/// A listener to events. Whatever counts, prices, records or explains is a probe.
///
/// `()` ignores every event, and code that is monomorphised with it contains no probing at all. Probes combine:
/// `(A, B)` tells both; `&mut P`, `Option<P>` and `Box<P>` pass events on.
pub trait Probe {
    /// Receives one event.
    fn on(&mut self, event: Event);
}

impl Probe for () {
    #[inline(always)]
    fn on(&mut self, _: Event) {}
}

impl<A: Probe, B: Probe> Probe for (A, B) {
    // Without inlining, every event would be written to memory and told apart by a jump table.
    #[inline(always)]
    fn on(&mut self, event: Event) {
        self.0.on(event);
        self.1.on(event);
    }
}

impl<P: Probe + ?Sized> Probe for &mut P {
    #[inline(always)]
    fn on(&mut self, event: Event) {
        (**self).on(event);
    }
}

impl<P: Probe + ?Sized> Probe for Box<P> {
    #[inline]
    fn on(&mut self, event: Event) {
        (**self).on(event);
    }
}

impl<P: Probe> Probe for Option<P> {
    #[inline]
    fn on(&mut self, event: Event) {
        if let Some(probe) = self {
            probe.on(event);
        }
    }
}

/// `Vec` keeps every event, in order, for tests and small experiments.
impl Probe for alloc::vec::Vec<Event> {
    fn on(&mut self, event: Event) {
        self.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn both_probes_of_a_pair_hear_an_event() {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        (&mut left, Some(&mut right)).on(Event::WalkCacheMiss);
        assert_eq!(left, [Event::WalkCacheMiss]);
        assert_eq!(left, right);
    }

    #[test]
    fn the_names_are_those_of_the_events() {
        let access = Access::load(VirtAddr::ZERO, 1);
        let guest = GuestAccess { addr: PhysAddr::ZERO, kind: access.kind, walk: false, rights: 0 };
        let (tlb, level, addr, raw) = (TlbId { level: 1, side: Side::Data }, 0, PhysAddr::ZERO, 0);
        let events = [
            Event::Access(access),
            Event::Restart(access),
            Event::TlbHit { tlb, access },
            Event::TlbMiss { tlb, access },
            Event::TlbFill { tlb, page: access.addr, bits: 12 },
            Event::WalkBegin(access),
            Event::WalkCacheHit { level },
            Event::WalkCacheMiss,
            Event::EntryRead { level, addr, raw },
            Event::EntryUpdate { level, addr, raw },
            Event::WalkEnd { faulted: false },
            Event::SecondStage(guest),
            Event::SecondStageEnd,
            Event::Transfer { access, addr },
            Event::Fault { access, cause: Cause::Absent },
            Event::TrapEnter,
            Event::TrapReturn,
            Event::RegisterWrite(RegisterId(0)),
            Event::Invalidate(Invalidate::All),
        ];
        let names: Vec<_> = events.iter().map(Event::name).collect();
        assert_eq!(names, Event::NAMES);
    }

    #[test]
    fn a_probe_can_be_boxed() {
        let mut probe: Box<dyn Probe> = Box::new(Vec::<Event>::new());
        probe.on(Event::TrapReturn);
    }
}
