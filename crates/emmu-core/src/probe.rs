//! What happens inside, told to whoever listens. Units tell what happened and never what it costs.

use crate::{Access, Cause, GuestAccess, Invalidate, PhysAddr, RegisterId, VirtAddr};
use alloc::boxed::Box;

/// Which stream of accesses a TLB serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Fetches.
    Instruction,
    /// Loads, stores and atomics.
    Data,
    /// Both.
    Unified,
    /// The walks of the first stage and guest-physical addresses of data: a TLB of the second stage alone.
    SecondStage,
}

/// One level of TLB on one side: what counts as *a* TLB in statistics, of however many tables it consists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlbId {
    /// 1 is the one nearest to the CPU.
    pub level: u8,
    /// Whom it serves.
    pub side: Side,
}

/// One thing that happened, in the order in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The CPU starts an access. All that follows, up to the next `Access`, is on its account.
    Access(Access),
    /// The CPU repeats an access that a handler has repaired; otherwise like `Access`.
    Restart(Access),
    /// A TLB held the translation of a piece of the access.
    TlbHit {
        /// Which one.
        tlb: TlbId,
        /// The piece looked up.
        access: Access,
    },
    /// A TLB did not hold it.
    TlbMiss {
        /// Which one.
        tlb: TlbId,
        /// The piece looked up.
        access: Access,
    },
    /// A translation entered a TLB.
    TlbFill {
        /// Which one.
        tlb: TlbId,
        /// First byte of the page.
        page: VirtAddr,
        /// Log2 of the page size in bytes, as the TLB holds it.
        bits: u8,
    },
    /// A page walk begins.
    WalkBegin(Access),
    /// A walk cache had the table of this level: the walk reads its first entry there.
    WalkCacheHit {
        /// Level of the table that it pointed to.
        level: u8,
    },
    /// No walk cache helped: the walk starts at the root. Told only where there are walk caches.
    WalkCacheMiss,
    /// The walk read a table entry.
    EntryRead {
        /// Its level; 0 is that of the smallest pages.
        level: u8,
        /// Where it stands.
        addr: PhysAddr,
        /// Its bits.
        raw: u64,
    },
    /// The walk set accessed or dirty bits in an entry, by compare-exchange.
    EntryUpdate {
        /// Its level.
        level: u8,
        /// Where it stands.
        addr: PhysAddr,
        /// Its bits from now on.
        raw: u64,
    },
    /// The page walk is over.
    WalkEnd {
        /// Whether it ended in a fault.
        faulted: bool,
    },
    /// The second of two stages begins to translate a guest-physical address. Up to [`Event::SecondStageEnd`]
    /// all events of walk caches and walks are the second stage's; its TLBs are on [`Side::SecondStage`].
    SecondStage(GuestAccess),
    /// The first stage, whose walk may be under way, goes on.
    SecondStageEnd,
    /// Bytes of the access moved on the bus.
    Transfer {
        /// The piece: its first byte and size.
        access: Access,
        /// Where it went.
        addr: PhysAddr,
    },
    /// An access was refused.
    Fault {
        /// The whole access.
        access: Access,
        /// Why.
        cause: Cause,
    },
    /// The CPU entered the handler.
    TrapEnter,
    /// The handler returned.
    TrapReturn,
    /// A register of the translation unit was written.
    RegisterWrite(RegisterId),
    /// Cached translations were invalidated.
    Invalidate(Invalidate),
}

/// Listens to events. Anything that counts, prices, records or explains is a probe.
///
/// `()` hears nothing, and code that is monomorphised with it has no trace of probing. Probes combine:
/// `(A, B)` tells both, `&mut P`, `Option<P>` and `Box<P>` pass on.
pub trait Probe {
    /// Takes note of one event.
    fn on(&mut self, event: Event);
}

impl Probe for () {
    #[inline(always)]
    fn on(&mut self, _: Event) {}
}

impl<A: Probe, B: Probe> Probe for (A, B) {
    // Or else every event goes through memory, and what it is through a jump table.
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

/// Keeps every event, in order: for tests and small experiments.
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
    fn a_probe_can_be_boxed() {
        let mut probe: Box<dyn Probe> = Box::new(Vec::<Event>::new());
        probe.on(Event::TrapReturn);
    }
}
