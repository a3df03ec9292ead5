//! Two stages: the model of one, composed with itself.

use super::{Fault, Guest, Refused};
use crate::reference::{Memory, Outcome, Reference};
use crate::two_stage::{
    Beyond, GuestTables, Nested, Refusal, Scratch, Stage, TwoStage, Visit, in_turn, on_scratch,
};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};

impl Reference for Guest {
    type Fault = Fault;

    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        self.nested(access, memory).answer
    }
}

impl TwoStage for Guest {
    fn nested(&self, access: Access, memory: &dyn Memory) -> Nested<Fault> {
        on_scratch(memory, |scratch| {
            let second = |gpa, visit| self.beyond(access, (gpa, visit), scratch);
            self.both(access, scratch, &second)
        })
    }

    fn first_stage(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, Fault>,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| self.both(access, scratch, second))
    }

    fn second_stage(
        &self,
        access: Access,
        visit: (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<Fault> {
        on_scratch(memory, |scratch| self.beyond(access, visit, scratch))
    }
}

impl Guest {
    fn both(
        &self,
        access: Access,
        scratch: &Scratch<'_>,
        second: Beyond<'_, Fault>,
    ) -> Result<Outcome, Refusal<Fault>> {
        let to_host = |addr, _| second(addr, Visit::WalkRead).map(|outcome| outcome.pa);
        let tables = GuestTables::new(scratch, &to_host, &|_| None);
        let found = self.first.translate(access, &tables);
        let first = found.map_err(|fault| tables.fault().unwrap_or(fault))?;
        // The first stage's flags are stores to its entry.
        let updates = tables.in_order(&first.writes);
        let updates = updates.iter().try_for_each(|write| {
            let host = second(write.write.addr, Visit::WalkUpdate)?.pa;
            write.apply_at(host, scratch);
            Ok(())
        });
        let second = second(first.pa, Visit::Access);
        let smaller = |second: Outcome| Outcome {
            page_bits: first.page_bits.min(second.page_bits),
            ..second
        };
        in_turn(updates, second.map(smaller))
    }

    /// The second stage, in which the user bit is ignored: all accesses are held to what a supervisor's are.
    fn beyond(
        &self,
        access: Access,
        (gpa, visit): (PhysAddr, Visit),
        scratch: &Scratch<'_>,
    ) -> Result<Outcome, Fault> {
        let kind = match visit {
            Visit::WalkRead => AccessKind::Load,
            Visit::WalkUpdate => AccessKind::Store,
            Visit::Access => access.kind,
        };
        if !self.second.is_on() {
            return Ok(Outcome { pa: gpa, page_bits: 64, writes: Vec::new() });
        }
        let refused = |fault, rights| Fault {
            guest: Some(Refused { gpa, walk: visit.is_walk(), rights }),
            ..fault
        };
        let found = self.second.find(gpa.raw(), &scratch.tables(Stage::Second));
        let page = found.map_err(|fault| refused(fault, 0))?;
        let access = Access::new(kind, VirtAddr::new(gpa.raw()), 1);
        let access = access.with_privilege(Privilege::Supervisor);
        page.check_rights(access).map_err(|fault| refused(fault, page.rights()))?;
        let outcome = page.outcome(access);
        scratch.apply(Stage::Second, &outcome.writes);
        Ok(Outcome { writes: Vec::new(), ..outcome })
    }
}
