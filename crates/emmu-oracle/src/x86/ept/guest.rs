//! Accesses of a guest on their way through both stages: "Translation of Guest-Physical Addresses Using EPT" and "EPT
//! Violations".

use super::walk::Obstacle;
use super::{Fault, Registers};
use crate::reference::{Outcome, Reference};
use crate::two_stage::{Beyond, GuestTables, GuestWrite, Refusal, Scratch, Stage, Visit, in_turn};
use crate::x86::Fault as Exception;
use emmu_core::{Access, AccessKind, PhysAddr};

pub(super) struct Guest<'a> {
    registers: &'a Registers,
    scratch: &'a Scratch<'a>,
    /// In place of EPT.
    beyond: Option<Beyond<'a, Fault>>,
}

/// An access that uses a guest-physical address, as EPT sees it.
#[derive(Clone, Copy)]
struct Use {
    /// Exit qualification, bits 2:0: a data read, a data write, an instruction fetch. Bits 5:3 have to allow them all.
    kinds: u64,
    /// The linear address that is translated, if there is one.
    linear: Option<u64>,
    /// The use of the guest-physical address: the translation of the access, or that of a paging-structure
    /// entry.
    visit: Visit,
}

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 2;

impl<'a> Guest<'a> {
    pub(super) fn new(registers: &'a Registers, scratch: &'a Scratch<'a>) -> Self {
        Self { registers, scratch, beyond: None }
    }

    pub(super) fn over(self, beyond: Beyond<'a, Fault>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// EPT alone, for an access.
    pub(super) fn second(
        &self,
        access: Access,
        gpa: PhysAddr,
        visit: Visit,
    ) -> Result<Outcome, Fault> {
        let linear = Some(self.registers.guest.linear_address(access));
        let kinds = match visit {
            Visit::WalkRead => self.walk_kinds(),
            Visit::WalkUpdate => READ | WRITE,
            Visit::Access => kinds(access.kind),
        };
        self.ept(gpa, Use { kinds, linear, visit })
    }

    pub(super) fn translate(&self, access: Access) -> Result<Outcome, Refusal<Fault>> {
        let linear = self.registers.guest.linear_address(access);
        let (first, updates) = self.linear_to_guest_physical(access, linear)?;
        // "Writes by the logical processor to guest paging structures to update accessed and dirty flags are
        // considered to be data writes"; they read too.
        let update = Use { kinds: READ | WRITE, linear: Some(linear), visit: Visit::WalkUpdate };
        let updates = updates.iter().try_for_each(|write| {
            let host = self.ept(write.write.addr, update)?.pa;
            write.apply_at(host, self.scratch);
            Ok(())
        });
        let page = Use { kinds: kinds(access.kind), linear: Some(linear), visit: Visit::Access };
        let second = self.ept(first.pa, page);
        in_turn(
            updates,
            second.map(|second| Outcome {
                page_bits: first.page_bits.min(second.page_bits),
                ..second
            }),
        )
    }

    /// MOV to CR3: "those loads of guest PDPTEs are treated as reads", and no linear address is valid.
    pub(super) fn load_pdptes(&self) -> Result<[u64; 4], Fault> {
        self.registers.check_eptp().map_err(Fault::InvalidEptp)?;
        let load = Use { kinds: READ, linear: None, visit: Visit::WalkRead };
        let to_host = |addr, _| self.ept(addr, load).map(|outcome| outcome.pa);
        let hole = |entry| Some(Fault::BusError { entry });
        let tables = GuestTables::new(self.scratch, &to_host, &hole);
        let loaded = self.registers.guest.load_pdptes(&tables);
        loaded.map_err(|fault| tables.fault().unwrap_or(fault.into()))
    }

    /// The guest's own paging, and the flags that it sets.
    fn linear_to_guest_physical(
        &self,
        access: Access,
        linear: u64,
    ) -> Result<(Outcome, Vec<GuestWrite>), Fault> {
        let read = Use { kinds: self.walk_kinds(), linear: Some(linear), visit: Visit::WalkRead };
        let to_host = |addr, _| self.ept(addr, read).map(|outcome| outcome.pa);
        let hole = |entry| Some(Fault::BusError { entry });
        let tables = GuestTables::new(self.scratch, &to_host, &hole);
        let found = self.registers.guest.translate(access, &tables);
        let outcome = found.map_err(|fault: Exception| tables.fault().unwrap_or(fault.into()))?;
        let updates = tables.in_order(&outcome.writes);
        Ok((outcome, updates))
    }

    /// Bit 6 of the EPTP: whether accessed and dirty flags for EPT are enabled.
    fn flags_enabled(&self) -> bool {
        self.registers.eptp >> 6 & 1 == 1
    }

    /// "If bit 6 of the EPTP is 1, processor accesses to guest paging-structure entries are treated as writes with
    /// regard to EPT violations"; then "the processor sets both bit 0 and bit 1 of the exit qualification".
    fn walk_kinds(&self) -> u64 {
        if self.flags_enabled() { READ | WRITE } else { READ }
    }

    /// Where a guest-physical byte stands, whatever rights there are.
    pub(super) fn host_of(&self, gpa: PhysAddr) -> Option<PhysAddr> {
        let none = Use { kinds: 0, linear: None, visit: Visit::WalkRead };
        self.ept(gpa, none).ok().map(|outcome| outcome.pa)
    }

    /// Translates a guest-physical address and checks the rights. "An EPT violation may occur during an access using a
    /// guest-physical address whose translation does not cause an EPT misconfiguration": so those come first.
    fn ept(&self, gpa: PhysAddr, used: Use) -> Result<Outcome, Fault> {
        if let Some(beyond) = self.beyond {
            return beyond(gpa, used.visit);
        }
        if !self.registers.enable_ept {
            return Ok(Outcome { pa: gpa, page_bits: 64, writes: Vec::new() });
        }
        let tables = self.scratch.tables(Stage::Second);
        let path = self.registers.walk(gpa.raw(), &tables).map_err(|obstacle| match obstacle {
            Obstacle::NotPresent => violation(gpa, used, 0),
            Obstacle::Misconfigured => Fault::EptMisconfiguration { gpa: gpa.raw() },
            Obstacle::Hole(entry) => Fault::BusError { entry },
        })?;
        if used.kinds & !path.rights() != 0 {
            return Err(violation(gpa, used, path.rights()));
        }
        if self.flags_enabled() {
            let writes = path.accessed_and_dirty(used.kinds & WRITE != 0);
            self.scratch.apply(Stage::Second, &writes);
        }
        let pa = path.physical(gpa.raw());
        Ok(Outcome { pa, page_bits: path.page_bits, writes: Vec::new() })
    }
}

/// Returns the rights that an access needs, in the bits in which the exit qualification names them.
fn kinds(kind: AccessKind) -> u64 {
    match kind {
        AccessKind::Fetch => FETCH,
        AccessKind::Load => READ,
        AccessKind::Store => WRITE,
        AccessKind::Amo => READ | WRITE,
    }
}

/// "Exit Qualification for EPT Violations".
fn violation(gpa: PhysAddr, used: Use, rights: u64) -> Fault {
    let valid = u64::from(used.linear.is_some());
    let translation = u64::from(!used.visit.is_walk());
    let qualification = used.kinds | rights << 3 | valid << 7 | translation << 8;
    Fault::EptViolation { qualification, gpa: gpa.raw(), linear: used.linear }
}
