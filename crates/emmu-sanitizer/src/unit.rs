//! The wrapper of a unit.

use crate::{
    Architecture, Kind, RegisterWrite, Report, Sanitizer, Watched,
    architecture::read,
    culprit::{Fill, Fills, Found, Stale, tell},
    record::Entry,
    sanitizer::push,
    stage::{First, Regime, Second, Stage, sort},
};
use alloc::{rc::Rc, vec::Vec};
use emmu_core::{
    Access, Asid, Bus, Cause, Fault, Invalidate, RegisterError, RegisterId, RegisterInfo,
    Registers, Ticket, Translation, TranslationUnit, VirtAddr,
};

/// A unit whose every translation is compared with a fresh walk. Made by [`Sanitizer::unit`].
///
/// It hands out no tickets, so that each access comes by: a CPU's accelerator finds nothing to repeat.
#[derive(Clone, Debug)]
pub struct Sanitized<U> {
    unit: U,
    sanitizer: Sanitizer,
    number: usize,
    architecture: Architecture,
    context: Context,
    fills: Fills,
}

/// What the registers come to. Worked out once a register write, as every access asks.
#[derive(Clone, Debug)]
struct Context {
    /// All of them.
    values: Rc<[u64]>,
    /// Of a unit, and of its RISC-V guest.
    asids: [Asid; 2],
    /// Levels of tables in the lower and in the upper half of addresses.
    levels: [Option<u8>; 2],
    second: Option<Second>,
    /// The tables of a guest's first stage, in both halves.
    guest: [First; 2],
    mprv: bool,
}

impl Context {
    fn of(unit: &impl Registers, architecture: Architecture) -> Self {
        let value = |info: &RegisterInfo| unit.read_register(info.id).unwrap_or(0);
        let levels = [0, 1 << 55].map(|half| architecture.levels(unit, VirtAddr::new(half)));
        let values = unit.registers().iter().map(value).collect();
        let asids = [false, true].map(|is_guest| architecture.asid(unit, is_guest));
        let guest = [0, 1 << 55].map(|half| architecture.guest_tables(unit, VirtAddr::new(half)));
        let second = Second::of(unit, architecture);
        let mprv = read(unit, "mstatus") >> 17 & 1 == 1;
        Self { values, asids, levels, second, guest, mprv }
    }

    /// Says of each entry that a look at the tables read what it is.
    fn name(&self, addr: VirtAddr, regime: Regime, mut entries: Vec<Entry>) -> Vec<Entry> {
        let half = usize::from(addr.bits(55, 1) == 1);
        match regime {
            Regime::Guest(second) => return sort(addr, self.guest[half], second, entries),
            Regime::Unknown => entries.iter_mut().for_each(|entry| entry.stage = Stage::Unknown),
            Regime::One => {
                let levels = self.levels[half];
                if let Some(levels) = levels.filter(|levels| usize::from(*levels) >= entries.len())
                {
                    for (entry, level) in entries.iter_mut().zip((0..levels).rev()) {
                        entry.level = Some(level);
                    }
                }
                if let Some(last) = entries.last_mut() {
                    last.is_leaf = true;
                }
            }
        }
        entries
    }
}

/// What the tables say of an access.
struct Fresh {
    result: Result<Translation, Fault>,
    /// The entries on the way, the root's first.
    entries: Vec<Entry>,
}

impl<U: Registers> Sanitized<U> {
    pub(crate) fn new(unit: U, sanitizer: Sanitizer, number: usize) -> Self {
        let architecture = Architecture::of(&unit);
        let context = Context::of(&unit, architecture);
        Self { unit, sanitizer, number, architecture, context, fills: Fills::default() }
    }

    /// The unit inside.
    #[must_use]
    pub const fn inner(&self) -> &U {
        &self.unit
    }

    /// Takes the wrapper off.
    #[must_use]
    pub fn into_inner(self) -> U {
        self.unit
    }

    /// How the outcome of an access that was made differs from what the tables say.
    fn difference<B: Bus>(
        &self,
        access: Access,
        found: Translation,
        fresh: &Fresh,
        bus: &Watched<B>,
    ) -> Option<Kind> {
        match fresh.result {
            Err(Fault { cause: Cause::AccessFlag, .. }) => Some(Kind::NotAccessed),
            Err(Fault { cause: Cause::DirtyFlag, .. }) => Some(Kind::NotDirty),
            Err(_) => Some(Kind::Refused),
            Ok(expected) if expected.addr != found.addr => Some(Kind::Moved),
            Ok(expected) if expected.attributes != found.attributes => Some(Kind::Attributes),
            Ok(_) => {
                let first = fresh.entries.iter().rev().find(|entry| entry.is_first_leaf());
                let last = fresh.entries.last();
                let second = last.filter(|entry| matches!(entry.stage, Stage::Second(_)));
                let missing = [first, second].map(|leaf| self.missing_flag(access, leaf?, bus));
                missing.into_iter().flatten().next()
            }
        }
    }

    /// A flag of a leaf that is clear after the access.
    fn missing_flag<B: Bus>(&self, access: Access, leaf: &Entry, bus: &Watched<B>) -> Option<Kind> {
        // EPT entries have flags if bit 6 of the EPTP says so.
        let eptp = self.context.second.map_or(0, |second| second.tables);
        let is_ept = self.architecture == Architecture::X86 && leaf.stage != Stage::First;
        if is_ept && eptp >> 6 & 1 == 0 {
            return None;
        }
        let raw = bus.inner().peek(leaf.addr, leaf.width).ok()?;
        let flags = self.architecture.flags(raw, leaf.stage)?;
        match () {
            () if access.kind.writes() && !flags.dirty => Some(Kind::NotDirty),
            () if !flags.accessed => Some(Kind::NotAccessed),
            () => None,
        }
    }

    fn regime(&self, access: Access) -> Regime {
        Regime::of(access, self.architecture, self.context.second, self.context.mprv)
    }

    /// Remembers on what the translation depends that was just used, and is as the tables say.
    fn remember<B: Bus>(
        &mut self,
        access: Access,
        found: Translation,
        mut entries: Vec<Entry>,
        bus: &Watched<B>,
    ) {
        // As the walk left them.
        for entry in &mut entries {
            entry.raw = bus.inner().peek(entry.addr, entry.width).unwrap_or(entry.raw);
        }
        let mut state = self.sanitizer.state_mut();
        state.watch(&entries);
        let tick = state.tick();
        drop(state);
        let Context { asids: [own, guest], ref values, .. } = self.context;
        let regime = self.regime(access);
        let asid = if regime.second().is_some() { guest } else { own };
        let values = Rc::clone(values);
        let fill = Fill { frame: found.addr, asid, regime, tick, entries, values };
        self.fills.remember(access.addr, fill);
    }

    fn report(&self, access: Access, answered: Translation, kind: Kind, fresh: &Fresh, hit: bool) {
        let state = self.sanitizer.state();
        let stale = Stale { access, kind, frame: answered.addr, fresh: &fresh.entries };
        let Found { cause, invalidation, insufficient } =
            self.fills.culprit(self, &state, &stale, &self.context.values);
        let report = Report {
            kind,
            access,
            when: state.now(),
            unit: self.number,
            hit,
            answered: answered.addr,
            expected: fresh.result.map(|found| found.addr),
            invalidation,
            insufficient,
            times: 1,
            cause,
            several_units: state.units > 1,
        };
        drop(state);
        tell(&mut self.sanitizer.state_mut().reports, report);
    }

    /// The unit.
    pub(crate) const fn architecture(&self) -> Architecture {
        self.architecture
    }

    pub(crate) const fn number(&self) -> usize {
        self.number
    }
}

impl<U: Registers> Sanitized<U> {
    fn fresh<B: Bus, P: ?Sized>(&self, access: Access, bus: &Watched<B>) -> Fresh
    where
        U: TranslationUnit<Watched<B>, P>,
    {
        let before = self.sanitizer.state_mut().look();
        let result = self.unit.peek(access, bus);
        let entries = self.sanitizer.state_mut().looked(before);
        let entries = self.context.name(access.addr, self.regime(access), entries);
        Fresh { result, entries }
    }
}

impl<U: Registers> Registers for Sanitized<U> {
    fn registers(&self) -> &[RegisterInfo] {
        self.unit.registers()
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.unit.read_register(id)
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        self.unit.known_reason(words)
    }
}

impl<U, B, P> TranslationUnit<Watched<B>, P> for Sanitized<U>
where
    U: TranslationUnit<Watched<B>, P>,
    B: Bus,
    P: ?Sized,
{
    fn translate(
        &mut self,
        access: Access,
        bus: &mut Watched<B>,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        let fresh = self.fresh(access, bus);
        let before = self.sanitizer.state_mut().begin(access);
        let answer = self.unit.translate(access, bus, probe);
        let hit = self.sanitizer.state_mut().end(before, access, answer.ok());
        let found = answer?;
        match self.difference(access, found, &fresh, bus) {
            Some(kind) => self.report(access, found, kind, &fresh, hit),
            None => self.remember(access, found, fresh.entries, bus),
        }
        Ok(Translation { ticket: None, ..found })
    }

    fn peek(&self, access: Access, bus: &Watched<B>) -> Result<Translation, Fault> {
        self.unit.peek(access, bus)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut Watched<B>,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let before = self.unit.read_register(id);
        self.unit.write_register(id, value, bus, probe)?;
        self.note_register(id, before.unwrap_or(0));
        Ok(())
    }

    fn write_register_before(
        &mut self,
        id: RegisterId,
        value: u64,
        behind: &mut dyn TranslationUnit<Watched<B>, P>,
        bus: &mut Watched<B>,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let before = self.unit.read_register(id);
        self.unit.write_register_before(id, value, behind, bus, probe)?;
        self.note_register(id, before.unwrap_or(0));
        Ok(())
    }

    fn invalidate(&mut self, scope: Invalidate) {
        self.unit.invalidate(scope);
        let mut state = self.sanitizer.state_mut();
        let tick = state.tick();
        push(&mut state.invalidations, (tick, self.number, scope));
    }

    /// Nothing is repeated, as no ticket was given out.
    fn repeat(&mut self, _: Ticket, _: Access, _: &mut P) -> bool {
        false
    }
}

impl<U: Registers> Sanitized<U> {
    fn note_register(&mut self, id: RegisterId, before: u64) {
        let Some(info) = self.unit.registers().iter().find(|info| info.id == id) else { return };
        let after = self.unit.read_register(id).unwrap_or(0);
        let name = info.name;
        self.context = Context::of(&self.unit, self.architecture);
        let mut state = self.sanitizer.state_mut();
        let (tick, when) = (state.tick(), state.now());
        let write = RegisterWrite { id, name, before, after, when };
        push(&mut state.register_writes, (tick, self.number, write));
    }
}
