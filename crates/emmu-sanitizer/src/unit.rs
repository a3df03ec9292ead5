//! The wrapper of a unit.

use crate::{
    Kind, RegisterWrite, Report, Sanitizer, Watched,
    culprit::{Fill, Fills, FoundCulprit, Outdated, tell},
    facts::Facts,
    record::{Entry, Stage, taken},
    sanitizer::push,
};
use alloc::{rc::Rc, vec::Vec};
use emmu_core::{
    Access, Asid, Bus, Cause, Fault, Invalidate, RegisterError, RegisterId, RegisterInfo,
    Registers, Ticket, Translation, TranslationUnit,
    anatomy::{Inspection, UnitAnatomy},
};

/// A unit whose every translation is compared with a fresh walk. Made by [`Sanitizer::unit`].
///
/// It hands out no tickets, so that each access comes by: a CPU's accelerator finds nothing to repeat.
#[derive(Clone, Debug)]
pub struct Sanitized<U> {
    unit: U,
    sanitizer: Sanitizer,
    number: usize,
    /// The anatomy of the unit under its registers.
    facts: Facts,
    /// The values of all registers.
    values: Rc<[u64]>,
    fills: Fills,
}

fn values_of(unit: &impl Registers) -> Rc<[u64]> {
    let value = |info: &RegisterInfo| unit.read_register(info.id).unwrap_or(0);
    unit.registers().iter().map(value).collect()
}

/// The answer of the tables to an access.
struct Fresh {
    result: Result<Translation, Fault>,
    asid: Asid,
    /// The number of the guest's second-stage tables, if a guest makes the access.
    tables: Option<u64>,
    is_global: bool,
    /// The entries on the way, the root's first.
    entries: Vec<Entry>,
}

impl Fresh {
    /// Takes the result of a look at the tables, and the entries that it read. Where the unit does not tell of the
    /// entries, those that it read are all taken for one stage's, and the last one for the leaf.
    fn new(
        result: Result<Translation, Fault>,
        inspection: Option<&Inspection>,
        mut read: Vec<Entry>,
    ) -> Self {
        if let Some(last) = read.last_mut() {
            last.is_leaf = true;
        }
        match inspection {
            Some(&Inspection { asid, tables, is_global, ref entries, .. }) => {
                Self { result, asid, tables, is_global, entries: taken(entries) }
            }
            None => Self { result, asid: Asid(0), tables: None, is_global: false, entries: read },
        }
    }
}

impl<U: Registers> Sanitized<U> {
    pub(crate) fn new(unit: U, sanitizer: Sanitizer, number: usize) -> Self {
        let (facts, values) = (Facts::of(&unit), values_of(&unit));
        Self { unit, sanitizer, number, facts, values, fills: Fills::default() }
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
        let raw = bus.inner().peek(leaf.addr, leaf.width).ok()?;
        let flags = self.facts.flags(leaf.stage);
        match () {
            () if access.kind.writes() && !flags.is_dirty(raw) => Some(Kind::NotDirty),
            () if !flags.is_accessed(raw) => Some(Kind::NotAccessed),
            () => None,
        }
    }

    /// Remembers on what the translation depends that was just used, and is as the tables say.
    fn remember<B: Bus>(
        &mut self,
        access: Access,
        found: Translation,
        fresh: Fresh,
        bus: &Watched<B>,
    ) {
        let Fresh { asid, tables, is_global, mut entries, .. } = fresh;
        // As the walk left them.
        for entry in &mut entries {
            entry.raw = bus.inner().peek(entry.addr, entry.width).unwrap_or(entry.raw);
        }
        let mut state = self.sanitizer.state_mut();
        state.watch(&entries);
        let tick = state.tick();
        drop(state);
        let values = Rc::clone(&self.values);
        let fill = Fill { frame: found.addr, asid, tables, is_global, tick, entries, values };
        self.fills.remember(access.addr, fill);
    }

    fn report(&self, access: Access, answered: Translation, kind: Kind, fresh: &Fresh, hit: bool) {
        let state = self.sanitizer.state();
        let stale = Outdated { access, kind, frame: answered.addr, fresh: &fresh.entries };
        let FoundCulprit { cause, invalidation, insufficient } =
            self.fills.culprit(self, &state, &stale, &self.values);
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

    pub(crate) const fn facts(&self) -> &Facts {
        &self.facts
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
        let read = self.sanitizer.state_mut().looked(before);
        Fresh::new(result, self.unit.inspect(access, bus).as_ref(), read)
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

    fn anatomy(&self) -> Option<UnitAnatomy> {
        self.unit.anatomy()
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
            None => self.remember(access, found, fresh, bus),
        }
        Ok(Translation { ticket: None, ..found })
    }

    fn peek(&self, access: Access, bus: &Watched<B>) -> Result<Translation, Fault> {
        self.unit.peek(access, bus)
    }

    fn inspect(&self, access: Access, bus: &Watched<B>) -> Option<Inspection> {
        self.unit.inspect(access, bus)
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
        (self.facts, self.values) = (Facts::of(&self.unit), values_of(&self.unit));
        let mut state = self.sanitizer.state_mut();
        let (tick, when) = (state.tick(), state.now());
        let write = RegisterWrite { id, name, before, after, when };
        push(&mut state.register_writes, (tick, self.number, write));
    }
}
