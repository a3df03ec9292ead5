//! `Trial`: one unit, whose accesses are compared with the model's.

use super::{
    Mismatch, Setting,
    case_bus::adopt,
    roles::{Roles, is_ambiguous, restarts},
    rules::{LOW, after, is_part, is_whole, refused, sound_entry, to_the_end},
    same,
    trace::Trace,
};
use crate::generate::Case;
use crate::{Architecture, Run, Unit};
use emmu_core::{
    Access, Cause, Event, Fault, FaultEntry, Invalidate, PhysAddr, RegisterId, Translation,
    TranslationUnit,
};
use emmu_oracle::{
    Memory, Outcome,
    reference::{SparseMemory, Write},
    two_stage::{Nested, Stage},
};
use std::collections::BTreeMap;

pub(super) struct Trial<A: Architecture> {
    registers: A,
    setting: Setting,
    unit: Unit<A>,
    /// Memory of the case.
    initial: SparseMemory,
    /// Memory after the accesses so far.
    memory: SparseMemory,
    whole_runs: bool,
    roles: Roles,
}

/// The results of one access on the unit.
struct Observed {
    peeked: Result<Translation, Fault>,
    translated: Result<Translation, Fault>,
    events: Vec<Event>,
}

impl<A: Architecture> Trial<A> {
    /// Makes a unit with the registers of the case. Returns `None` if the model says that it cannot be switched on.
    pub(super) fn switch_on(case: &Case<A>, setting: Setting) -> Result<Option<Self>, Mismatch> {
        let (registers, initial) = (case.registers.clone(), case.memory());
        let [config, second] = setting.configs(&registers.sizes());
        let mut unit = registers
            .out_of_reset(&config, &second)
            .map_err(|error| refused("a unit", &error.to_string()))?;
        let mut memory = initial.clone();
        let expected = registers.expected_switch_on(&memory);
        let got = registers.switch_on(&mut unit, &mut memory);
        let raised = got.map_err(|error| registers.refused_write(&error));
        let changes = expected.clone().unwrap_or_default();
        same("register writes", &expected.map(drop).map_err(Some), &raised)?;
        if raised.is_ok() {
            let mut expected = initial.clone();
            expected.apply_all(&changes);
            same("memory", &expected, &memory)?;
        }
        let (whole_runs, roles) = (true, Roles::default());
        let trial = Self { registers, setting, unit, initial, memory, whole_runs, roles };
        Ok(got.is_ok().then_some(trial))
    }

    /// Returns true if each run that an access used is whole in the initial tables.
    pub(super) fn whole_runs(&self) -> bool {
        self.whole_runs
    }

    pub(super) fn registers(&self) -> &A {
        &self.registers
    }

    pub(super) fn memory(&self) -> &SparseMemory {
        &self.memory
    }

    /// Returns true if an entry on the way of the access says that it belongs to a run.
    pub(super) fn has_run(&self, access: Access) -> bool {
        self.registers.run(access, &self.memory).is_some()
    }

    /// Changes a word of memory, and makes these invalidations.
    pub(super) fn change(&mut self, write: Write, fences: &[Invalidate]) {
        self.memory.apply(write);
        self.invalidate(fences);
    }

    pub(super) fn invalidate(&mut self, fences: &[Invalidate]) {
        for scope in fences {
            TranslationUnit::<SparseMemory, ()>::invalidate(&mut self.unit, *scope);
        }
    }

    /// Changes the registers, and writes to the unit those that `turn` returns.
    pub(super) fn turn(
        &mut self,
        turn: impl Fn(&mut A) -> Vec<(RegisterId, u64)>,
    ) -> Result<Vec<(RegisterId, u64)>, Mismatch> {
        let writes = turn(&mut self.registers);
        for (id, value) in &writes {
            let written = self.unit.write_register(*id, *value, &mut self.memory, &mut ());
            same("register write", &Ok(()), &written)?;
        }
        Ok(writes)
    }

    /// Makes an access, and compares its results, except those that the manual leaves open.
    pub(super) fn access(&mut self, access: Access) -> Result<(), Mismatch> {
        let before = self.memory.clone();
        let expected = self.registers.ask(access, &before);
        if expected.entangled || self.clashes(&expected) {
            self.stumble(access);
            return Ok(());
        }
        let observed = self.observe(access);
        self.same_answer(&expected, &observed)?;
        self.same_peek(&expected, &observed)?;
        let trace = Trace::of(&observed.events)?;
        self.same_reads(&expected, &trace, observed.translated.is_ok())?;
        let run = self.registers.run(access, &before);
        self.note_run(access, run, &trace);
        match (&expected.answer, &observed.translated) {
            (Ok(outcome), Ok(found)) => {
                self.sound_span(access, outcome, found.span, run, &before)?;
                if found.ticket.is_some() {
                    self.sound_ticket(access, outcome, &before)?;
                }
                match run {
                    Some(_) if self.setting.caches_runs() => Ok(()),
                    _ => self.same_updates(before, outcome, &trace),
                }
            }
            (_, Err(fault)) => {
                self.same_updates_of_fault(before, &expected, &trace)?;
                self.sound_fault(access, fault, &trace)
            }
            (Err(_), Ok(_)) => Ok(()),
        }
    }

    /// Returns true if cached entries may be stale after the access.
    fn clashes(&mut self, expected: &Nested<A::Fault>) -> bool {
        self.setting.is_warm() && self.roles.clash(expected)
    }

    /// Makes an access whose result is open, only to see that it comes to an end. A unit that keeps its caches does not
    /// make it, so that the caches stay correct.
    fn stumble(&mut self, access: Access) {
        if !self.setting.is_warm() {
            let _ = self.observe(access);
        }
    }

    fn observe(&mut self, access: Access) -> Observed {
        if self.setting.flushes() {
            self.invalidate(&self.registers.everything());
        }
        let mut events = Vec::new();
        let peeked = TranslationUnit::<_, ()>::peek(&self.unit, access, &self.memory);
        let translated = self.unit.translate(access, &mut self.memory, &mut events);
        Observed { peeked, translated, events }
    }

    fn same_answer(
        &self,
        expected: &Nested<A::Fault>,
        observed: &Observed,
    ) -> Result<(), Mismatch> {
        let exception = |fault: Fault| A::exception(self.unit.format(), &fault);
        let got = observed.translated.map(|found| found.addr).map_err(exception);
        let other = expected.other.clone().map(|fault| Err(Some(fault)));
        let answer = expected.answer.clone().map(|outcome| outcome.pa).map_err(Some);
        if got.is_err() && is_ambiguous(expected) {
            return Ok(());
        }
        same("answer", other.as_ref().filter(|other| **other == got).unwrap_or(&answer), &got)
    }

    /// Checks that `peek` gives the answer of `translate`. The tables may give larger spans than a TLB holds, and
    /// entries before their flags are set; these are not compared.
    fn same_peek(&self, expected: &Nested<A::Fault>, observed: &Observed) -> Result<(), Mismatch> {
        let found = |found: Translation| {
            let span = if self.setting == Setting::Uncached { found.span } else { 0 };
            Translation { ticket: None, span, ..found }
        };
        let refused =
            |fault: Fault| Fault { entry: fault.entry.map(|e| after(e, expected)), ..fault };
        let comparable = |answer: Result<_, _>| answer.map(found).map_err(refused);
        same("peek", &comparable(observed.translated), &comparable(observed.peeked))
    }

    /// Checks that the unit read the entries that had to be read, in order. Caches spare the unit some reads, and so
    /// does a fault that it foresees.
    fn same_reads(
        &self,
        expected: &Nested<A::Fault>,
        trace: &Trace,
        allowed: bool,
    ) -> Result<(), Mismatch> {
        if restarts(expected) {
            return Ok(());
        }
        let traced =
            trace.reads.iter().map(|traced| (traced.stage, traced.entry.addr, traced.entry.raw));
        let traced: Vec<_> = traced.collect();
        let needed = expected.reads.iter().map(|read| (read.stage, read.addr, Some(read.raw)));
        let needed: Vec<_> = needed.collect();
        let sound = match self.setting {
            Setting::Uncached if allowed => traced == needed,
            Setting::Uncached => needed.starts_with(&traced),
            _ => is_part(&traced, &needed),
        };
        if sound { Ok(()) } else { same("entries read", &needed, &traced) }
    }

    /// Checks that memory changed as it had to, and that the events report the changes.
    fn same_updates(
        &self,
        mut memory: SparseMemory,
        outcome: &Outcome,
        trace: &Trace,
    ) -> Result<(), Mismatch> {
        memory.apply_all(&outcome.writes);
        same("memory", &memory, &self.memory)?;
        let traced: BTreeMap<PhysAddr, u64> = trace.updates.iter().map(|u| (u.1, u.2)).collect();
        let made = outcome.writes.iter().map(|write| (write.addr, write.value)).collect();
        same("updates traced", &made, &traced)
    }

    /// Compares the updates of an access that faults. The second stage may have set flags for the addresses that it
    /// allowed before the fault; the events must report them.
    fn same_updates_of_fault(
        &self,
        mut memory: SparseMemory,
        expected: &Nested<A::Fault>,
        trace: &Trace,
    ) -> Result<(), Mismatch> {
        let made = adopt(&mut memory, &expected.changes, &self.memory);
        same("memory after a fault", &memory, &self.memory)?;
        let traced: BTreeMap<PhysAddr, u64> = trace.updates.iter().map(|u| (u.1, u.2)).collect();
        same("updates traced of a fault", &made, &traced)?;
        let by_first = trace.updates.iter().find(|(stage, ..)| *stage == Stage::First);
        same("update by the first stage before a fault", &None, &by_first)
    }

    /// Checks that the span of an allowed access is true under the tables that the access found.
    fn sound_span(
        &self,
        access: Access,
        outcome: &Outcome,
        span: u64,
        run: Option<Run>,
        tables: &SparseMemory,
    ) -> Result<(), Mismatch> {
        let Run { bits, page_bits, .. } =
            run.unwrap_or(Run { bits: 0, page_bits: outcome.page_bits, step: None });
        let page = to_the_end(outcome.pa, page_bits);
        let most = to_the_end(outcome.pa, page_bits + bits);
        if span < u64::from(access.size).max(1) || span > most {
            return Err(refused("span", &format!("{span:#x} of {most:#x} bytes")));
        }
        if span <= page {
            self.allows_last_byte(access, outcome, span, tables)?;
        }
        if self.setting == Setting::Uncached && span < page && outcome.page_bits < 64 {
            self.allows_no_more(access, span, tables)?;
        }
        Ok(())
    }

    /// Checks a ticket, which is valid for the RAM page: the model must allow the same access anywhere in the page.
    /// Protection can end at any fourth byte; some of these bytes are tried.
    fn sound_ticket(
        &self,
        access: Access,
        outcome: &Outcome,
        tables: &SparseMemory,
    ) -> Result<(), Mismatch> {
        let (page, frame) = (access.addr.align_down(12), outcome.pa.align_down(12));
        let step = if self.registers.has_memory_protection() { 117 } else { 4095 };
        for into in (0..4096).step_by(step) {
            let byte = access.at(page.wrapping_add(into), 1);
            let found = self.registers.translate(byte, tables).map(|outcome| outcome.pa);
            same("page of a ticket", &Ok(frame.wrapping_add(into)), &found)?;
        }
        Ok(())
    }

    /// Checks that the model allows the same access to the last byte of the span.
    fn allows_last_byte(
        &self,
        access: Access,
        outcome: &Outcome,
        span: u64,
        tables: &SparseMemory,
    ) -> Result<(), Mismatch> {
        let last = access.at(access.addr.wrapping_add(span - 1), 1);
        let found = self.registers.translate(last, tables).map(|outcome| outcome.pa);
        same("last byte of the span", &found, &Ok(outcome.pa.wrapping_add(span - 1)))
    }

    /// Checks that the model refuses a larger access than the span.
    fn allows_no_more(
        &self,
        access: Access,
        span: u64,
        tables: &SparseMemory,
    ) -> Result<(), Mismatch> {
        let Ok(larger) = u32::try_from(span + 1) else { return Ok(()) };
        match self.registers.translate(access.at(access.addr, larger), tables) {
            Ok(_) => Err(refused("span", &format!("{span:#x}, and could be larger"))),
            Err(_) => Ok(()),
        }
    }

    /// Checks that the fault names the access, and the entry that decided it if there is one.
    fn sound_fault(&self, access: Access, fault: &Fault, trace: &Trace) -> Result<(), Mismatch> {
        same("faulting access", &(access, access.addr), &(fault.access, fault.addr))?;
        match (fault.entry, fault.guest) {
            (Some(entry @ FaultEntry { raw: Some(_), .. }), None) => sound_entry(entry, trace),
            (Some(entry @ FaultEntry { raw: Some(raw), addr, .. }), Some(_)) => {
                // The unit finds a refusal of the second stage before it sets flags, by a walk without events.
                let stands = self.memory.read32(addr).is_ok_and(|low| u64::from(low) == raw & LOW);
                let is_last = trace.reads.last().is_some_and(|traced| traced.entry == entry);
                same("faulting entry, read or there", &(entry, true), &(entry, stands || is_last))
            }
            // The entry could not be read, or the access passed it.
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Ok(()),
            (None, None) if fault.cause == Cause::Protection => Ok(()),
            (None, None) => same("entries read for a fault of none", &None, &trace.reads.last()),
        }
    }

    fn note_run(&mut self, access: Access, run: Option<Run>, trace: &Trace) {
        if let Some(run) = run {
            let leaf = trace.reads.last().map(|traced| traced.entry.addr);
            let whole = leaf.is_some_and(|leaf| is_whole(run, leaf, &self.initial));
            self.whole_runs &= whole && self.allows_all(access, run);
        }
    }

    /// Returns true if the access is possible in every page of the run: the address space contains all pages, and
    /// memory protection allows each entry to be read and its flags to be set.
    fn allows_all(&self, access: Access, run: Run) -> bool {
        let first = access.addr.align_down(run.page_bits + run.bits);
        (0..1 << run.bits).all(|number: u64| {
            let page = access.at(first.wrapping_add(number << run.page_bits), 1);
            self.registers.translate(page, &self.initial).is_ok()
        })
    }
}
