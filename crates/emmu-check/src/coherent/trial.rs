//! One unit, and the ledger beside it.

use super::{
    EntryRead, Incoherent, Manual, Step, Turn,
    ledger::Ledger,
    scenery::Scenery,
    script::Action,
    setup,
    tape::{Tape, Walked, walk},
};
use emmu_core::{Access, Event, Fault, PhysAddr, Ticket, Translation, TranslationUnit, Width};
use emmu_oracle::{Reference, generate::Case, reference::SparseMemory};
use emmu_paging::{Paging, PagingConfig};

/// A unit that can be put to the property.
pub(super) trait Subject<A: Manual>: TranslationUnit<SparseMemory, Vec<Event>> {
    /// The exception that its fault raises.
    fn exception(&self, fault: &Fault) -> Option<A::Fault>;
}

impl<A: Manual> Subject<A> for Paging<A::Format> {
    fn exception(&self, fault: &Fault) -> Option<A::Fault> {
        A::exception(self.format(), fault)
    }
}

pub(super) struct Trial<A: Manual, U> {
    now: A,
    unit: U,
    memory: SparseMemory,
    scenery: Scenery,
    ledger: Ledger<A>,
    tickets: Vec<(Ticket, Access, PhysAddr)>,
    story: Vec<String>,
}

/// A walk under these registers that found the first entries as they are remembered here.
type Alternative<A> = (A, Vec<EntryRead>, Walked<<A as Reference>::Fault>);

/// What an access came to.
type Answer<F> = Result<PhysAddr, Option<F>>;

impl<A: Manual> Trial<A, Paging<A::Format>> {
    /// A unit with the registers of the case; none if there cannot be one.
    pub(super) fn switch_on(case: Case<A>, number: u16) -> Option<Self> {
        let (now, scenery) = Scenery::of(case)?;
        let mut unit = now.out_of_reset(&setup::config(number), &PagingConfig::default()).ok()?;
        let mut memory = scenery.initial().clone();
        now.switch_on(&mut unit, &mut memory).ok()?;
        let (ledger, tickets, story) = (Ledger::new(), Vec::new(), Vec::new());
        Some(Self { now, unit, memory, scenery, ledger, tickets, story })
    }
}

impl<A: Manual, U: Subject<A>> Trial<A, U> {
    pub(super) fn play(&mut self, steps: Vec<Step>) -> Result<(), Incoherent> {
        steps.into_iter().try_for_each(|step| self.step(step.action()))
    }

    fn step(&mut self, action: Action) -> Result<(), Incoherent> {
        match action {
            Action::Access { which, how, beyond } => {
                self.access(self.scenery.varied(which, how, beyond))
            }
            Action::Repeat { which } => self.repeat(which),
            Action::Poke { which, level, change } => {
                self.poke((which, level, change));
                Ok(())
            }
            Action::Invalidate { which, scope, asid } => {
                let scope = self.scenery.scope(which, scope, asid);
                self.story.push(format!("{scope:x?}"));
                self.unit.invalidate(scope);
                self.ledger.forget(scope, &self.now, &self.memory);
                Ok(())
            }
            Action::Turn { choice, value } => self.turn((choice, value)),
        }
    }

    fn poke(&mut self, how: (u8, u8, u8)) {
        let Some((addr, width, value)) = self.scenery.poke(&self.now, &self.memory, how) else {
            return;
        };
        self.story.push(format!("{addr} := {value:#x}"));
        match width {
            Width::B8 => self.memory.write64(addr, value),
            _ => self.memory.write32(addr, u32::try_from(value).unwrap_or(0)),
        }
    }

    fn turn(&mut self, how: (u8, u8)) -> Result<(), Incoherent> {
        let Some(turn) = self.scenery.turn(&mut self.now, &self.memory, how) else {
            return Ok(());
        };
        let Turn { id, value, invalidates } = turn;
        self.story.push(format!("register {id} := {value:#x}"));
        let written = self.unit.write_register(id, value, &mut self.memory, &mut Vec::new());
        if let Some(scope) = invalidates {
            self.ledger.forget(scope, &self.now, &self.memory);
        }
        written.map_err(|error| self.incoherent(&error.to_string()))
    }

    fn access(&mut self, access: Access) -> Result<(), Incoherent> {
        let mut events = Vec::new();
        let before = self.memory.clone();
        let found = self.unit.translate(access, &mut self.memory, &mut events);
        let answer = self.answer(found);
        let way = Way::told_by(&events);
        self.story.push(format!("{access}: {answer:x?}, {way:?}"));
        match way {
            Way::Hit => self.allowed_hit(access, &before, &answer)?,
            Way::Untranslated => self.fresh(access, &before, &answer, 0)?,
            Way::FromRoot { level } => self.fresh(access, &before, &answer, level)?,
            Way::Shortened { level, addr } => {
                self.allowed_walk(access, &before, &answer, (level, addr))?;
            }
        }
        if let Ok(Translation { ticket: Some(ticket), addr, .. }) = found {
            self.tickets.push((ticket, access, addr));
        }
        Ok(())
    }

    /// A unit that repeats an access says that it hits.
    fn repeat(&mut self, which: u8) -> Result<(), Incoherent> {
        let Some(from_last) = usize::from(which).checked_rem(self.tickets.len()) else {
            return Ok(());
        };
        let (ticket, access, addr) = self.tickets[self.tickets.len() - 1 - from_last];
        let mut events = Vec::new();
        if !self.unit.repeat(ticket, access, &mut events) {
            return Ok(());
        }
        self.story.push(format!("{access}: {addr}, repeated"));
        let before = self.memory.clone();
        match events.as_slice() {
            [] => self.fresh(access, &before, &Ok(addr), 0),
            _ => self.allowed_hit(access, &before, &Ok(addr)),
        }
    }

    fn answer(&self, found: Result<Translation, Fault>) -> Answer<A::Fault> {
        found.map(|found| found.addr).map_err(|fault| self.unit.exception(&fault))
    }

    /// A whole walk is answered as by the model.
    fn fresh(
        &mut self,
        access: Access,
        before: &SparseMemory,
        answer: &Answer<A::Fault>,
        top: u8,
    ) -> Result<(), Incoherent> {
        let (now, walked) = (self.now.clone(), walk(&self.now, access, &[], before));
        if self.agrees(&walked, 0, before, answer) {
            self.note(&now, access, &[], before, top);
            return Ok(());
        }
        let expected = walked.result.map(|outcome| (outcome.pa, outcome.writes));
        Err(self.incoherent(&format!("the tables say {expected:x?}")))
    }

    /// A walk that began in this table, at this entry, is answered by some tables that may be remembered.
    fn allowed_walk(
        &mut self,
        access: Access,
        before: &SparseMemory,
        answer: &Answer<A::Fault>,
        (level, addr): (u8, Option<PhysAddr>),
    ) -> Result<(), Incoherent> {
        let now = self.now.clone();
        let pointers = self.ledger.pointers_to(&now, access, (level, addr), before);
        let walks = pointers.map(|(registers, pointer)| {
            let walked = walk(&registers, access, &pointer.path, before);
            (registers, pointer.path.clone(), walked)
        });
        let walks: Vec<Alternative<A>> = walks.collect();
        if walks.is_empty() {
            return Err(self.incoherent("no table is there that may be remembered"));
        }
        let agrees = |(_, remembered, walked): &&Alternative<A>| {
            self.agrees(walked, remembered.len(), before, answer)
        };
        let agreeing: Vec<_> = walks.iter().filter(agrees).collect();
        // An update of an entry that is on the way twice makes the unit walk again from the root.
        let again = || walks.iter().any(|(_, _, walked)| walked.revisits());
        if agreeing.is_empty() && again() {
            return self.refreshed(access, before, answer);
        }
        if agreeing.is_empty() {
            let said: Vec<_> = walks.iter().map(|(_, _, walked)| &walked.result).collect();
            return Err(
                self.incoherent(&format!("the tables that may be remembered say {said:x?}"))
            );
        }
        for (registers, remembered, _) in agreeing {
            let top = level + u8::try_from(remembered.len()).unwrap_or(0);
            self.note(registers, access, remembered, before, top);
        }
        Ok(())
    }

    /// A walk that began with remembered tables and then again without is answered as by the model.
    fn refreshed(
        &self,
        access: Access,
        before: &SparseMemory,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let result = walk(&self.now, access, &[], before).result.map(|outcome| outcome.pa);
        if result.clone().map_err(Some) == *answer {
            return Ok(());
        }
        Err(self.incoherent(&format!("the tables say {result:x?}")))
    }

    /// A hit is answered by some walk that may be remembered.
    fn allowed_hit(
        &self,
        access: Access,
        before: &SparseMemory,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let allowed = self.ledger.answers(&self.now, access, before);
        let same = |allowed: &Result<_, A::Fault>| allowed.clone().map_err(Some) == *answer;
        let fresh = || walk(&self.now, access, &[], before).result.map(|outcome| outcome.pa);
        // What is refused without a walk is so by the registers, or else by physical memory protection.
        if allowed.iter().any(same) || answer.is_err() && same(&fresh()) {
            return Ok(());
        }
        Err(self.incoherent(&format!("the walks that may be remembered say {allowed:x?}")))
    }

    /// Whether the unit did what the walk does that found the first entries `remembered`.
    fn agrees(
        &self,
        walked: &Walked<A::Fault>,
        remembered: usize,
        before: &SparseMemory,
        answer: &Answer<A::Fault>,
    ) -> bool {
        let mut after = before.clone();
        if let Ok(outcome) = &walked.result {
            after.apply_all(&outcome.writes);
        }
        // The model takes it that an entry is the same whenever it is read: what it writes is not to be compared then.
        let writes_agree = after == self.memory || remembered > 0 && walked.revisits();
        let result = walked.result.as_ref().map(|outcome| outcome.pa);
        writes_agree && result.map_err(|fault| Some(fault.clone())) == *answer
    }

    /// Notes the walk that found the first entries `remembered`, if it got to the end. One whose access was refused
    /// only because of where it leads did so too, unless it had flags to set.
    fn note(
        &mut self,
        registers: &A,
        access: Access,
        remembered: &[EntryRead],
        before: &SparseMemory,
        top: u8,
    ) {
        let refused = walk(registers, access, remembered, before).result.is_err();
        let walked = walk(&registers.unprotected(), access, remembered, before);
        match &walked.result {
            Ok(outcome) if !walked.path.is_empty() && (!refused || outcome.writes.is_empty()) => {
                let path = walked.path_after(remembered.len(), &self.memory);
                let run = registers.run(access, &Tape::new(remembered, before));
                self.ledger.note(registers, access, (outcome, path), run, top);
            }
            _ => {}
        }
    }

    fn incoherent(&self, what: &str) -> Incoherent {
        Incoherent { what: what.to_owned(), story: self.story.clone() }
    }
}

/// How an access found its answer, by what the unit tells.
#[derive(Debug)]
enum Way {
    /// No table decides about it.
    Untranslated,
    /// A TLB knew.
    Hit,
    /// A walk from an entry of this level on, the topmost.
    FromRoot { level: u8 },
    /// A walk that began in a table of this level that was remembered, with this entry unless it could not be read.
    Shortened { level: u8, addr: Option<PhysAddr> },
}

impl Way {
    fn told_by(events: &[Event]) -> Self {
        let first = events.iter().find_map(|event| match *event {
            Event::EntryRead { level, addr, .. } => Some((level, addr)),
            _ => None,
        });
        let remembered = events.iter().find_map(|event| match *event {
            Event::WalkCacheHit { level } => Some(level),
            _ => None,
        });
        let any = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
        let (level, addr) = first.unzip();
        match remembered {
            Some(level) => Self::Shortened { level, addr },
            None if any(|event| matches!(event, Event::WalkBegin(_))) => {
                Self::FromRoot { level: level.unwrap_or(0) }
            }
            None if any(|event| matches!(event, Event::TlbHit { .. })) => Self::Hit,
            None => Self::Untranslated,
        }
    }
}
