//! One access from EL0 or EL1 on its way through both stages.

use super::params::S2Params;
use super::walk::{Refused, s2_walk};
use super::{Fault, Registers, Stage2Fault};
use crate::aarch64::{FaultKind, bits};
use crate::reference::{Outcome, Reference, Write};
use crate::two_stage::{Beyond, GuestTables, GuestWrite, Refusal, Scratch, Stage, Visit, in_turn};
use emmu_core::{Access, AccessKind, PhysAddr};

pub(super) struct Guest<'a> {
    registers: &'a Registers,
    params: S2Params,
    access: Access,
    scratch: &'a Scratch<'a>,
    /// In place of stage 2.
    beyond: Option<Beyond<'a, Fault>>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(registers: &'a Registers, access: Access, scratch: &'a Scratch<'a>) -> Self {
        Self { registers, params: S2Params::new(registers), access, scratch, beyond: None }
    }

    pub(super) fn over(self, beyond: Beyond<'a, Fault>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// `AArch64.FullTranslate()`: stage 1, which ends with its update, and stage 2.
    pub(super) fn translate(&self) -> Result<Outcome, Refusal<Fault>> {
        let (first, updates) = self.stage_1()?;
        let updates = updates.iter().try_for_each(|write| {
            let host = self.stage_2(write.write.addr, Visit::WalkUpdate)?.pa;
            write.apply_at(host, self.scratch);
            Ok(())
        });
        let second = self
            .stage_2(first.pa, Visit::Access)
            .map(|second| Outcome { page_bits: first.page_bits.min(second.page_bits), ..second });
        in_turn(updates, second)
    }

    fn stage_1(&self) -> Result<(Outcome, Vec<GuestWrite>), Fault> {
        let to_host = |ipa, _| self.stage_2(ipa, Visit::WalkRead).map(|outcome| outcome.pa);
        // An External abort on a read of stage 1 is stage 1's own.
        let hole = |_| None;
        let tables = GuestTables::new(self.scratch, &to_host, &hole);
        let found = self.registers.el1.translate(self.access, &tables);
        let outcome = found.map_err(|fault| tables.fault().unwrap_or(Fault::Stage1(fault)))?;
        let updates = tables.in_order(&outcome.writes);
        Ok((outcome, updates))
    }

    /// `AArch64.S2Translate()`.
    pub(super) fn stage_2(&self, ipa: PhysAddr, used: Visit) -> Result<Outcome, Fault> {
        if let Some(beyond) = self.beyond {
            return beyond(ipa, used);
        }
        let params = &self.params;
        if !params.vm {
            return Ok(Outcome { pa: ipa, page_bits: 64, writes: Vec::new() });
        }
        // `NoFault(accdesc)`: what the instruction does, and not what the walk does.
        let write = self.access.kind == AccessKind::Store;
        let walked = s2_walk(params, ipa.raw(), &self.scratch.tables(Stage::Second))
            .map_err(|(kind, level)| self.abort(kind, level, write, ipa, used))?;
        if let Some(refused) = walked.refuses(params, used, self.access) {
            let write = write || refused == Refused::WriteAlone;
            return Err(self.abort(FaultKind::Permission, walked.level, write, ipa, used));
        }
        let updated = walked.updated(params, used, self.access.kind);
        if updated != walked.descriptor {
            let addr = walked.descriptor_address;
            self.scratch.apply(Stage::Second, &[Write { addr, size: 8, value: updated }]);
        }
        Ok(Outcome {
            pa: walked.output(params, ipa.raw()),
            page_bits: params.translation_size(walked.level),
            writes: Vec::new(),
        })
    }

    /// `AArch64.Abort()`, for a fault of stage 2, which is taken to EL2.
    fn abort(&self, kind: FaultKind, level: u32, write: bool, ipa: PhysAddr, used: Visit) -> Fault {
        let s1ptw = used.is_walk();
        // Instruction or Data Abort from a lower Exception level; IL is 1, ISV is 0.
        let fetch = self.access.kind == AccessKind::Fetch;
        let class = if fetch { 0b10_0000 } else { 0b10_0100 };
        let syndrome = u64::from(s1ptw) << 7 | u64::from(write) << 6 | kind.status_code(level);
        // `IPAValid()`.
        let valid = match kind {
            FaultKind::AddressSize | FaultKind::Translation | FaultKind::AccessFlag => true,
            FaultKind::Permission => s1ptw,
            FaultKind::ExternalAbortOnWalk => false,
        };
        Fault::Stage2(Stage2Fault {
            kind,
            level,
            s1ptw,
            esr: class << 26 | 1 << 25 | syndrome,
            far: self.access.addr.raw(),
            ipa,
            hpfar: valid.then_some(bits(ipa.raw(), 47, 12) << 4),
        })
    }
}
