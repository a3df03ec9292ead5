//! The paging unit: TLBs, then walk caches, then the walk, then the bus.

use crate::{
    ConfigError, InvalidationReach, PagingConfig,
    drive::{OnBus, PeekOnBus, Refusal, drive},
    format::{Format, Mapping, Route},
    invalid::InvalidEntries,
    owner::{Context, Owners, Visible},
    second::{Both, Guest, SecondStage, SecondStageFormat, compose, granted, private::Stage},
    tlb::{Cached, Hit, Query, Tlbs},
    walk::{Trail, Walk},
    walk_cache::WalkCaches,
};
use alloc::vec::Vec;
use emmu_core::{
    Access, Attributes, Bus, BusError, Cause, Event, Fault, Invalidate, PhysAddr, Probe,
    RAM_PAGE_BITS, RegisterError, RegisterId, RegisterInfo, Registers, Ticket, Translation,
    TranslationUnit, Width,
    anatomy::{Inspection, UnitAnatomy},
};

/// The rights of both stages that a TLB holds.
pub(crate) type Rights<F, S> = Both<<F as Format>::Permissions, <S as Stage>::Permissions>;

/// A paging unit of format `F`, with a second stage `S` behind it or none.
///
/// If a TLB hit does not allow the access, or a write hits an entry that is not yet dirty, the unit walks: the
/// walk alone decides, and its result replaces the entry. So every fault names the entry in memory that caused
/// it, as on processors that walk again before they report a page fault.
///
/// With a second stage, the TLBs hold translations of both stages together. The second stage has TLBs and walk
/// caches of its own too. Each successful translation of a guest-physical address sets the accessed and dirty
/// flags of the second stage. Those of the first stage are set only once the whole access is known to succeed.
#[derive(Clone, Debug)]
pub struct Paging<F: Format, S: SecondStage = ()> {
    pub(crate) format: F,
    pub(crate) second: S,
    pub(crate) tlbs: Tlbs<Rights<F, S>>,
    pub(crate) walk_caches: WalkCaches<F::Permissions>,
    pub(crate) invalid: Option<InvalidEntries>,
    pub(crate) owners: Owners,
    pub(crate) reach: InvalidationReach,
    /// The entries that the last walk read.
    pub(crate) trail: Trail<F::Permissions>,
    /// The epoch. It changes with everything, except the content of TLBs, that could change the answer to an
    /// access.
    pub(crate) epoch: u64,
    pub(crate) config: PagingConfig,
    /// The registers, of both stages if there are two.
    registers: Vec<RegisterInfo>,
}

/// The ticket slot of accesses that no TLB serves because translation is off.
const UNTRANSLATED: u32 = u32::MAX;

impl<F: Format> Paging<F> {
    /// Makes a unit with empty TLBs and walk caches.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn new(format: F, config: &PagingConfig) -> Result<Self, ConfigError> {
        config.validate_for::<F>()?;
        Ok(Self::build(format, (), config))
    }

    /// Makes a unit without any TLB or walk cache, in which every access walks.
    #[must_use]
    pub fn uncached(format: F) -> Self {
        Self::build(format, (), &PagingConfig::default())
    }
}

impl<F: Format, H: SecondStageFormat> Paging<F, Paging<H>> {
    /// Makes a unit of two stages: `second` translates the addresses to which `format` translates, and those
    /// that its walks read. `config` configures the TLBs for both stages together, and the walk caches of the
    /// first stage.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such TLBs.
    pub fn two_stage(
        format: F,
        config: &PagingConfig,
        mut second: Paging<H>,
    ) -> Result<Self, ConfigError> {
        config.validate_for::<F>()?;
        second.stand_behind();
        Ok(Self::build(format, second, config))
    }

    /// Returns the second stage, which has a format and caches of its own.
    #[must_use]
    pub fn second_stage(&self) -> &Paging<H> {
        &self.second
    }
}

impl<F: Format, S: SecondStage> Paging<F, S> {
    pub(crate) fn build(format: F, second: S, config: &PagingConfig) -> Self {
        let mut registers = F::REGISTERS.to_vec();
        let is_new = |info: &&RegisterInfo| F::REGISTERS.iter().all(|known| known.id != info.id);
        registers.extend(second.registers().iter().filter(is_new));
        Self {
            format,
            second,
            tlbs: Tlbs::new(&config.tlb),
            walk_caches: WalkCaches::new(&config.walk_cache),
            invalid: config.invalid_entries.map(InvalidEntries::new),
            owners: Owners::new(),
            reach: config.reach,
            trail: Trail::default(),
            epoch: 0,
            config: config.clone(),
            registers,
        }
    }

    /// Returns the format with its registers.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Returns the configuration of the TLBs and walk caches. With two stages, it is that of the TLBs for both
    /// stages together.
    #[must_use]
    pub fn config(&self) -> &PagingConfig {
        &self.config
    }

    /// Returns true if a cached mapping serves the access, without a walk.
    #[inline]
    fn suffices(&self, mapping: &Cached<Rights<F, S>>, access: Access) -> bool {
        let Both { first, second } = mapping.permissions.rights;
        self.format.permits(first, access).is_ok()
            && self.second.permits(second, access).is_ok()
            && (mapping.dirty || !access.kind.writes())
    }

    /// Returns the mapping that the TLBs hold, or the mapping that a walk finds and enters into them.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        asked: Access,
        query: Query,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Hit<Rights<F, S>>, Fault> {
        match self.tlbs.lookup(query, probe) {
            Some(hit) if self.suffices(&hit.mapping, query.access) => Ok(hit),
            held => self.resolve_slowly(asked, query, held.is_some(), bus, probe),
        }
    }

    /// Translates an access that the CPU `asked` for and that the first level does not serve. It is not
    /// inlined, and apart from the end of a hit, so that the path of a hit stays short.
    #[inline(never)]
    fn translate_slowly(
        &mut self,
        asked: Access,
        access: Access,
        visible: Visible,
        known: bool,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Translation, Fault> {
        let hit = self.resolve_slowly(asked, Query { access, visible }, known, bus, probe)?;
        self.found(asked, access, hit)
    }

    /// Looks up the levels below, and otherwise walks. `known` is true if the first level holds an entry.
    #[inline]
    fn resolve_slowly(
        &mut self,
        asked: Access,
        query: Query,
        mut known: bool,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Hit<Rights<F, S>>, Fault> {
        if !known && let Some(hit) = self.tlbs.lookup_below(query, &self.owners, probe) {
            if self.suffices(&hit.mapping, query.access) {
                return Ok(hit);
            }
            known = true;
        }
        if self.invalid.is_some()
            && !known
            && let Some(refusal) = self.remembered(query)
        {
            return Err(refusal.of(asked));
        }
        let root = self.format.root(query.access);
        let root = root.map_err(|cause| self.refuse(Refusal::of_none(cause), asked, query))?;
        probe.on(Event::WalkBegin(asked));
        let mut walk =
            self.walk_caches.begin(&self.format, query.access, root, self.owners.tables(), probe);
        let outcome = self.walk(&mut walk, query, bus, probe);
        probe.on(Event::WalkEnd { faulted: outcome.is_err() });
        let found = outcome.map_err(|refusal| self.refuse(refusal, asked, query))?;
        Ok(self.tlbs.fill(found, known, query, &self.owners, probe))
    }

    /// Returns the refusal of an access whose invalid entry is cached.
    #[cold]
    fn remembered(&mut self, Query { access, visible }: Query) -> Option<Refusal> {
        self.invalid.as_mut()?.lookup(access.addr, self.format.shape(access), visible)
    }

    /// Makes a fault of a refusal. A machine that caches invalid entries caches this one.
    #[cold]
    fn refuse(&mut self, refusal: Refusal, asked: Access, query: Query) -> Fault {
        let Query { access, visible } = query;
        if F::FAULTS_INVALIDATE && refusal.is_decided() {
            self.invalidate_faulted(access.addr, visible);
        }
        if let Some(invalid) = &mut self.invalid {
            let shape = self.format.shape(access);
            invalid.fill(&refusal, access.addr, shape, visible, &self.owners);
        }
        refusal.of(asked)
    }

    /// Walks, enters the tables on the way into the walk caches, and translates the result by the second stage.
    #[inline]
    fn walk(
        &mut self,
        walk: &mut Walk<F::Permissions>,
        query: Query,
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Cached<Rights<F, S>>, Refusal> {
        let access = query.access;
        let mut tables = OnBus { second: &mut self.second, bus, probe, access };
        let mapping = drive(walk, &self.format, &mut self.trail, &mut tables)?;
        let beyond = tables.beyond(&mapping)?;
        self.walk_caches.fill(walk, &self.trail, &self.format, &self.owners);
        Ok(compose(&self.second, mapping, beyond, access.addr))
    }

    #[inline]
    fn found(
        &self,
        asked: Access,
        access: Access,
        hit: Hit<Rights<F, S>>,
    ) -> Result<Translation, Fault> {
        let Hit { mapping, first } = hit;
        // A repeated hit tells the probe the access as the CPU made it, so that must be the access that was
        // looked up.
        let same = (access.addr, access.privilege, access.flags)
            == (asked.addr, asked.privilege, asked.flags);
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

    /// Shortens the span to the bytes with equal physical memory protection, and keeps the ticket if they cover
    /// the RAM page.
    #[inline]
    fn protect(&self, found: Translation, access: Access) -> Result<Translation, Cause> {
        let grants = |addr, len| granted::<F, S>(&self.format, addr, len, access);
        let granted = grants(found.addr, u64::from(access.size).min(found.span))?;
        let page = found.addr.align_down(RAM_PAGE_BITS);
        let is_granted = |_: &Ticket| grants(page, 1 << RAM_PAGE_BITS).is_ok();
        let ticket = found.ticket.filter(is_granted);
        Ok(Translation { span: found.span.min(granted), ticket, ..found })
    }

    fn identity(&self, asked: Access, access: Access, bits: u8) -> Result<Translation, Fault> {
        let left = left(access, bits).map_err(|cause| Fault::new(asked, cause))?;
        let ticket = Ticket { slot: UNTRANSLATED, version: 0, epoch: self.epoch };
        let found = Translation {
            ticket: Some(ticket).filter(|_| access.addr == asked.addr),
            ..Translation::new(PhysAddr::new(access.addr.raw()), left)
        };
        self.protect(found, access).map_err(|cause| Fault::new(asked, cause))
    }

    /// Translates by the second stage alone: the first stage is off, so an address of at most `bits` bits is
    /// guest-physical.
    #[cold]
    fn through_second(
        &mut self,
        asked: Access,
        (access, bits): (Access, u8),
        bus: &mut (impl Bus + ?Sized),
        probe: &mut (impl Probe + ?Sized),
    ) -> Result<Translation, Fault> {
        let left = left(access, bits).map_err(|cause| Fault::new(asked, cause))?;
        let guest = Guest::data(access, PhysAddr::new(access.addr.raw()));
        probe.on(Event::WalkBegin(asked));
        let outcome = self.second.map(guest, bus, probe);
        probe.on(Event::WalkEnd { faulted: outcome.is_err() });
        let mapping = outcome.map_err(|fault| Refusal::of_second_stage(fault).of(asked))?;
        self.beyond(asked, access, left, &mapping)
    }

    /// Translates by the second stage an address that the first one leaves as it is, with `left` bytes to the
    /// end of the address space.
    fn beyond(
        &self,
        asked: Access,
        access: Access,
        left: u64,
        mapping: &Mapping<S::Permissions>,
    ) -> Result<Translation, Fault> {
        let (addr, span) = (mapping.phys(access.addr), mapping.span(access.addr).min(left));
        let attributes = self.second.attributes(Attributes::default(), mapping.attributes);
        let found = Translation { attributes, ..Translation::new(addr, span) };
        self.protect(found, access).map_err(|cause| Fault::new(asked, cause))
    }
}

impl<F: Format, S: SecondStage> Registers for Paging<F, S> {
    fn registers(&self) -> &[RegisterInfo] {
        &self.registers
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        match self.format.read_register(id) {
            Err(RegisterError::Unknown { .. }) => self.second.read_register(id),
            known => known,
        }
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        F::REASONS.iter().chain(self.second.reasons()).find(|known| **known == words).copied()
    }

    fn anatomy(&self) -> Option<UnitAnatomy> {
        Some(UnitAnatomy::new(self.format.anatomy(), self.second.anatomy()))
    }
}

impl<F, S, B, P> TranslationUnit<B, P> for Paging<F, S>
where
    F: Format,
    S: SecondStage,
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
                let context = Context::new(self.second.context(effective));
                let visible = self.owners.visible(asid, context, S::WALK_CACHES_APART);
                match self.tlbs.lookup(Query { access: effective, visible }, probe) {
                    Some(hit) if self.suffices(&hit.mapping, effective) => {
                        self.found(access, effective, hit)
                    }
                    held => {
                        let known = held.is_some();
                        self.translate_slowly(access, effective, visible, known, bus, probe)
                    }
                }
            }
            Ok(Route::Identity { access: effective, bits })
                if self.second.context(effective) != 0 =>
            {
                self.through_second(access, (effective, bits), bus, probe)
            }
            Ok(Route::Identity { access: effective, bits }) => {
                self.identity(access, effective, bits)
            }
            Err(cause) => Err(Fault::new(access, cause)),
        }
    }

    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        let refuse = |cause| Fault::new(access, cause);
        let of_second = |fault| Refusal::of_second_stage(fault).of(access);
        match self.format.route(access).map_err(refuse)? {
            Route::Tables { access: effective, .. } => {
                let root = self.format.root(effective).map_err(refuse)?;
                let mut walk = Walk::new(effective, root);
                let mut tables = PeekOnBus { second: &self.second, bus, access: effective };
                let mapping = drive(&mut walk, &self.format, &mut Trail::default(), &mut tables)
                    .map_err(|refusal| refusal.of(access))?;
                let guest = Guest::data(effective, mapping.phys(effective.addr));
                let beyond = self.second.peek(guest, bus).map_err(of_second)?;
                let mapping = compose(&self.second, mapping, beyond, effective.addr);
                self.found(access, effective, Hit { mapping, first: None })
            }
            Route::Identity { access: effective, bits } if self.second.context(effective) != 0 => {
                let left = left(effective, bits).map_err(refuse)?;
                let guest = Guest::data(effective, PhysAddr::new(effective.addr.raw()));
                let mapping = self.second.peek(guest, bus).map_err(of_second)?;
                self.beyond(access, effective, left, &mapping)
            }
            Route::Identity { access: effective, bits } => {
                let found = self.identity(access, effective, bits)?;
                Ok(Translation { ticket: None, ..found })
            }
        }
    }

    fn inspect(&self, access: Access, bus: &B) -> Option<Inspection> {
        Some(self.inspection(access, bus))
    }

    /// Writes a register, in both stages if both have it.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let mut fault = None;
        let first = {
            let second = &mut self.second;
            let mut read = |addr, width| {
                read_guest(second, addr, width, bus, probe).map_err(|(error, refused)| {
                    fault = refused;
                    error
                })
            };
            self.format.write_register(id, value, &mut read)
        };
        if let Some(fault) = fault {
            return Err(RegisterError::Fault(fault));
        }
        let scopes = match first {
            Err(RegisterError::Unknown { .. }) => {
                [None, self.second.write_register(id, value, bus)?]
            }
            Err(refused) => return Err(refused),
            Ok(scope) => match self.second.write_register(id, value, bus) {
                Err(RegisterError::Unknown { .. }) => [scope, None],
                written => [scope, written?],
            },
        };
        self.epoch += 1;
        scopes.into_iter().flatten().for_each(|scope| self.invalidate_here(scope));
        Ok(())
    }

    fn invalidate(&mut self, scope: Invalidate) {
        self.invalidate_here(scope);
    }

    #[inline]
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut P) -> bool {
        ticket.epoch == self.epoch
            && (ticket.slot == UNTRANSLATED
                || self.tlbs.repeat(ticket.slot, ticket.version, access, probe))
    }
}

/// Returns the number of bytes from the first byte of the access to the end of an address space of `bits` bits.
fn left(access: Access, bits: u8) -> Result<u64, Cause> {
    let last = emmu_core::low_mask(bits.into());
    let left = last.checked_sub(access.addr.raw()).ok_or(Cause::NonCanonical)?;
    Ok(left.saturating_add(1))
}

/// Reads a word of the guest's memory for a register write. If the second stage refuses, the error has its
/// fault too.
fn read_guest<S: SecondStage>(
    second: &mut S,
    addr: PhysAddr,
    width: Width,
    bus: &mut (impl Bus + ?Sized),
    probe: &mut (impl Probe + ?Sized),
) -> Result<u64, (BusError, Option<Fault>)> {
    if !S::EXISTS {
        return bus.read(addr, width).map_err(|error| (error, None));
    }
    let guest = Guest::register_load(addr, width);
    match second.map(guest, bus, probe) {
        Ok(mapping) => {
            let place = mapping.phys(guest.access.addr);
            bus.read(place, width).map_err(|error| (error, None))
        }
        Err(fault) => Err((BusError::Refused { addr }, Some(fault))),
    }
}
