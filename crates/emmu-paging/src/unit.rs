//! The paging unit: TLBs, then walk caches, then the walk, then the bus.

use crate::{
    ConfigError, PagingConfig, Scope,
    format::{Format, Mapping, Route},
    scope::Scopes,
    tlb::{Hit, Query, Tlbs},
    walk::{EntryAddr, Step, Trail, Walk},
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
    /// Where the last walk went.
    trail: Trail<F::Permissions>,
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
            trail: Trail::default(),
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
            trail: Trail::default(),
            epoch: 0,
        }
    }

    /// The format with its registers.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Whether a cached mapping settles the access, without a visit to the tables.
    #[inline]
    fn suffices(&self, mapping: &Mapping<F::Permissions>, access: Access) -> bool {
        self.format.permits(mapping.permissions, access).is_ok()
            && (mapping.dirty || !access.kind.writes())
    }

    /// The first level of TLB does not settle an access that the CPU `asked` for; `known` says whether it holds
    /// something. Not inlined, so that the way of a hit stays short.
    #[inline(never)]
    fn translate_slowly(
        &mut self,
        asked: Access,
        query: Query,
        mut known: bool,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Translation, Fault> {
        if !known && let Some(hit) = self.tlbs.lookup_below(query, &self.scopes, probe) {
            if self.suffices(&hit.mapping, query.access) {
                return self.found(asked, query.access, hit);
            }
            known = true;
        }
        let mapping = self.walk(asked, query, bus, probe)?;
        let hit = self.tlbs.fill(mapping, known, query, &self.scopes, probe);
        self.found(asked, query.access, hit)
    }

    /// Walks, and remembers the tables on the way.
    #[inline(never)]
    fn walk(
        &mut self,
        asked: Access,
        query: Query,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Mapping<F::Permissions>, Fault> {
        let root = self.format.root(query.access.addr).map_err(|cause| Fault::new(asked, cause))?;
        probe.on(Event::WalkBegin(asked));
        let mut walk =
            self.walk_caches.begin(&self.format, query.access, root, query.visible, probe);
        let outcome = drive(&mut walk, &self.format, &mut self.trail, &mut OnBus { bus, probe });
        probe.on(Event::WalkEnd { faulted: outcome.is_err() });
        let mapping = outcome.map_err(|refusal| refusal.of(asked))?;
        self.walk_caches.fill(&walk, &self.trail, &self.format, query.visible, &self.scopes);
        Ok(mapping)
    }

    #[inline]
    fn found(
        &self,
        asked: Access,
        access: Access,
        hit: Hit<F::Permissions>,
    ) -> Result<Translation, Fault> {
        let Hit { mapping, first } = hit;
        // A repeated hit is told to the probe as the CPU made it, so that must be what was looked up.
        let same = (access.addr, access.privilege) == (asked.addr, asked.privilege);
        let repeatable = same && u32::from(mapping.bits) >= RAM_PAGE_BITS;
        let ticket = first.filter(|_| repeatable);
        let found = Translation {
            addr: mapping.phys(access.addr),
            span: mapping.span(access.addr),
            attributes: mapping.attributes,
            ticket: ticket.map(|(slot, version)| Ticket { slot, version, epoch: self.epoch }),
        };
        self.protect(found, access).map_err(|cause| Fault::new(asked, cause))
    }

    /// Cuts the span to what physical memory protection grants alike, and keeps the ticket if that is all of the
    /// RAM page.
    #[inline]
    fn protect(&self, found: Translation, access: Access) -> Result<Translation, Cause> {
        let Access { kind, privilege, size, .. } = access;
        let len = u64::from(size).min(found.span);
        let granted = self.format.grants(found.addr, len, kind, privilege)?;
        let page = found.addr.align_down(RAM_PAGE_BITS);
        let is_granted =
            |_: &Ticket| self.format.grants(page, 1 << RAM_PAGE_BITS, kind, privilege).is_ok();
        let ticket = found.ticket.filter(is_granted);
        Ok(Translation { span: found.span.min(granted), ticket, ..found })
    }

    fn identity(&self, asked: Access, access: Access, bits: u8) -> Result<Translation, Fault> {
        let (addr, last) = (access.addr.raw(), emmu_core::low_mask(bits.into()));
        let Some(left) = last.checked_sub(addr) else {
            return Err(Fault::new(asked, Cause::NonCanonical));
        };
        let ticket = Ticket { slot: UNTRANSLATED, version: 0, epoch: self.epoch };
        let found = Translation {
            ticket: Some(ticket).filter(|_| access.addr == asked.addr),
            ..Translation::new(PhysAddr::new(addr), left.saturating_add(1))
        };
        self.protect(found, access).map_err(|cause| Fault::new(asked, cause))
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
            Ok(Route::Tables { access: effective, asid }) => {
                let query = Query { access: effective, visible: self.scopes.visible(asid) };
                match self.tlbs.lookup(query, probe) {
                    Some(hit) if self.suffices(&hit.mapping, effective) => {
                        self.found(access, effective, hit)
                    }
                    held => self.translate_slowly(access, query, held.is_some(), bus, probe),
                }
            }
            Ok(Route::Identity { access: effective, bits }) => {
                self.identity(access, effective, bits)
            }
            Err(cause) => Err(Fault::new(access, cause)),
        }
    }

    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        let refuse = |cause| Fault::new(access, cause);
        match self.format.route(access).map_err(refuse)? {
            Route::Tables { access: effective, .. } => {
                let root = self.format.root(effective.addr).map_err(refuse)?;
                let mut walk = Walk::new(effective, root);
                let mapping = drive(&mut walk, &self.format, &mut Trail::default(), &mut Peek(bus))
                    .map_err(|refusal| refusal.of(access))?;
                self.found(access, effective, Hit { mapping, first: None })
            }
            Route::Identity { access: effective, bits } => {
                let found = self.identity(access, effective, bits)?;
                Ok(Translation { ticket: None, ..found })
            }
        }
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
            // There is one stage here, and no virtual machine.
            Invalidate::Guest { .. } | Invalidate::SecondStage { .. } => {}
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
struct OnBus<'a, B: ?Sized, P: ?Sized> {
    bus: &'a mut B,
    probe: &'a mut P,
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> Entries for OnBus<'_, B, P> {
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

/// How a walk ended in a refusal, and the entry that it is due to, if it is due to one.
struct Refusal(Cause, Option<FaultEntry>);

impl Refusal {
    fn of(self, access: Access) -> Fault {
        Fault { entry: self.1, ..Fault::new(access, self.0) }
    }
}

/// Plays a walk to its end.
#[inline]
fn drive<F: Format>(
    walk: &mut Walk<F::Permissions>,
    format: &F,
    trail: &mut Trail<F::Permissions>,
    entries: &mut impl Entries,
) -> Result<Mapping<F::Permissions>, Refusal> {
    let mut entry = walk.start(format);
    loop {
        let raw = guarded(format, entry, AccessKind::Load, || entries.read(entry))?;
        match walk.read(format, raw, trail) {
            Step::Read(next) => entry = next,
            Step::Done(mapping) => return Ok(mapping),
            Step::Fault(cause) => return Err(Refusal(cause, Some(walk.refusing(format, trail)))),
            Step::Denied(cause) => return Err(Refusal(cause, None)),
            update @ Step::Update { .. } => {
                let settled = settle(*walk, format, update, trail, entries)?;
                *walk = settled.0;
                match settled.1 {
                    Some(mapping) => return Ok(mapping),
                    None => entry = walk.start(format),
                }
            }
        }
    }
}

/// A walk after its updates, and what it came to: `None` if it starts again.
type Settled<P> = (Walk<P>, Option<Mapping<P>>);

/// Plays the updates at the end of a walk. It takes the walk by value, so that one without updates need never
/// be in memory.
#[inline(never)]
fn settle<F: Format>(
    mut walk: Walk<F::Permissions>,
    format: &F,
    mut step: Step<F::Permissions>,
    trail: &mut Trail<F::Permissions>,
    entries: &mut impl Entries,
) -> Result<Settled<F::Permissions>, Refusal> {
    loop {
        step = match step {
            Step::Update { entry, current, new } => {
                let update = || entries.update(entry, current, new);
                walk.updated(format, guarded(format, entry, AccessKind::Store, update)?, trail)
            }
            Step::Read(_) => return Ok((walk, None)),
            Step::Done(mapping) => return Ok((walk, Some(mapping))),
            Step::Fault(cause) => return Err(Refusal(cause, Some(walk.refusing(format, trail)))),
            Step::Denied(cause) => return Err(Refusal(cause, None)),
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
) -> Result<u64, Refusal> {
    // spec: riscv-2, riscv-9-check, riscv-pmp-walk
    let EntryAddr { level, addr, width } = entry;
    format
        .grants(addr, width.bytes(), kind, Privilege::Supervisor)
        .and_then(|_| Ok(visit()?))
        .map_err(|cause| Refusal(cause, Some(FaultEntry { level, addr, raw: None })))
}
