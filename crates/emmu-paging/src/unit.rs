//! The paging unit: TLBs, then walk caches, then the walk, then the bus.

use crate::{
    ConfigError, PagingConfig, Scope,
    format::{Format, Mapping, Root, Route},
    scope::{Scopes, Visible},
    tlb::{Hit, Tlbs},
    walk::{EntryAddr, Step, Walk},
    walk_cache::WalkCaches,
};
use emmu_core::{
    Access, AccessKind, Bus, BusError, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr,
    Privilege, Probe, RAM_PAGE_BITS, RegisterError, RegisterId, RegisterInfo, Registers, Ticket,
    Translation, TranslationUnit, VirtAddr, Width,
};

/// A paging unit of format `F`.
///
/// A TLB hit that does not allow the access, and a write through an entry that is not yet dirty, go to the
/// tables: the walk decides alone, and its outcome replaces the entry. So every fault tells of the entry
/// in memory that caused it, as on processors that walk again before they report a page fault.
#[derive(Clone, Debug)]
pub struct Paging<F: Format> {
    format: F,
    tlbs: Tlbs<F::Permissions>,
    walk_caches: WalkCaches<F::Permissions>,
    scopes: Scopes,
    /// Changes with everything that could change the answer to an access other than TLB contents.
    epoch: u64,
}

/// The ticket slot of accesses that no TLB serves because translation is off.
const UNTRANSLATED: u32 = u32::MAX;

impl<F: Format> Paging<F> {
    /// A unit with cold TLBs and walk caches.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn new(format: F, config: &PagingConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            format,
            tlbs: Tlbs::new(&config.tlb),
            walk_caches: WalkCaches::new(&config.walk_cache),
            scopes: Scopes::new(),
            epoch: 0,
        })
    }

    /// A unit without any TLB or walk cache: every access walks.
    #[must_use]
    pub fn uncached(format: F) -> Self {
        Self {
            format,
            tlbs: Tlbs::new(&[]),
            walk_caches: WalkCaches::new(&[]),
            scopes: Scopes::new(),
            epoch: 0,
        }
    }

    /// The format with its registers.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    #[inline]
    fn translate_paged(
        &mut self,
        access: Access,
        root: Root<F::Permissions>,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Translation, Fault> {
        let visible = self.scopes.visible(root.asid);
        let known = self.tlbs.lookup(root.access, visible, &self.scopes, probe);
        let hit = match known.filter(|hit| self.suffices(&hit.mapping, root.access)) {
            Some(hit) => hit,
            None => self.refill(access, root, visible, bus, probe)?,
        };
        let Hit { mapping, first } = hit;
        // A repeated hit is told to the probe as the CPU made it, so that must be what was looked up.
        let repeatable = u32::from(mapping.bits) >= RAM_PAGE_BITS && root.access == access;
        let ticket = first.filter(|_| repeatable);
        let found = Translation {
            addr: mapping.phys(root.access.addr),
            span: mapping.span(root.access.addr),
            attributes: mapping.attributes,
            ticket: ticket.map(|(slot, version)| Ticket { slot, version, epoch: self.epoch }),
        };
        self.protect(found, root.access).map_err(|cause| Fault::new(access, cause))
    }

    /// Whether a cached mapping settles the access, without a visit to the tables.
    #[inline]
    fn suffices(&self, mapping: &Mapping<F::Permissions>, access: Access) -> bool {
        self.format.permits(mapping.permissions, access).is_ok()
            && (mapping.dirty || !access.kind.writes())
    }

    /// Walks, and remembers what came of it.
    fn refill(
        &mut self,
        access: Access,
        root: Root<F::Permissions>,
        visible: Visible,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Hit<F::Permissions>, Fault> {
        probe.on(Event::WalkBegin(access));
        let mut walk = self.walk_caches.begin(root, visible, probe);
        let outcome = drive(&mut walk, &self.format, &mut Live { bus, probe });
        probe.on(Event::WalkEnd { faulted: outcome.is_err() });
        let mapping = outcome.map_err(|refusal| refusal.of(access))?;
        self.walk_caches.fill(&walk, visible, &self.scopes);
        Ok(self.tlbs.fill(mapping, root.access, visible, &self.scopes, probe))
    }

    /// Cuts the span to what physical memory protection grants alike.
    #[inline]
    fn protect(&self, found: Translation, access: Access) -> Result<Translation, Cause> {
        let len = u64::from(access.size).min(found.span);
        let granted = self.format.grants(found.addr, len, access.kind, access.privilege)?;
        let span = found.span.min(granted);
        let whole_page = span == found.span;
        Ok(Translation { span, ticket: found.ticket.filter(|_| whole_page), ..found })
    }

    fn identity(&self, access: Access, addr: PhysAddr, bits: u8) -> Result<Translation, Fault> {
        let last = emmu_core::low_mask(bits.into());
        let Some(left) = last.checked_sub(addr.raw()) else {
            return Err(Fault::new(access, Cause::NonCanonical));
        };
        let ticket = Ticket { slot: UNTRANSLATED, version: 0, epoch: self.epoch };
        let found = Translation {
            ticket: Some(ticket).filter(|_| addr.raw() == access.addr.raw()),
            ..Translation::new(addr, left.saturating_add(1))
        };
        self.protect(found, access).map_err(|cause| Fault::new(access, cause))
    }

    fn invalidate_page(&mut self, addr: VirtAddr, concerns: impl Fn(Scope) -> bool + Copy) {
        self.tlbs.remove_page(addr, concerns);
        if F::PAGE_INVALIDATION_EMPTIES_WALK_CACHES {
            self.walk_caches.remove_scopes(concerns);
        } else {
            self.walk_caches.remove_page(addr, concerns);
        }
    }
}

impl<F: Format> Registers for Paging<F> {
    fn registers(&self) -> &'static [RegisterInfo] {
        F::REGISTERS
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.format.read_register(id)
    }
}

impl<F, B, P> TranslationUnit<B, P> for Paging<F>
where
    F: Format,
    B: Bus + ?Sized,
    P: Probe + ?Sized,
{
    #[inline]
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        match self.format.route(access) {
            Ok(Route::Walk(root)) => self.translate_paged(access, root, bus, probe),
            Ok(Route::Identity { addr, bits }) => self.identity(access, addr, bits),
            Err(cause) => Err(Fault::new(access, cause)),
        }
    }

    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        let root = match self.format.route(access) {
            Ok(Route::Walk(root)) => root,
            Ok(Route::Identity { addr, bits }) => {
                return self
                    .identity(access, addr, bits)
                    .map(|found| Translation { ticket: None, ..found });
            }
            Err(cause) => return Err(Fault::new(access, cause)),
        };
        let mapping = drive(&mut Walk::new(root), &self.format, &mut Peek(bus))
            .map_err(|refusal| refusal.of(access))?;
        let (addr, span) = (mapping.phys(root.access.addr), mapping.span(root.access.addr));
        let found = Translation { attributes: mapping.attributes, ..Translation::new(addr, span) };
        self.protect(found, root.access).map_err(|cause| Fault::new(access, cause))
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        let scope =
            self.format.write_register(id, value, &mut |addr, width| bus.read(addr, width))?;
        self.epoch += 1;
        if let Some(scope) = scope {
            TranslationUnit::<B, P>::invalidate(self, scope);
        }
        Ok(())
    }

    fn invalidate(&mut self, scope: Invalidate) {
        self.epoch += 1;
        match scope {
            Invalidate::All => self.scopes.end_all(),
            Invalidate::NonGlobal => self.scopes.end_all_but_global(),
            Invalidate::Asid(asid) => self.scopes.end(asid),
            Invalidate::Page(addr) => self.invalidate_page(addr, |_| true),
            Invalidate::PageInAsid { addr, asid } => {
                let own = self.scopes.visible(asid).own;
                self.invalidate_page(addr, |scope| scope == own);
            }
            Invalidate::Range { len: 0, .. } => {}
            Invalidate::Range { addr, len } => {
                let last = addr.checked_add(len - 1).unwrap_or(VirtAddr::new(u64::MAX));
                self.tlbs.remove_range(addr, last);
                self.walk_caches.remove_range(addr, last);
            }
        }
    }

    #[inline]
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
        ticket.epoch == self.epoch
            && (ticket.slot == UNTRANSLATED
                || self.tlbs.repeat(ticket.slot, ticket.version, access, probe))
    }
}

/// What a walk reads and updates.
trait Entries {
    fn read(&mut self, entry: EntryAddr) -> Result<u64, BusError>;
    fn update(&mut self, entry: EntryAddr, current: u64, new: u64) -> Result<u64, BusError>;
}

/// The tables on the bus, with every visit told to the probe.
struct Live<'a, B: ?Sized, P: ?Sized> {
    bus: &'a mut B,
    probe: &'a mut P,
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> Entries for Live<'_, B, P> {
    #[inline]
    fn read(&mut self, entry: EntryAddr) -> Result<u64, BusError> {
        // Eight bytes is what nearly all formats have: said so, the bus need not look.
        let raw = match entry.width {
            Width::B8 => self.bus.read(entry.addr, Width::B8)?,
            width => self.bus.read(entry.addr, width)?,
        };
        self.probe.on(Event::EntryRead { level: entry.level, addr: entry.addr, raw });
        Ok(raw)
    }

    fn update(&mut self, entry: EntryAddr, current: u64, new: u64) -> Result<u64, BusError> {
        let held = self.bus.compare_exchange(entry.addr, entry.width, current, new)?;
        if held == current {
            self.probe.on(Event::EntryUpdate { level: entry.level, addr: entry.addr, raw: new });
        }
        Ok(held)
    }
}

/// The tables as a debugger sees them: nothing is written.
struct Peek<'a, B: ?Sized>(&'a B);

impl<B: Bus + ?Sized> Entries for Peek<'_, B> {
    fn read(&mut self, entry: EntryAddr) -> Result<u64, BusError> {
        self.0.peek(entry.addr, entry.width)
    }

    fn update(&mut self, _: EntryAddr, current: u64, _: u64) -> Result<u64, BusError> {
        Ok(current)
    }
}

/// How a walk ended in a refusal.
struct Refusal(Cause, FaultEntry);

impl Refusal {
    fn of(self, access: Access) -> Fault {
        Fault::new(access, self.0).with_entry(self.1)
    }
}

/// Plays a walk to its end.
#[inline]
fn drive<F: Format>(
    walk: &mut Walk<F>,
    format: &F,
    entries: &mut impl Entries,
) -> Result<Mapping<F::Permissions>, Refusal> {
    let mut step = walk.start();
    loop {
        // Nearly all steps are reads: a loop of their own is the fast way down.
        while let Step::Read(entry) = step {
            step = match guarded(format, entry, AccessKind::Load, || entries.read(entry)) {
                Ok(raw) => walk.read(format, raw),
                Err(cause) => Walk::<F>::refused(entry, cause),
            };
        }
        step = match step {
            Step::Update { entry, current, new } => {
                let update = || entries.update(entry, current, new);
                match guarded(format, entry, AccessKind::Store, update) {
                    Ok(held) => walk.updated(format, held),
                    Err(cause) => Walk::<F>::refused(entry, cause),
                }
            }
            Step::Done(mapping) => return Ok(mapping),
            Step::Fault(cause, entry) => return Err(Refusal(cause, entry)),
            Step::Read(_) => step,
        };
    }
}

/// Visits an entry if physical memory protection lets the walker.
#[inline]
fn guarded<F: Format>(
    format: &F,
    entry: EntryAddr,
    kind: AccessKind,
    visit: impl FnOnce() -> Result<u64, BusError>,
) -> Result<u64, Cause> {
    format.grants(entry.addr, entry.width.bytes(), kind, Privilege::Supervisor)?;
    Ok(visit()?)
}
