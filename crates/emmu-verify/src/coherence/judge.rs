//! The judge: it compares the events and the answer of an access with the answers that the manual allows, stage by
//! stage.

use super::{
    Incoherent, Manual, Query,
    ledger::{CachedPages, Recalled, Second, Success, WalkPath},
    replay::{ReplayMemory, Walked, revisits, unpaged, walk},
    trace::{Part, Source, Trace},
    trial::{Answer, Trial},
};
use core::cell::Cell;
use emmu_core::{Access, PhysAddr};
use emmu_oracle::{Outcome, two_stage::Visit};
use std::collections::BTreeMap;

/// One of the answers that a stage may give from cached entries, and the entries that it comes from.
#[derive(Clone)]
struct Choice<A: Manual> {
    result: Result<Outcome, A::Fault>,
    walk_path: WalkPath<A>,
    /// The level of the first entry.
    top: u8,
}

/// A walk of the first stage that may have been the unit's.
struct Possible<'c, A: Manual> {
    start: Start<A>,
    walked: Walked<A::Fault>,
    /// The answers of the second stage in this walk.
    parts: Vec<&'c Choice<A>>,
}

/// The inputs of a walk of the first stage.
struct Seen<'s, 'c, A: Manual> {
    trace: &'s Trace,
    walk_path: &'s WalkPath<A>,
    /// The answers of the second stage in this walk.
    parts: &'s [&'c Choice<A>],
    /// True if the walk may make updates that the unit does not report.
    overlooks: bool,
}

/// The point at which a walk may have begun: after these entries.
#[derive(Clone)]
struct Start<A> {
    walk_path: WalkPath<A>,
    top: u8,
}

impl<A: Manual> Trial<A> {
    /// Returns an error if the manual does not allow the events and the answer. Adds the entries that the unit may
    /// cache from then on to the ledger.
    pub(super) fn judge(
        &mut self,
        access: Access,
        trace: &Trace,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let mut choices = Vec::new();
        for part in &trace.parts {
            choices.push(self.second_stage(access, part, answer)?);
        }
        match trace.whole.source() {
            Source::Hit => self.allowed_hit(access, answer),
            _ => self.first_stage(access, trace, &choices, answer),
        }
    }

    /// Returns the answers that the second stage may have given, of those that lead to the address that was used.
    fn second_stage(
        &mut self,
        access: Access,
        part: &Part,
        answer: &Answer<A::Fault>,
    ) -> Result<Vec<Choice<A>>, Incoherent> {
        let Some(guest) = part.guest else { return Ok(Vec::new()) };
        let query = Query::Second { access, gpa: guest.addr, visit: part.visit() };
        let led = match part.visit() {
            Visit::Access => answer.clone().ok(),
            _ => part.led,
        };
        let all = self.choices(query, part);
        let fits = |choice: &&Choice<A>| match (&choice.result, led) {
            (Ok(outcome), Some(led)) => outcome.pa == led,
            (Err(_), Some(_)) => false,
            // A walk that ended, or one that faulted.
            (Ok(_), None) => true,
            (Err(_), None) => part.faulted != Some(false),
        };
        let choices: Vec<_> = all.iter().filter(fits).cloned().collect();
        if choices.is_empty() {
            let said: Vec<_> = all.iter().map(|choice| &choice.result).collect();
            let what = format!("{guest}: what the second stage may have cached says {said:x?}");
            return Err(self.incoherent(&what));
        }
        for Choice { result, walk_path, top } in choices.clone() {
            match (result, part.faulted) {
                (Ok(outcome), Some(false)) => {
                    self.ledger.note(Success { query, walk_path, top, outcome, second: None });
                }
                (Err(_), Some(true)) => self.ledger.note_refusal(query, walk_path, &self.memory),
                _ => {}
            }
        }
        Ok(choices)
    }

    /// Returns all answers that the second stage may have given.
    fn choices(&self, query: Query, part: &Part) -> Vec<Choice<A>> {
        let recalled = |Recalled { result, walk_path }| Choice { result, walk_path, top: 0 };
        if let Source::Hit = part.source() {
            let answers = self.ledger.answers(&self.now, query, &self.memory).into_iter();
            return answers.map(recalled).chain(self.without_tables(query)).collect();
        }
        let refusals = match part.source() {
            Source::Untranslated => self.ledger.refusals_of(&self.now, query, &self.memory),
            _ => Vec::new(),
        };
        let refusals = refusals.into_iter().map(recalled);
        let starts = self.starts(query, part).into_iter();
        let choice = |Start { walk_path: WalkPath { registers, path }, top }| {
            let replay = ReplayMemory::new(&path, &part.reads, &self.memory);
            let walked = walk(&registers, query, &replay, &|gpa, _| Ok(unpaged(gpa)));
            let is_done = is_done(part, &walked, path.len());
            let path = walked.path_after(path.len(), &part.updates);
            let walk_path = WalkPath { registers, path };
            is_done.then_some(Choice { result: walked.result, walk_path, top })
        };
        starts.filter_map(choice).chain(refusals).collect()
    }

    /// Returns the refusal that the registers cause before any table is read. It can also come where a TLB holds a
    /// translation that does not allow the access.
    fn without_tables(&self, query: Query) -> Option<Choice<A>> {
        let replay = ReplayMemory::new(&[], &[], &self.memory);
        let walked = walk(&self.now, query, &replay, &|gpa, _| Ok(unpaged(gpa)));
        let walk_path = WalkPath { registers: self.now.clone(), path: Vec::new() };
        let is_refused = walked.result.is_err() && walked.path.is_empty();
        is_refused.then_some(Choice { result: walked.result, walk_path, top: 0 })
    }

    /// Returns the points at which the walk may have begun, according to the events.
    fn starts(&self, query: Query, part: &Part) -> Vec<Start<A>> {
        let root = WalkPath { registers: self.now.clone(), path: Vec::new() };
        match part.source() {
            Source::Untranslated | Source::Hit => vec![Start { walk_path: root, top: 0 }],
            Source::FromRoot { level } => vec![Start { walk_path: root, top: level }],
            Source::Shortened { level, addr } => {
                let walk_paths =
                    self.ledger.pointers_to(&self.now, query, (level, addr), &self.memory);
                let start = |walk_path: WalkPath<A>| {
                    let top = level + u8::try_from(walk_path.path.len()).unwrap_or(0);
                    Start { walk_path, top }
                };
                walk_paths.into_iter().map(start).collect()
            }
        }
    }

    /// Checks that a walk of the first stage, or of the only one, gives the answer of the model on tables that may be
    /// cached, with guest-physical addresses translated as the second stage may have done.
    fn first_stage(
        &mut self,
        access: Access,
        trace: &Trace,
        choices: &[Vec<Choice<A>>],
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let (part, query) = (&trace.whole, Query::First(access));
        if let (Source::Untranslated, Err(Some(fault))) = (part.source(), answer) {
            let refusals = self.ledger.refusals_of(&self.now, query, &self.memory);
            if refusals.iter().any(|recalled| recalled.result.as_ref() == Err(fault)) {
                return Ok(());
            }
        }
        let choices = &choices[part.after..];
        let mut walks = Vec::new();
        for start in self.starts(query, part) {
            // An entry that is on the way twice may be updated: the model would update its cached copy, too.
            let cached = start.walk_path.path.iter().map(|entry| entry.host);
            let is_twice = revisits(cached.chain(part.reads.iter().map(|traced| traced.host)));
            for parts in combinations(choices) {
                for overlooks in [false, true].into_iter().take(1 + usize::from(is_twice)) {
                    let seen =
                        Seen { trace, walk_path: &start.walk_path, parts: &parts, overlooks };
                    let walked = self.walk_first(&self.now, access, seen);
                    walks.push(Possible { start: start.clone(), walked, parts: parts.clone() });
                }
            }
        }
        let agrees = |possible: &&Possible<'_, A>| agrees(trace, possible, answer);
        let agreeing: Vec<_> = walks.iter().filter(agrees).collect();
        if agreeing.is_empty() {
            let said = walks.iter().map(|walk| (&walk.walked.result, &walk.walked.changes));
            let said: Vec<_> = said.collect();
            let what = format!("the tables that there are, or may be cached, say {said:x?}");
            return Err(self.incoherent(&what));
        }
        for Possible { start, walked, .. } in &agreeing {
            if part.faulted == Some(true) && walked.result.is_err() {
                let path = walked.path_after(start.walk_path.path.len(), &part.updates);
                let walk_path = WalkPath { registers: start.walk_path.registers.clone(), path };
                self.ledger.note_refusal(query, walk_path, &self.memory);
            }
        }
        for possible in agreeing {
            for success in self.successes(access, trace, choices, possible) {
                self.ledger.note(success);
            }
        }
        Ok(())
    }

    /// Replays a walk of the first stage. The cached entries given here replace those in memory; all other entries are
    /// read as the unit reports them, or from memory. The given answers of the second stage are used first; for other
    /// addresses, its tables in memory give the answer.
    fn walk_first(
        &self,
        now: &A,
        access: Access,
        Seen { trace, walk_path, parts, overlooks }: Seen<'_, '_, A>,
    ) -> Walked<A::Fault> {
        let traced = &trace.parts[trace.whole.after..];
        let next = Cell::new(0);
        let second = |gpa, visit: Visit| {
            let is_it = |part: &Part| {
                part.guest.is_some_and(|guest| (guest.addr, guest.walk) == (gpa, visit.is_walk()))
            };
            let found = traced[next.get()..].iter().position(is_it).map(|at| next.get() + at);
            let result = match found {
                Some(at) => {
                    next.set(at + 1);
                    parts[at].result.clone()
                }
                None if overlooks && visit == Visit::WalkUpdate => Ok(unpaged(gpa)),
                None => now.second(access, (gpa, visit), &self.memory).answer,
            };
            result.map(|outcome| unpaged(outcome.pa))
        };
        let registers = now.with_root_of(&walk_path.registers);
        let replay = ReplayMemory::new(&walk_path.path, &trace.whole.reads, &self.memory);
        walk(&registers, Query::First(access), &replay, &second)
    }

    /// Returns the translations that the unit may cache after a walk that ended at a leaf. If the access was refused
    /// nevertheless, the refusal comes from physical memory protection.
    fn successes(
        &self,
        access: Access,
        trace: &Trace,
        choices: &[Vec<Choice<A>>],
        Possible { start, parts, .. }: &Possible<'_, A>,
    ) -> Vec<Success<A>> {
        let Start { walk_path, top } = start;
        let seen = Seen { trace, walk_path, parts, overlooks: true };
        let walked = self.walk_first(&self.now.unprotected(), access, seen);
        let (part, Ok(outcome)) = (&trace.whole, &walked.result) else { return Vec::new() };
        if part.faulted != Some(false) || walked.path.is_empty() {
            return Vec::new();
        }
        let mut path = walked.path_after(walk_path.path.len(), &part.updates);
        // Behind them are entries that the model has read once more to update them.
        path.truncate(walk_path.path.len() + part.reads.len());
        let success = |gpa: Option<PhysAddr>, second| Success {
            query: Query::First(access),
            walk_path: WalkPath { registers: walk_path.registers.clone(), path: path.clone() },
            top: *top,
            outcome: Outcome { pa: gpa.unwrap_or(outcome.pa), ..outcome.clone() },
            second,
        };
        let traced = trace.parts[part.after..].iter().zip(choices).zip(parts);
        let mut data = traced.filter_map(|((part, choices), chosen)| {
            let gpa = part.guest.filter(|guest| !guest.walk)?.addr;
            let query = Query::Second { access, gpa, visit: Visit::Access };
            let same = |choice: &&Choice<A>| choice.result == chosen.result;
            let seconds = choices.iter().filter(same);
            Some((gpa, seconds.filter_map(move |choice| choice.of_both(query))))
        });
        match data.next_back() {
            Some((gpa, seconds)) => {
                seconds.map(|second| success(Some(gpa), Some(second))).collect()
            }
            None => vec![success(None, None)],
        }
    }
}

impl<A: Manual> Choice<A> {
    /// Returns the second stage's part of a translation of both stages, if the second stage allowed the query.
    fn of_both(&self, query: Query) -> Option<Second<A>> {
        let pages = CachedPages::of(query, &self.walk_path, self.result.as_ref().ok()?);
        Some(Second { walk_path: self.walk_path.clone(), pages })
    }
}

/// Returns the combinations of one answer of each part. Of answers that are equal, one is used.
fn combinations<A: Manual>(choices: &[Vec<Choice<A>>]) -> Vec<Vec<&Choice<A>>> {
    choices.iter().fold(vec![Vec::new()], |heads, part| {
        let mut distinct: Vec<&Choice<A>> = Vec::new();
        for choice in part {
            if distinct.iter().all(|other| other.result != choice.result) {
                distinct.push(choice);
            }
        }
        let longer = |head: Vec<_>| {
            distinct.iter().map(move |choice| [&head[..], &[*choice]].concat()).collect::<Vec<_>>()
        };
        heads.into_iter().flat_map(longer).collect()
    })
}

/// Returns true if the answer of the unit is the result of the walk.
fn agrees<A: Manual>(
    trace: &Trace,
    Possible { start, walked, .. }: &Possible<'_, A>,
    answer: &Answer<A::Fault>,
) -> bool {
    // The walk comes by an entry on two levels: of the refusals that may come before or after, any may be reported.
    let is_open = walked.revisits() && walked.result.is_err() && answer.is_err();
    let same = match (&walked.result, answer) {
        (Ok(outcome), Ok(pa)) => outcome.pa == *pa,
        (Err(fault), Err(Some(raised))) => fault == raised || walked.other.as_ref() == Some(raised),
        _ => false,
    };
    // An entry that was read at one place is updated at another, as the second stage has it meanwhile.
    let wanders = trace.parts.iter().any(|part| {
        part.updating && trace.whole.reads.iter().all(|traced| Some(traced.host) != part.led)
    });
    is_open || same && (wanders || is_done(&trace.whole, walked, start.walk_path.path.len()))
}

/// Returns true if the unit read and changed the entries of the walk, without reading the first `cached` ones.
fn is_done<F>(part: &Part, walked: &Walked<F>, cached: usize) -> bool {
    let traced: BTreeMap<_, _> = part.updates.iter().copied().collect();
    let due = walked.changes.iter().map(|write| (write.addr, write.value));
    let due: BTreeMap<_, _> = due.collect();
    // The model reads an entry with the same value each time, so its writes are not compared then.
    let is_open = part.restarted || walked.revisits();
    match &walked.result {
        _ if is_open => true,
        // Physical memory protection refused what the second stage allows.
        Ok(_) if part.faulted == Some(true) => traced.is_empty(),
        Ok(_) => traced == due && walked.path.len() == cached + part.reads.len(),
        Err(_) => traced.iter().all(|(addr, raw)| due.get(addr) == Some(raw)),
    }
}
