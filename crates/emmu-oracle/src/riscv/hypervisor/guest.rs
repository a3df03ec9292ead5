//! One access with V = 1 on its way through both stages.

use super::{Fault, Implicit, Registers, guest_page_fault};
use crate::reference::{Outcome, Reference};
use crate::riscv::Exception as OneStage;
use crate::two_stage::{Beyond, GuestTables, GuestWrite, Refusal, Scratch, Stage, Visit, in_turn};
use emmu_core::{Access, AccessFlags, AccessKind, PhysAddr, Privilege, VirtAddr};

pub(super) struct Guest<'a> {
    registers: &'a Registers,
    /// As made, with the nominal privilege mode that it has effectively.
    access: Access,
    scratch: &'a Scratch<'a>,
    /// In place of G-stage.
    beyond: Option<Beyond<'a, Fault>>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(
        registers: &'a Registers,
        access: Access,
        privilege: Privilege,
        scratch: &'a Scratch<'a>,
    ) -> Self {
        Self { registers, access: access.with_privilege(privilege), scratch, beyond: None }
    }

    pub(super) fn over(self, beyond: Beyond<'a, Fault>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// "The original virtual address is converted in the first stage by VS-level address translation into a guest
    /// physical address. The guest physical address is then converted in the second stage."
    pub(super) fn translate(&self) -> Result<Outcome, Refusal<Fault>> {
        let (first, updates) = self.vs_stage()?;
        // The last step of VS-stage, before G-stage gets the address that it found.
        let updates = updates.iter().try_for_each(|write| self.update(write));
        in_turn(updates, self.access(&first))
    }

    /// G-stage and PMP for what VS-stage found.
    fn access(&self, first: &Outcome) -> Result<Outcome, Fault> {
        let second = self.g_stage(first.pa, None)?;
        self.check_protection(second.pa)?;
        let page_bits = first.page_bits.min(second.page_bits);
        Ok(Outcome { pa: second.pa, page_bits, writes: Vec::new() })
    }

    /// Where a guest-physical byte stands that the access may be made to.
    pub(super) fn host_of(&self, gpa: PhysAddr) -> Option<PhysAddr> {
        self.g_stage(gpa, None).ok().map(|outcome| outcome.pa)
    }

    /// VS-stage: what it finds, and the update of the leaf that is due.
    fn vs_stage(&self) -> Result<(Outcome, Vec<GuestWrite>), Fault> {
        let vs = self.registers.vs_level();
        if vs.scheme(self.access.privilege).is_none() {
            let gpa = PhysAddr::new(self.tval());
            return Ok((Outcome { pa: gpa, page_bits: 64, writes: Vec::new() }, Vec::new()));
        }
        let to_host = |addr, size| self.implicit(addr, size, Implicit::Read);
        let hole = |_| None;
        let tables = GuestTables::new(self.scratch, &to_host, &hole);
        let outcome = vs
            .translate(self.access, &tables)
            .map_err(|fault| tables.fault().unwrap_or_else(|| self.fault(fault.exception)))?;
        let updates = tables.in_order(&outcome.writes);
        Ok((outcome, updates))
    }

    /// Sets A and D in a VS-level entry.
    fn update(&self, write: &GuestWrite) -> Result<(), Fault> {
        let host = self.implicit(write.write.addr, write.write.size, Implicit::Write)?;
        write.apply_at(host, self.scratch);
        Ok(())
    }

    /// Where the VS-level entry at a guest-physical address stands, if it may be read or written.
    fn implicit(&self, gpa: PhysAddr, size: u8, implicit: Implicit) -> Result<PhysAddr, Fault> {
        let host = self.g_stage(gpa, Some(implicit))?.pa;
        let (kind, privilege) = (implicit.kind(), Privilege::Supervisor);
        if self.registers.hs.pmp_allows(kind, privilege, host.raw(), size.into()) {
            Ok(host)
        } else {
            Err(self.access_fault())
        }
    }

    /// "Guest Physical Address Translation": the usual algorithm, as though in U-mode, but for wider addresses. "For
    /// a memory access made to support VS-stage address translation, permissions and the need to set A and/or D bits
    /// are checked as though for an implicit load or store, not for the original access type."
    pub(super) fn g_stage(
        &self,
        gpa: PhysAddr,
        implicit: Option<Implicit>,
    ) -> Result<Outcome, Fault> {
        if let Some(beyond) = self.beyond {
            return beyond(gpa, implicit.map_or(Visit::Access, Implicit::visit));
        }
        let g = self.registers.g_level(implicit.is_none());
        let Some(scheme) = g.scheme(Privilege::User) else { return self.g_bare(gpa) };
        let kind = implicit.map_or(self.access.kind, Implicit::kind);
        let flags = if implicit.is_none() { self.access.flags } else { AccessFlags::empty() };
        let access = Access::new(kind, VirtAddr::new(gpa.raw()), 1).with_flags(flags);
        let tables = self.scratch.tables(Stage::Second);
        let outcome = g
            .translation_process(scheme.widened(), access, Privilege::User, &tables)
            .map_err(|exception| self.g_fault(exception, gpa, implicit))?;
        self.scratch.apply(Stage::Second, &outcome.writes);
        Ok(outcome)
    }

    /// Bare: "guest physical addresses are equal to supervisor physical addresses", beyond which there is nothing.
    fn g_bare(&self, gpa: PhysAddr) -> Result<Outcome, Fault> {
        if gpa.raw() >= 1 << 56 {
            return Err(self.access_fault());
        }
        Ok(Outcome { pa: gpa, page_bits: 64, writes: Vec::new() })
    }

    /// "Guest-page-fault exceptions are raised instead of regular page-fault exceptions", and all for the original
    /// access type.
    fn g_fault(&self, exception: OneStage, gpa: PhysAddr, implicit: Option<Implicit>) -> Fault {
        match exception {
            OneStage::InstructionPageFault | OneStage::LoadPageFault | OneStage::StorePageFault => {
                let xlen = self.registers.hs.xlen;
                guest_page_fault(self.access, self.tval(), gpa, implicit, xlen)
            }
            OneStage::InstructionAccessFault
            | OneStage::LoadAccessFault
            | OneStage::StoreAccessFault => self.access_fault(),
        }
    }

    /// PMP for the access itself. HLVX: "for the supervisor physical address that results from address translation,
    /// the supervisor physical memory attributes must grant both execute and read permissions".
    fn check_protection(&self, pa: PhysAddr) -> Result<(), Fault> {
        let Access { kind, privilege, size, flags, .. } = self.access;
        let allows = |kind| self.registers.hs.pmp_allows(kind, privilege, pa.raw(), size.into());
        let executes = !flags.contains(AccessFlags::EXECUTABLE) || allows(AccessKind::Fetch);
        if allows(kind) && executes { Ok(()) } else { Err(self.access_fault()) }
    }

    fn access_fault(&self) -> Fault {
        self.fault(OneStage::access_fault(self.access.kind))
    }

    fn fault(&self, exception: OneStage) -> Fault {
        Fault { exception: exception.into(), tval: self.tval(), gva: true, tval2: 0, tinst: 0 }
    }

    /// The guest virtual address, of XLEN bits.
    fn tval(&self) -> u64 {
        self.registers.hs.truncate(self.access.addr.raw())
    }
}
