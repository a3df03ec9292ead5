//! One unit, and its accesses beside the model's.

use super::{Mismatch, Setting, same};
use crate::{Architecture, Run};
use emmu_core::{
    Access, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr, Translation, TranslationUnit,
};
use emmu_oracle::{Memory, Outcome, generate::Case, reference::SparseMemory};
use emmu_paging::Paging;
use std::collections::BTreeMap;

pub(super) struct Trial<'a, A: Architecture> {
    registers: &'a A,
    setting: Setting,
    unit: Paging<A::Format>,
    /// As the case has it.
    initial: SparseMemory,
    /// As the accesses so far leave it.
    memory: SparseMemory,
    whole_runs: bool,
}

/// What one access came to.
struct Observed {
    peeked: Result<Translation, Fault>,
    translated: Result<Translation, Fault>,
    events: Vec<Event>,
}

impl<'a, A: Architecture> Trial<'a, A> {
    /// A unit with the registers of the case; none if the model says that it cannot be switched on.
    pub(super) fn switch_on(case: &'a Case<A>, setting: Setting) -> Result<Option<Self>, Mismatch> {
        let (registers, initial) = (&case.registers, case.memory());
        let mut unit = Paging::new(registers.out_of_reset(), &setting.config())
            .map_err(|error| refused("a unit", &error.to_string()))?;
        let mut memory = initial.clone();
        let expected = registers.expected_switch_on(&memory);
        let got = registers.switch_on(&mut unit, &mut memory);
        same("register writes", &expected.map_err(Some), &got.map_err(|e| A::refused_write(&e)))?;
        same("memory", &initial, &memory)?;
        let trial = Self { registers, setting, unit, initial, memory, whole_runs: true };
        Ok(got.is_ok().then_some(trial))
    }

    /// Whether each run of entries that was used is whole, in the tables as they were in the beginning.
    pub(super) fn whole_runs(&self) -> bool {
        self.whole_runs
    }

    /// Makes an access, and compares all that comes of it.
    pub(super) fn access(&mut self, access: Access) -> Result<(), Mismatch> {
        let before = self.memory.clone();
        let expected = self.registers.translate(access, &before);
        let observed = self.observe(access);
        self.same_answer(&expected, &observed)?;
        self.same_peek(&observed)?;
        let run = self.registers.run(access, &before);
        self.note_run(access, run, &observed.events);
        match (&expected, &observed.translated) {
            (Ok(outcome), Ok(found)) => {
                if run.is_none() || !self.setting.caches_runs() {
                    self.same_updates(before, outcome, &observed.events)?;
                }
                self.sound_span(access, outcome, found.span, run)?;
                if found.ticket.is_some() { self.sound_ticket(access, outcome) } else { Ok(()) }
            }
            (_, Err(fault)) => {
                same("memory after a fault", &before, &self.memory)?;
                sound_fault(access, fault, &observed.events)
            }
            (Err(_), Ok(_)) => Ok(()),
        }
    }

    fn observe(&mut self, access: Access) -> Observed {
        if self.setting.flushes() {
            TranslationUnit::<SparseMemory, ()>::invalidate(&mut self.unit, Invalidate::All);
        }
        let mut events = Vec::new();
        let peeked = TranslationUnit::<_, ()>::peek(&self.unit, access, &self.memory);
        let translated = self.unit.translate(access, &mut self.memory, &mut events);
        Observed { peeked, translated, events }
    }

    fn same_answer(
        &self,
        expected: &Result<Outcome, A::Fault>,
        observed: &Observed,
    ) -> Result<(), Mismatch> {
        let expected = expected.clone().map(|outcome| outcome.pa).map_err(Some);
        let exception = |fault: Fault| A::exception(self.unit.format(), &fault);
        let got = observed.translated.map(|found| found.addr).map_err(exception);
        same("answer", &expected, &got)
    }

    /// The tables know no more and no less than the unit; only that they know larger pages than a TLB may hold.
    fn same_peek(&self, observed: &Observed) -> Result<(), Mismatch> {
        let comparable = |found: Translation| {
            let span = if self.setting == Setting::Uncached { found.span } else { 0 };
            Translation { ticket: None, span, ..found }
        };
        same("peek", &observed.translated.map(comparable), &observed.peeked.map(comparable))
    }

    /// Memory changed as it had to, and the probe was told of it.
    fn same_updates(
        &self,
        mut memory: SparseMemory,
        outcome: &Outcome,
        events: &[Event],
    ) -> Result<(), Mismatch> {
        memory.apply_all(&outcome.writes);
        same("memory", &memory, &self.memory)?;
        let told: BTreeMap<PhysAddr, u64> = events.iter().filter_map(update).collect();
        let made = outcome.writes.iter().map(|write| (write.addr, write.value)).collect();
        same("updates told", &made, &told)
    }

    /// The span of an allowed access: what it promises is true.
    fn sound_span(
        &self,
        access: Access,
        outcome: &Outcome,
        span: u64,
        run: Option<Run>,
    ) -> Result<(), Mismatch> {
        let Run { bits, page_bits, .. } =
            run.unwrap_or(Run { bits: 0, page_bits: outcome.page_bits, step: 0 });
        let page = to_the_end(outcome.pa, page_bits);
        let most = to_the_end(outcome.pa, page_bits + bits);
        if span < u64::from(access.size).max(1) || span > most {
            return Err(refused("span", &format!("{span:#x} of {most:#x} bytes")));
        }
        if span <= page {
            self.allows_last_byte(access, outcome, span)?;
        }
        if self.setting == Setting::Uncached && span < page && outcome.page_bits < 64 {
            self.allows_no_more(access, span)?;
        }
        Ok(())
    }

    /// A ticket is good for the RAM page: the model allows the same access anywhere in it. Protection can end at any
    /// fourth byte; some of them are tried.
    fn sound_ticket(&self, access: Access, outcome: &Outcome) -> Result<(), Mismatch> {
        let (page, frame) = (access.addr.align_down(12), outcome.pa.align_down(12));
        let step = if self.registers.has_memory_protection() { 117 } else { 4095 };
        for into in (0..4096).step_by(step) {
            let byte = access.at(page.wrapping_add(into), 1);
            let found = self.registers.translate(byte, &self.memory).map(|outcome| outcome.pa);
            same("page of a ticket", &Ok(frame.wrapping_add(into)), &found)?;
        }
        Ok(())
    }

    /// The model allows the same access to the last byte of the span.
    fn allows_last_byte(
        &self,
        access: Access,
        outcome: &Outcome,
        span: u64,
    ) -> Result<(), Mismatch> {
        let last = access.at(access.addr.wrapping_add(span - 1), 1);
        let found = self.registers.translate(last, &self.memory).map(|outcome| outcome.pa);
        same("last byte of the span", &found, &Ok(outcome.pa.wrapping_add(span - 1)))
    }

    /// The model refuses a larger access than the span.
    fn allows_no_more(&self, access: Access, span: u64) -> Result<(), Mismatch> {
        let Ok(larger) = u32::try_from(span + 1) else { return Ok(()) };
        match self.registers.translate(access.at(access.addr, larger), &self.memory) {
            Ok(_) => Err(refused("span", &format!("{span:#x}, and could be larger"))),
            Err(_) => Ok(()),
        }
    }

    fn note_run(&mut self, access: Access, run: Option<Run>, events: &[Event]) {
        if let Some(run) = run {
            let leaf = events.iter().rev().find_map(read).map(|entry| entry.addr);
            let whole = leaf.is_some_and(|leaf| is_whole(run, leaf, &self.initial));
            self.whole_runs &= whole && self.allows_all(access, run);
        }
    }

    /// Whether the access could be made in every page of the run: the address space has them all, and memory
    /// protection lets each entry be read and its flags be set.
    fn allows_all(&self, access: Access, run: Run) -> bool {
        let first = access.addr.align_down(run.page_bits + run.bits);
        (0..1 << run.bits).all(|number: u64| {
            let page = access.at(first.wrapping_add(number << run.page_bits), 1);
            self.registers.translate(page, &self.initial).is_ok()
        })
    }
}

/// A mismatch between a rule and what the unit says.
fn refused(what: &'static str, got: &str) -> Mismatch {
    Mismatch { what, expected: "something sound".to_owned(), got: got.to_owned() }
}

/// Bytes from `addr` on to the end of its 2^`bits`-byte block.
fn to_the_end(addr: PhysAddr, bits: u32) -> u64 {
    match 1_u64.checked_shl(bits) {
        Some(size) => size - addr.raw() % size,
        None => u64::MAX - addr.raw(),
    }
}

/// Whether all entries of the run that the one at `leaf` is of say the same.
fn is_whole(run: Run, leaf: PhysAddr, memory: &SparseMemory) -> bool {
    let first = leaf.align_down(3 + run.bits);
    let entries = (0..1 << run.bits).map(|number| memory.read64(first.wrapping_add(8 * number)));
    let Ok(origin) = memory.read64(first) else { return false };
    let aligned = origin & run.step.wrapping_mul((1 << run.bits) - 1) == 0;
    let expected = (0..).map(|number| Ok(origin + number * run.step));
    aligned && entries.zip(expected).all(|(entry, expected)| entry == expected)
}

/// The fault names the access, and the entry that decided it if there is one: it was read just now.
fn sound_fault(access: Access, fault: &Fault, events: &[Event]) -> Result<(), Mismatch> {
    same("faulting access", &(access, access.addr), &(fault.access, fault.addr))?;
    same("updates told of a fault", &None, &events.iter().find_map(update))?;
    let last = events.iter().rev().find_map(read);
    match fault.entry {
        Some(FaultEntry { raw: Some(_), .. }) => same("faulting entry", &last, &fault.entry),
        // It could not be read, or the access got past it.
        Some(_) => Ok(()),
        None if fault.cause == Cause::Protection => Ok(()),
        None => same("entries read for a fault of none", &None, &last),
    }
}

fn read(event: &Event) -> Option<FaultEntry> {
    match *event {
        Event::EntryRead { level, addr, raw } => Some(FaultEntry { level, addr, raw: Some(raw) }),
        _ => None,
    }
}

fn update(event: &Event) -> Option<(PhysAddr, u64)> {
    match *event {
        Event::EntryUpdate { addr, raw, .. } => Some((addr, raw)),
        _ => None,
    }
}
