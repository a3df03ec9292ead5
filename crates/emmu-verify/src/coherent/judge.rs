//! Whether what a unit tells of an access, stage by stage, is what its manual allows.

use super::{
    Asked, Incoherent, Manual,
    ledger::{Piece, Recalled, Route, Second, Success},
    tale::{Part, Tale, Way},
    tape::{Tape, Walked, revisits, unpaged, walk},
    trial::{Answer, Trial},
};
use core::cell::Cell;
use emmu_core::{Access, PhysAddr};
use emmu_oracle::{Outcome, two_stage::Visit};
use std::collections::BTreeMap;

/// One of the answers that a stage may give by what is remembered, and the entries that it is due to.
#[derive(Clone)]
struct Choice<A: Manual> {
    result: Result<Outcome, A::Fault>,
    route: Route<A>,
    /// The level of the first entry.
    top: u8,
}

/// A walk of the first stage that may have been the unit's.
struct Possible<'c, A: Manual> {
    start: Start<A>,
    walked: Walked<A::Fault>,
    /// What the second stage's parts in it came to.
    parts: Vec<&'c Choice<A>>,
}

/// What a walk of the first stage is made of.
struct Seen<'s, 'c, A: Manual> {
    tale: &'s Tale,
    route: &'s Route<A>,
    /// What the second stage's parts in it came to.
    parts: &'s [&'c Choice<A>],
    /// Whether updates that the unit does not tell of are taken to be possible.
    overlooks: bool,
}

/// Where a walk may have begun: behind these entries.
#[derive(Clone)]
struct Start<A> {
    route: Route<A>,
    top: u8,
}

impl<A: Manual> Trial<A> {
    /// Whether the manual allows what the unit tells; takes note of what it may remember from then on.
    pub(super) fn judge(
        &mut self,
        access: Access,
        tale: &Tale,
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let mut choices = Vec::new();
        for part in &tale.parts {
            choices.push(self.second_stage(access, part, answer)?);
        }
        match tale.whole.way() {
            Way::Hit => self.allowed_hit(access, answer),
            _ => self.first_stage(access, tale, &choices, answer),
        }
    }

    /// What the second stage may have answered, given where it led.
    fn second_stage(
        &mut self,
        access: Access,
        part: &Part,
        answer: &Answer<A::Fault>,
    ) -> Result<Vec<Choice<A>>, Incoherent> {
        let Some(guest) = part.guest else { return Ok(Vec::new()) };
        let asked = Asked::Second { access, gpa: guest.addr, visit: part.visit() };
        let led = match part.visit() {
            Visit::Access => answer.clone().ok(),
            _ => part.led,
        };
        let all = self.choices(asked, part);
        let fits = |choice: &&Choice<A>| match (&choice.result, led) {
            (Ok(outcome), Some(led)) => outcome.pa == led,
            (Err(_), Some(_)) => false,
            // A walk that came to its end, or did not.
            (Ok(_), None) => true,
            (Err(_), None) => part.faulted != Some(false),
        };
        let choices: Vec<_> = all.iter().filter(fits).cloned().collect();
        if choices.is_empty() {
            let said: Vec<_> = all.iter().map(|choice| &choice.result).collect();
            let what = format!("{guest}: what the second stage may remember says {said:x?}");
            return Err(self.incoherent(&what));
        }
        for Choice { result, route, top } in choices.clone() {
            match (result, part.faulted) {
                (Ok(outcome), Some(false)) => {
                    self.ledger.note(Success { asked, route, top, outcome, second: None });
                }
                (Err(_), Some(true)) => self.ledger.note_refusal(asked, route, &self.memory),
                _ => {}
            }
        }
        Ok(choices)
    }

    /// All that the second stage may have answered.
    fn choices(&self, asked: Asked, part: &Part) -> Vec<Choice<A>> {
        let recalled = |Recalled { result, route }| Choice { result, route, top: 0 };
        if let Way::Hit = part.way() {
            let answers = self.ledger.answers(&self.now, asked, &self.memory).into_iter();
            return answers.map(recalled).chain(self.without_tables(asked)).collect();
        }
        let refusals = match part.way() {
            Way::Untranslated => self.ledger.refusals_of(&self.now, asked, &self.memory),
            _ => Vec::new(),
        };
        let refusals = refusals.into_iter().map(recalled);
        let starts = self.starts(asked, part).into_iter();
        let choice = |Start { route: Route { registers, path }, top }| {
            let tape = Tape::new(&path, &part.reads, &self.memory);
            let walked = walk(&registers, asked, &tape, &|gpa, _| Ok(unpaged(gpa)));
            let is_done = is_done(part, &walked, path.len());
            let path = walked.path_after(path.len(), &part.updates);
            let route = Route { registers, path };
            is_done.then_some(Choice { result: walked.result, route, top })
        };
        starts.filter_map(choice).chain(refusals).collect()
    }

    /// What the registers refuse before any table is read: where a TLB holds something that does not allow the access, too.
    fn without_tables(&self, asked: Asked) -> Option<Choice<A>> {
        let tape = Tape::new(&[], &[], &self.memory);
        let walked = walk(&self.now, asked, &tape, &|gpa, _| Ok(unpaged(gpa)));
        let route = Route { registers: self.now.clone(), path: Vec::new() };
        let is_refused = walked.result.is_err() && walked.path.is_empty();
        is_refused.then_some(Choice { result: walked.result, route, top: 0 })
    }

    /// Where a walk may have begun that began where it is told.
    fn starts(&self, asked: Asked, part: &Part) -> Vec<Start<A>> {
        let root = Route { registers: self.now.clone(), path: Vec::new() };
        match part.way() {
            Way::Untranslated | Way::Hit => vec![Start { route: root, top: 0 }],
            Way::FromRoot { level } => vec![Start { route: root, top: level }],
            Way::Shortened { level, addr } => {
                let routes = self.ledger.pointers_to(&self.now, asked, (level, addr), &self.memory);
                let start = |route: Route<A>| {
                    let top = level + u8::try_from(route.path.len()).unwrap_or(0);
                    Start { route, top }
                };
                routes.into_iter().map(start).collect()
            }
        }
    }

    /// A walk of the first stage, or of the only one, is answered as by the model if the tables are so that may be
    /// remembered, and guest-physical addresses lead where the second stage may have said.
    fn first_stage(
        &mut self,
        access: Access,
        tale: &Tale,
        choices: &[Vec<Choice<A>>],
        answer: &Answer<A::Fault>,
    ) -> Result<(), Incoherent> {
        let (part, asked) = (&tale.whole, Asked::First(access));
        if let (Way::Untranslated, Err(Some(fault))) = (part.way(), answer) {
            let refusals = self.ledger.refusals_of(&self.now, asked, &self.memory);
            if refusals.iter().any(|recalled| recalled.result.as_ref() == Err(fault)) {
                return Ok(());
            }
        }
        let choices = &choices[part.after..];
        let mut walks = Vec::new();
        for start in self.starts(asked, part) {
            // An entry that is on the way twice may be updated: the model would update what is remembered of it, too.
            let remembered = start.route.path.iter().map(|entry| entry.host);
            let is_twice = revisits(remembered.chain(part.reads.iter().map(|told| told.host)));
            for parts in combinations(choices) {
                for overlooks in [false, true].into_iter().take(1 + usize::from(is_twice)) {
                    let seen = Seen { tale, route: &start.route, parts: &parts, overlooks };
                    let walked = self.walk_first(&self.now, access, seen);
                    walks.push(Possible { start: start.clone(), walked, parts: parts.clone() });
                }
            }
        }
        let agrees = |possible: &&Possible<'_, A>| agrees(tale, possible, answer);
        let agreeing: Vec<_> = walks.iter().filter(agrees).collect();
        if agreeing.is_empty() {
            let said = walks.iter().map(|walk| (&walk.walked.result, &walk.walked.changes));
            let said: Vec<_> = said.collect();
            let what = format!("the tables that there are, or may be remembered, say {said:x?}");
            return Err(self.incoherent(&what));
        }
        for Possible { start, walked, .. } in &agreeing {
            if part.faulted == Some(true) && walked.result.is_err() {
                let path = walked.path_after(start.route.path.len(), &part.updates);
                let route = Route { registers: start.route.registers.clone(), path };
                self.ledger.note_refusal(asked, route, &self.memory);
            }
        }
        for possible in agreeing {
            for success in self.successes(access, tale, choices, possible) {
                self.ledger.note(success);
            }
        }
        Ok(())
    }

    /// The walk of the first stage on these entries, with these answers of the second stage, and others as its tables
    /// have them: what is found out to be refused before anything is changed is so by what is in memory.
    fn walk_first(
        &self,
        now: &A,
        access: Access,
        Seen { tale, route, parts, overlooks }: Seen<'_, '_, A>,
    ) -> Walked<A::Fault> {
        let told = &tale.parts[tale.whole.after..];
        let next = Cell::new(0);
        let second = |gpa, visit: Visit| {
            let is_it = |part: &Part| {
                part.guest.is_some_and(|guest| (guest.addr, guest.walk) == (gpa, visit.is_walk()))
            };
            let found = told[next.get()..].iter().position(is_it).map(|at| next.get() + at);
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
        let registers = now.with_root_of(&route.registers);
        let tape = Tape::new(&route.path, &tale.whole.reads, &self.memory);
        walk(&registers, Asked::First(access), &tape, &second)
    }

    /// What may be remembered of a walk that came to its end. One whose access was refused all the same was so by
    /// physical memory protection.
    fn successes(
        &self,
        access: Access,
        tale: &Tale,
        choices: &[Vec<Choice<A>>],
        Possible { start, parts, .. }: &Possible<'_, A>,
    ) -> Vec<Success<A>> {
        let Start { route, top } = start;
        let seen = Seen { tale, route, parts, overlooks: true };
        let walked = self.walk_first(&self.now.unprotected(), access, seen);
        let (part, Ok(outcome)) = (&tale.whole, &walked.result) else { return Vec::new() };
        if part.faulted != Some(false) || walked.path.is_empty() {
            return Vec::new();
        }
        let mut path = walked.path_after(route.path.len(), &part.updates);
        // Behind them are entries that the model has read once more to update them.
        path.truncate(route.path.len() + part.reads.len());
        let success = |gpa: Option<PhysAddr>, second| Success {
            asked: Asked::First(access),
            route: Route { registers: route.registers.clone(), path: path.clone() },
            top: *top,
            outcome: Outcome { pa: gpa.unwrap_or(outcome.pa), ..outcome.clone() },
            second,
        };
        let told = tale.parts[part.after..].iter().zip(choices).zip(parts);
        let mut data = told.filter_map(|((part, choices), chosen)| {
            let gpa = part.guest.filter(|guest| !guest.walk)?.addr;
            let asked = Asked::Second { access, gpa, visit: Visit::Access };
            let same = |choice: &&Choice<A>| choice.result == chosen.result;
            let seconds = choices.iter().filter(same);
            Some((gpa, seconds.filter_map(move |choice| choice.of_both(asked))))
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
    /// The second stage's part in what both made together, for what it was asked.
    fn of_both(&self, asked: Asked) -> Option<Second<A>> {
        let piece = Piece::of(asked, &self.route, self.result.as_ref().ok()?);
        Some(Second { route: self.route.clone(), piece })
    }
}

/// Each answer of one part with each of the others, but of those that are alike only one.
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

/// Whether the unit answered what comes of the walk.
fn agrees<A: Manual>(
    tale: &Tale,
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
    let wanders = tale.parts.iter().any(|part| {
        part.updating && tale.whole.reads.iter().all(|told| Some(told.host) != part.led)
    });
    is_open || same && (wanders || is_done(&tale.whole, walked, start.route.path.len()))
}

/// Whether the entries read and changed are those of the walk that found the first entries `remembered`.
fn is_done<F>(part: &Part, walked: &Walked<F>, remembered: usize) -> bool {
    let told: BTreeMap<_, _> = part.updates.iter().copied().collect();
    let due = walked.changes.iter().map(|write| (write.addr, write.value));
    let due: BTreeMap<_, _> = due.collect();
    // The model takes it that an entry is the same whenever it is read: what it writes is not to be compared then.
    let is_open = part.restarted || walked.revisits();
    match &walked.result {
        _ if is_open => true,
        // Physical memory protection refused what the second stage allows.
        Ok(_) if part.faulted == Some(true) => told.is_empty(),
        Ok(_) => told == due && walked.path.len() == remembered + part.reads.len(),
        Err(_) => told.iter().all(|(addr, raw)| due.get(addr) == Some(raw)),
    }
}
