//! The driver of the walk: it performs the steps of a walk on memory, through a second stage if there is one.

use crate::{
    format::{Format, Mapping},
    second::{Guest, SecondStage, granted},
    walk::{EntryAddr, Step, Trail, Walk},
};
use emmu_core::{
    Access, AccessKind, Bus, BusError, Cause, Event, Fault, FaultEntry, GuestAccess, PhysAddr,
    Privilege, Probe, Transfer, Width,
};

/// The refusal of a walk: its cause, and the entry or guest access that caused it.
#[derive(Debug)]
pub(crate) struct Refusal {
    cause: Cause,
    entry: Option<FaultEntry>,
    guest: Option<GuestAccess>,
}

impl Refusal {
    /// Makes the refusal of an entry that a walk has read.
    pub(crate) const fn of_entry(cause: Cause, entry: FaultEntry) -> Self {
        Self { cause, entry: Some(entry), guest: None }
    }

    /// Returns the entry and the cause, if the entry allows no access.
    pub(crate) fn invalid(&self) -> Option<(Cause, FaultEntry)> {
        let is_invalid = matches!(self.cause, Cause::Absent | Cause::Reserved | Cause::Misaligned);
        let entry = self.entry.filter(|entry| entry.raw.is_some())?;
        (is_invalid && self.guest.is_none()).then_some((self.cause, entry))
    }

    /// Returns true if the bits of an entry decided the refusal, and not the bus.
    pub(crate) const fn is_decided(&self) -> bool {
        !matches!(self.cause, Cause::Bus(_))
    }

    /// Makes a refusal that no entry decided.
    pub(crate) const fn of_none(cause: Cause) -> Self {
        Self { cause, entry: None, guest: None }
    }

    /// Makes the refusal of a visit to an entry, which was not read or written.
    const fn of_visit(cause: Cause, EntryAddr { level, addr, .. }: EntryAddr) -> Self {
        Self { cause, entry: Some(FaultEntry { level, addr, raw: None }), guest: None }
    }

    /// Makes the refusal of an access of the first stage by the second stage.
    pub(crate) const fn of_second_stage(fault: Fault) -> Self {
        Self { cause: fault.cause, entry: fault.entry, guest: fault.guest }
    }

    /// Makes the refusal of a visit to an entry of the first stage: that of the second stage if it raised the
    /// fault, and otherwise that of the visit itself.
    const fn on_way_to(entry: EntryAddr, fault: Fault) -> Self {
        match fault.guest {
            Some(_) => Self::of_second_stage(fault),
            None => Self::of_visit(fault.cause, entry),
        }
    }

    /// Makes the fault for the access that the CPU asked for.
    #[cold]
    pub(crate) fn of(self, asked: Access) -> Fault {
        Fault { entry: self.entry, guest: self.guest, ..Fault::new(asked, self.cause) }
    }
}

/// The memory on which the steps of a walk are performed.
pub(crate) trait TableMemory<F: Format> {
    /// Reads an entry.
    fn read(&mut self, format: &F, entry: EntryAddr) -> Result<u64, Refusal>;

    /// Replaces `current` by `new` in an entry, and returns the value that it held.
    fn update(
        &mut self,
        format: &F,
        entry: EntryAddr,
        current: u64,
        new: u64,
    ) -> Result<u64, Refusal>;

    /// Checks that an entry could be replaced, before any is.
    fn check_update(&mut self, format: &F, entry: EntryAddr) -> Result<(), Refusal>;

    /// Checks that the access may go where the mapping leads, before flags are set for it.
    fn check(
        &mut self,
        format: &F,
        mapping: &Mapping<F::Permissions>,
        access: Access,
    ) -> Result<(), Refusal>;
}

/// The tables on the bus. The probe receives the event of every visit.
pub(crate) struct OnBus<'a, S, B: ?Sized, P: ?Sized> {
    pub(crate) second: &'a mut S,
    pub(crate) bus: &'a mut B,
    pub(crate) probe: &'a mut P,
    /// The access for which the walk is made.
    pub(crate) access: Access,
}

impl<F: Format, S: SecondStage, B: Bus + ?Sized, P: Probe + ?Sized> TableMemory<F>
    for OnBus<'_, S, B, P>
{
    #[inline]
    fn read(&mut self, format: &F, entry: EntryAddr) -> Result<u64, Refusal> {
        // spec: riscv-2, riscv-pmp-walk
        let addr = self.place(entry, AccessKind::Load)?;
        let raw = guarded(format, entry, addr, AccessKind::Load, || match entry.width {
            // Nearly all formats have entries of eight bytes. With a constant width, the bus need not look at
            // the width.
            Width::B8 => self.bus.read(addr, Width::B8),
            width => self.bus.read(addr, width),
        })?;
        self.probe.on(Event::EntryRead { level: entry.level, addr, raw });
        Ok(raw)
    }

    fn update(
        &mut self,
        format: &F,
        entry: EntryAddr,
        current: u64,
        new: u64,
    ) -> Result<u64, Refusal> {
        // spec: riscv-9-check
        let EntryAddr { level, width, .. } = entry;
        let addr = self.place(entry, AccessKind::Store)?;
        let exchange = || self.bus.compare_exchange(addr, width, current, new);
        let held = guarded(format, entry, addr, AccessKind::Store, exchange)?;
        if held == current {
            self.probe.on(Event::EntryUpdate { level, addr, raw: new });
        }
        Ok(held)
    }

    fn check_update(&mut self, format: &F, entry: EntryAddr) -> Result<(), Refusal> {
        let checked = self.peeking().check_update(format, entry);
        self.foreseen(checked)
    }

    fn check(
        &mut self,
        format: &F,
        mapping: &Mapping<F::Permissions>,
        access: Access,
    ) -> Result<(), Refusal> {
        let checked = self.peeking().check(format, mapping, access);
        self.foreseen(checked)
    }
}

impl<S: SecondStage, B: Bus + ?Sized, P: Probe + ?Sized> OnBus<'_, S, B, P> {
    /// Treats a refusal of the second stage that is foreseen before flags are set like one that has occurred.
    #[inline]
    fn foreseen(&mut self, checked: Result<(), Refusal>) -> Result<(), Refusal> {
        if let Err(Refusal { guest: Some(guest), .. }) = &checked {
            self.second.invalidate_refused(guest.addr);
        }
        checked
    }

    /// Translates by the second stage the address that the walk has found.
    #[inline]
    pub(crate) fn beyond<Q>(
        &mut self,
        mapping: &Mapping<Q>,
    ) -> Result<Mapping<S::Permissions>, Refusal> {
        let guest = Guest::data(self.access, mapping.phys(self.access.addr));
        self.second.map(guest, self.bus, self.probe).map_err(Refusal::of_second_stage)
    }

    /// Returns the physical address of an entry.
    #[inline]
    fn place(&mut self, entry: EntryAddr, kind: AccessKind) -> Result<PhysAddr, Refusal> {
        if !S::EXISTS {
            return Ok(entry.addr);
        }
        let guest = Guest::walk(entry, kind, self.access);
        let mapping = self.second.map(guest, self.bus, self.probe);
        let mapping = mapping.map_err(|fault| Refusal::on_way_to(entry, fault))?;
        Ok(mapping.phys(guest.access.addr))
    }

    const fn peeking(&self) -> PeekOnBus<'_, S, B> {
        PeekOnBus { second: self.second, bus: self.bus, access: self.access }
    }
}

/// The tables as a debugger sees them. Nothing is written.
pub(crate) struct PeekOnBus<'a, S, B: ?Sized> {
    pub(crate) second: &'a S,
    pub(crate) bus: &'a B,
    /// The access for which the walk is made.
    pub(crate) access: Access,
}

impl<F: Format, S: SecondStage, B: Bus + ?Sized> TableMemory<F> for PeekOnBus<'_, S, B> {
    fn read(&mut self, format: &F, entry: EntryAddr) -> Result<u64, Refusal> {
        let addr = self.place(entry, AccessKind::Load)?;
        guarded(format, entry, addr, AccessKind::Load, || self.bus.peek(addr, entry.width))
    }

    /// Writes nothing. `check_update` has made sure that the update is possible.
    fn update(&mut self, _: &F, _: EntryAddr, current: u64, _: u64) -> Result<u64, Refusal> {
        Ok(current)
    }

    fn check_update(&mut self, format: &F, entry: EntryAddr) -> Result<(), Refusal> {
        let addr = self.place(entry, AccessKind::Store)?;
        let check = || self.bus.check(addr, entry.width.bytes(), Transfer::Write).map(|()| 0);
        guarded(format, entry, addr, AccessKind::Store, check).map(drop)
    }

    fn check(
        &mut self,
        format: &F,
        mapping: &Mapping<F::Permissions>,
        access: Access,
    ) -> Result<(), Refusal> {
        let Access { addr, size, .. } = access;
        let (mut place, mut span) = (mapping.phys(addr), mapping.span(addr));
        if S::EXISTS {
            let guest = Guest::data(access, place);
            let beyond = self.second.peek(guest, self.bus).map_err(Refusal::of_second_stage)?;
            span = span.min(beyond.span(guest.access.addr));
            place = beyond.phys(guest.access.addr);
        }
        let len = u64::from(size).min(span);
        granted::<F, S>(format, place, len, access).map_err(Refusal::of_none)?;
        Ok(())
    }
}

impl<S: SecondStage, B: Bus + ?Sized> PeekOnBus<'_, S, B> {
    /// Returns the physical address of an entry.
    fn place(&self, entry: EntryAddr, kind: AccessKind) -> Result<PhysAddr, Refusal> {
        if !S::EXISTS {
            return Ok(entry.addr);
        }
        let guest = Guest::walk(entry, kind, self.access);
        let mapping = self.second.peek(guest, self.bus);
        let mapping = mapping.map_err(|fault| Refusal::on_way_to(entry, fault))?;
        Ok(mapping.phys(guest.access.addr))
    }
}

/// Visits an entry at the physical address `addr`, if physical memory protection lets the walker.
#[inline]
fn guarded<F: Format>(
    format: &F,
    entry: EntryAddr,
    addr: PhysAddr,
    kind: AccessKind,
    visit: impl FnOnce() -> Result<u64, BusError>,
) -> Result<u64, Refusal> {
    format
        .grants(addr, entry.width.bytes(), kind, Privilege::Supervisor)
        .and_then(|_| Ok(visit()?))
        .map_err(|cause| Refusal::of_visit(cause, entry))
}

/// Performs the steps of a walk to its end.
#[inline]
pub(crate) fn drive<F: Format>(
    walk: &mut Walk<F::Permissions>,
    format: &F,
    trail: &mut Trail<F::Permissions>,
    tables: &mut impl TableMemory<F>,
) -> Result<Mapping<F::Permissions>, Refusal> {
    let mut entry = walk.start(format);
    loop {
        let raw = tables.read(format, entry)?;
        match walk.read(format, raw, trail) {
            Step::Read(next) => entry = next,
            Step::Done(mapping) => return Ok(mapping),
            Step::Fault(cause) => return Err(decided(walk, format, trail, cause)),
            due @ (Step::Check(_) | Step::Update { .. }) => {
                let settled = settle(*walk, format, due, trail, tables)?;
                *walk = settled.0;
                match settled.1 {
                    Some(mapping) => return Ok(mapping),
                    None => entry = walk.start(format),
                }
            }
        }
    }
}

/// A walk after its updates, and its result: `None` if the walk starts again.
type Settled<P> = (Walk<P>, Option<Mapping<P>>);

/// Performs the updates at the end of a walk. It takes the walk by value, so that a walk without updates need
/// never be in memory.
#[inline(never)]
fn settle<F: Format>(
    mut walk: Walk<F::Permissions>,
    format: &F,
    mut step: Step<F::Permissions>,
    trail: &mut Trail<F::Permissions>,
    tables: &mut impl TableMemory<F>,
) -> Result<Settled<F::Permissions>, Refusal> {
    loop {
        step = match step {
            Step::Check(mapping) => {
                tables.check(format, &mapping, walk.access())?;
                rehearse(walk, format, trail, tables)?;
                walk.checked(format, trail)
            }
            Step::Update { entry, current, new } => {
                let held = tables.update(format, entry, current, new)?;
                walk.updated(format, held, trail)
            }
            Step::Read(_) => return Ok((walk, None)),
            Step::Done(mapping) => return Ok((walk, Some(mapping))),
            Step::Fault(cause) => return Err(decided(&walk, format, trail, cause)),
        };
    }
}

/// Checks all updates and makes none, so that a refusal of the last one finds the first one not yet made.
fn rehearse<F: Format>(
    mut walk: Walk<F::Permissions>,
    format: &F,
    trail: &mut Trail<F::Permissions>,
    tables: &mut impl TableMemory<F>,
) -> Result<(), Refusal> {
    let mut step = walk.checked(format, trail);
    while let Step::Update { entry, current, .. } = step {
        tables.check_update(format, entry)?;
        step = walk.updated(format, current, trail);
    }
    Ok(())
}

/// Makes the refusal by the entry that the walk has read.
fn decided<F: Format>(
    walk: &Walk<F::Permissions>,
    format: &F,
    trail: &Trail<F::Permissions>,
    cause: Cause,
) -> Refusal {
    Refusal::of_entry(cause, walk.refusing(format, trail))
}
