//! `Trial`: one unit and its ledger.

mod kept;

use super::{
    Incoherent, Manual, Operands, Query, RegisterWrite, Step, coverage::Coverage, fixture::Fixture,
    ledger::Ledger, script::Action, setup, trace::Trace,
};
use crate::Unit;
use crate::generate::Case;
use emmu_core::{
    Access, Asid, Event, Fault, Invalidate, PhysAddr, Ticket, Translation, TranslationUnit, Width,
};
use emmu_oracle::{Outcome, reference::SparseMemory};
use emmu_paging::InvalidationReach;

pub(super) struct Trial<A: Manual> {
    pub(super) now: A,
    /// The registers in the beginning.
    given: A,
    unit: Unit<A>,
    /// True if the unit invalidates exactly the entries that an invalidation names.
    is_exact: bool,
    pub(super) memory: SparseMemory,
    fixture: Fixture,
    pub(super) ledger: Ledger<A>,
    tickets: Vec<(Ticket, Access, PhysAddr)>,
    /// The guest-physical addresses that were used so far.
    gpas: Vec<PhysAddr>,
    /// The last successful accesses, the latest last.
    witnesses: Vec<Access>,
    history: Vec<String>,
    coverage: Coverage,
}

/// The answer to an access: the physical address, or the exception.
pub(super) type Answer<F> = Result<PhysAddr, Option<F>>;

impl<A: Manual> Trial<A> {
    /// Makes a unit with the registers of the case. Returns `None` if there cannot be one.
    pub(super) fn switch_on(case: Case<A>, number: u16) -> Option<Self> {
        let (now, fixture) = Fixture::of(case)?;
        let [first, second] = [number, number.rotate_left(7)].map(setup::config_of::<A>);
        let is_exact =
            [&first, &second].map(|config| config.reach) == [InvalidationReach::default(); 2];
        let mut unit = now.out_of_reset(&first, &second).ok()?;
        let mut memory = fixture.initial().clone();
        now.switch_on(&mut unit, &mut memory).ok()?;
        // Loads of registers may have met entries too.
        now.everything().into_iter().for_each(|scope| invalidate::<A>(&mut unit, scope));
        let (ledger, tickets) = (Ledger::new(), Vec::new());
        let (gpas, witnesses) = (Vec::new(), Vec::new());
        let (history, coverage) = (Vec::new(), Coverage::default());
        Some(Self {
            given: now.clone(),
            now,
            unit,
            is_exact,
            memory,
            fixture,
            ledger,
            tickets,
            gpas,
            witnesses,
            history,
            coverage,
        })
    }

    pub(super) fn play(&mut self, steps: Vec<Step>) -> Result<Coverage, Incoherent> {
        steps.into_iter().try_for_each(|step| self.step(step.action()))?;
        Ok(self.coverage.clone())
    }

    fn step(&mut self, action: Action) -> Result<(), Incoherent> {
        match action {
            Action::Access { which, how, beyond } => {
                let access = self.fixture.varied(which, how, beyond);
                // With paging off, or another kind of it, there may be fewer addresses.
                if self.now.leaves_address_space(access) { Ok(()) } else { self.access(access) }
            }
            Action::Repeat { which } => self.repeat(which),
            Action::Poke { which, level, change } => {
                self.poke((which, level, change));
                Ok(())
            }
            Action::Invalidate { which, scope, asid } => self.invalidate(which, scope, asid),
            Action::RegisterWrite { choice, value } => self.turn((choice, value)),
        }
    }

    fn poke(&mut self, how: (u8, u8, u8)) {
        let Some((addr, width, value)) = self.fixture.poke(&self.now, &self.memory, how) else {
            return;
        };
        self.history.push(format!("{addr} := {value:#x}"));
        match width {
            Width::B8 => self.memory.write64(addr, value),
            _ => self.memory.write32(addr, u32::try_from(value).unwrap_or(0)),
        }
    }

    /// Makes an invalidation: half of the time one that is for two stages, if there are two.
    fn invalidate(&mut self, which: u8, scope: u8, asid: u8) -> Result<(), Incoherent> {
        let gpa = usize::from(which).checked_rem(self.gpas.len()).map(|from| self.gpas[from]);
        let named = Operands {
            addr: self.fixture.varied(which, 0, asid >> 2).addr,
            gpa: gpa.unwrap_or(PhysAddr::ZERO),
            asid: Asid((asid & 0b11).into()),
            own: asid >> 4 & 0b11 != 0,
            roots: self.fixture.roots(),
        };
        let of_guest = Some(scope >> 4).filter(|choice| choice & 1 == 0);
        let of_guest = of_guest.and_then(|choice| self.now.guest_scope(choice >> 1, named));
        let scope = of_guest.unwrap_or_else(|| self.fixture.scope(which, scope, asid));
        self.history.push(format!("{scope:x?}"));
        let before = self.unit.clone();
        invalidate::<A>(&mut self.unit, scope);
        self.keeps(&before, scope)?;
        self.ledger.strike(scope, &self.now, &self.memory);
        Ok(())
    }

    fn turn(&mut self, how: (u8, u8)) -> Result<(), Incoherent> {
        let Some(turn) = self.fixture.turn((&mut self.now, &self.given), &self.memory, how) else {
            return Ok(());
        };
        let RegisterWrite { id, value, invalidates, fenced } = turn;
        self.history.push(format!("register {id} := {value:#x}"));
        let written = self.unit.write_register(id, value, &mut self.memory, &mut ());
        if let Some(scope) = invalidates {
            self.ledger.strike(scope, &self.now, &self.memory);
        }
        if fenced {
            // What holds guest-physical addresses outlives HFENCE.GVMA.
            let guests = self.ledger.vmids().into_iter().map(|vmid| Invalidate::Guest {
                vmid,
                asid: None,
                addr: None,
                keeps_global: false,
            });
            let scopes = self.now.everything().into_iter().chain(guests);
            scopes.for_each(|scope| invalidate::<A>(&mut self.unit, scope));
            self.ledger = Ledger::new();
        }
        written.map_err(|error| self.incoherent(&error.to_string()))
    }

    fn access(&mut self, access: Access) -> Result<(), Incoherent> {
        let mut events: Vec<Event> = Vec::new();
        let before = self.memory.clone();
        let found = self.unit.translate(access, &mut self.memory, &mut events);
        let answer = self.answer(found);
        let Some(trace) = Trace::of(&events, before) else {
            return Err(self.incoherent(&format!("{access}: an entry held something else")));
        };
        self.tell(access, &trace, &answer);
        self.coverage.count(&events, &trace, answer.is_ok());
        if trace.memory != self.memory {
            return Err(self.incoherent("memory has changed otherwise than is traced"));
        }
        self.judge(access, &trace, &answer)?;
        if let Err(Some(fault)) = &answer {
            let invalidated = self.now.invalidated_by(fault);
            self.ledger.strike_faulted(invalidated, &self.now, access, &self.memory);
        }
        if answer.is_ok() {
            self.witness(access);
        }
        if let Ok(Translation { ticket: Some(ticket), addr, .. }) = found {
            self.tickets.push((ticket, access, addr));
        }
        Ok(())
    }

    fn tell(&mut self, access: Access, trace: &Trace, answer: &Answer<A::Fault>) {
        self.history.push(format!("{access}: {answer:x?}, {:?}", trace.whole.source()));
        for part in &trace.parts {
            let Some(guest) = part.guest else { continue };
            self.gpas.push(guest.addr);
            self.history.push(format!("  {guest}: {:?}, {:?}", part.led, part.source()));
        }
    }

    /// Repeats an access with its ticket. A unit that repeats it reports a hit.
    fn repeat(&mut self, which: u8) -> Result<(), Incoherent> {
        let Some(from_last) = usize::from(which).checked_rem(self.tickets.len()) else {
            return Ok(());
        };
        let (ticket, access, addr) = self.tickets[self.tickets.len() - 1 - from_last];
        let mut events: Vec<Event> = Vec::new();
        if !repeat::<A>(&mut self.unit, ticket, access, &mut events) {
            return Ok(());
        }
        self.history.push(format!("{access}: {addr}, repeated"));
        match Trace::of(&events, self.memory.clone()) {
            Some(trace) => self.judge(access, &trace, &Ok(addr)),
            None => Err(self.incoherent("an entry was read")),
        }
    }

    fn answer(&self, found: Result<Translation, Fault>) -> Answer<A::Fault> {
        found.map(|found| found.addr).map_err(|fault| A::exception(self.unit.format(), &fault))
    }

    /// Checks that the answer of a hit is that of some walk that may be cached.
    pub(super) fn allowed_hit(
        &self,
        access: Access,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let allowed = self.ledger.answers(&self.now, Query::First(access), &self.memory);
        let place = |answer: Result<Outcome, A::Fault>| answer.map(|outcome| outcome.pa);
        let allowed: Vec<_> = allowed.into_iter().map(|recalled| place(recalled.result)).collect();
        let same = |allowed: &Result<_, A::Fault>| allowed.clone().map_err(Some) == *answer;
        let fresh = || place(self.now.ask(access, &self.memory).answer);
        // What is refused without a walk is so by the registers, or else by physical memory protection.
        if allowed.iter().any(same) || answer.is_err() && same(&fresh()) {
            return Ok(());
        }
        Err(self.incoherent(&format!("the walks that may be cached say {allowed:x?}")))
    }

    pub(super) fn incoherent(&self, what: &str) -> Incoherent {
        Incoherent { what: what.to_owned(), history: self.history.clone() }
    }
}

fn invalidate<A: Manual>(unit: &mut Unit<A>, scope: Invalidate) {
    TranslationUnit::<SparseMemory, ()>::invalidate(unit, scope);
}

fn repeat<A: Manual>(
    unit: &mut Unit<A>,
    ticket: Ticket,
    access: Access,
    events: &mut Vec<Event>,
) -> bool {
    TranslationUnit::<SparseMemory, _>::repeat(unit, ticket, access, events)
}
