//! One unit, and the ledger beside it.

mod kept;

use super::{
    Asked, Incoherent, Manual, Named, Step, Turn, ledger::Ledger, scenery::Scenery, script::Action,
    setup, tale::Tale, tally::Tally,
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
    /// Whether an invalidation forgets what it is for, and nothing else.
    is_exact: bool,
    pub(super) memory: SparseMemory,
    scenery: Scenery,
    pub(super) ledger: Ledger<A>,
    tickets: Vec<(Ticket, Access, PhysAddr)>,
    /// The guest-physical addresses that were used so far.
    gpas: Vec<PhysAddr>,
    /// The last accesses that came out well, the latest last.
    witnesses: Vec<Access>,
    story: Vec<String>,
    tally: Tally,
}

/// What an access came to.
pub(super) type Answer<F> = Result<PhysAddr, Option<F>>;

impl<A: Manual> Trial<A> {
    /// A unit with the registers of the case; none if there cannot be one.
    pub(super) fn switch_on(case: Case<A>, number: u16) -> Option<Self> {
        let (now, scenery) = Scenery::of(case)?;
        let [first, second] = [number, number.rotate_left(7)].map(setup::config_of::<A>);
        let is_exact =
            [&first, &second].map(|config| config.reach) == [InvalidationReach::default(); 2];
        let mut unit = now.out_of_reset(&first, &second).ok()?;
        let mut memory = scenery.initial().clone();
        now.switch_on(&mut unit, &mut memory).ok()?;
        // Loads of registers may have met entries too.
        now.everything().into_iter().for_each(|scope| invalidate::<A>(&mut unit, scope));
        let (ledger, tickets) = (Ledger::new(), Vec::new());
        let (gpas, witnesses) = (Vec::new(), Vec::new());
        let (story, tally) = (Vec::new(), Tally::default());
        Some(Self {
            given: now.clone(),
            now,
            unit,
            is_exact,
            memory,
            scenery,
            ledger,
            tickets,
            gpas,
            witnesses,
            story,
            tally,
        })
    }

    pub(super) fn play(&mut self, steps: Vec<Step>) -> Result<Tally, Incoherent> {
        steps.into_iter().try_for_each(|step| self.step(step.action()))?;
        Ok(self.tally.clone())
    }

    fn step(&mut self, action: Action) -> Result<(), Incoherent> {
        match action {
            Action::Access { which, how, beyond } => {
                let access = self.scenery.varied(which, how, beyond);
                // With paging off, or another kind of it, there may be fewer addresses.
                if self.now.leaves_address_space(access) { Ok(()) } else { self.access(access) }
            }
            Action::Repeat { which } => self.repeat(which),
            Action::Poke { which, level, change } => {
                self.poke((which, level, change));
                Ok(())
            }
            Action::Invalidate { which, scope, asid } => self.invalidate(which, scope, asid),
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

    /// Half of them are of those that are there for two stages, if there are two.
    fn invalidate(&mut self, which: u8, scope: u8, asid: u8) -> Result<(), Incoherent> {
        let gpa = usize::from(which).checked_rem(self.gpas.len()).map(|from| self.gpas[from]);
        let named = Named {
            addr: self.scenery.varied(which, 0, asid >> 2).addr,
            gpa: gpa.unwrap_or(PhysAddr::ZERO),
            asid: Asid((asid & 0b11).into()),
            own: asid >> 4 & 0b11 != 0,
            roots: self.scenery.roots(),
        };
        let of_guest = Some(scope >> 4).filter(|choice| choice & 1 == 0);
        let of_guest = of_guest.and_then(|choice| self.now.guest_scope(choice >> 1, named));
        let scope = of_guest.unwrap_or_else(|| self.scenery.scope(which, scope, asid));
        self.story.push(format!("{scope:x?}"));
        let before = self.unit.clone();
        invalidate::<A>(&mut self.unit, scope);
        self.keeps(&before, scope)?;
        self.ledger.forget(scope, &self.now, &self.memory);
        Ok(())
    }

    fn turn(&mut self, how: (u8, u8)) -> Result<(), Incoherent> {
        let Some(turn) = self.scenery.turn((&mut self.now, &self.given), &self.memory, how) else {
            return Ok(());
        };
        let Turn { id, value, invalidates, fenced } = turn;
        self.story.push(format!("register {id} := {value:#x}"));
        let written = self.unit.write_register(id, value, &mut self.memory, &mut ());
        if let Some(scope) = invalidates {
            self.ledger.forget(scope, &self.now, &self.memory);
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
        let Some(tale) = Tale::of(&events, before) else {
            return Err(self.incoherent(&format!("{access}: an entry held something else")));
        };
        self.tell(access, &tale, &answer);
        self.tally.count(&events, &tale, answer.is_ok());
        if tale.memory != self.memory {
            return Err(self.incoherent("memory has changed otherwise than is told"));
        }
        self.judge(access, &tale, &answer)?;
        if let Err(Some(fault)) = &answer {
            let forgotten = self.now.forgotten_by(fault);
            self.ledger.forget_faulted(forgotten, &self.now, access, &self.memory);
        }
        if answer.is_ok() {
            self.witness(access);
        }
        if let Ok(Translation { ticket: Some(ticket), addr, .. }) = found {
            self.tickets.push((ticket, access, addr));
        }
        Ok(())
    }

    fn tell(&mut self, access: Access, tale: &Tale, answer: &Answer<A::Fault>) {
        self.story.push(format!("{access}: {answer:x?}, {:?}", tale.whole.way()));
        for part in &tale.parts {
            let Some(guest) = part.guest else { continue };
            self.gpas.push(guest.addr);
            self.story.push(format!("  {guest}: {:?}, {:?}", part.led, part.way()));
        }
    }

    /// A unit that repeats an access says that it hits.
    fn repeat(&mut self, which: u8) -> Result<(), Incoherent> {
        let Some(from_last) = usize::from(which).checked_rem(self.tickets.len()) else {
            return Ok(());
        };
        let (ticket, access, addr) = self.tickets[self.tickets.len() - 1 - from_last];
        let mut events: Vec<Event> = Vec::new();
        if !repeat::<A>(&mut self.unit, ticket, access, &mut events) {
            return Ok(());
        }
        self.story.push(format!("{access}: {addr}, repeated"));
        match Tale::of(&events, self.memory.clone()) {
            Some(tale) => self.judge(access, &tale, &Ok(addr)),
            None => Err(self.incoherent("an entry was read")),
        }
    }

    fn answer(&self, found: Result<Translation, Fault>) -> Answer<A::Fault> {
        found.map(|found| found.addr).map_err(|fault| A::exception(self.unit.format(), &fault))
    }

    /// A hit is answered by some walk that may be remembered.
    pub(super) fn allowed_hit(
        &self,
        access: Access,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let allowed = self.ledger.answers(&self.now, Asked::First(access), &self.memory);
        let place = |answer: Result<Outcome, A::Fault>| answer.map(|outcome| outcome.pa);
        let allowed: Vec<_> = allowed.into_iter().map(|recalled| place(recalled.result)).collect();
        let same = |allowed: &Result<_, A::Fault>| allowed.clone().map_err(Some) == *answer;
        let fresh = || place(self.now.ask(access, &self.memory).answer);
        // What is refused without a walk is so by the registers, or else by physical memory protection.
        if allowed.iter().any(same) || answer.is_err() && same(&fresh()) {
            return Ok(());
        }
        Err(self.incoherent(&format!("the walks that may be remembered say {allowed:x?}")))
    }

    pub(super) fn incoherent(&self, what: &str) -> Incoherent {
        Incoherent { what: what.to_owned(), story: self.story.clone() }
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
