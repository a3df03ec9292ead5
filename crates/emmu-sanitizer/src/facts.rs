//! The anatomy of a unit, as far as a sanitizer asks for it.

use crate::record::Stage;
use emmu_core::{
    Invalidate, PhysAddr, RegisterId, RegisterInfo, Registers,
    anatomy::{Anatomy, Fences, Flags, SecondAnatomy, UnitAnatomy},
};

/// The anatomy of a unit; of a unit that does not tell it, an anatomy without any fact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts(UnitAnatomy);

impl Facts {
    pub(crate) fn of(unit: &(impl Registers + ?Sized)) -> Self {
        Self(unit.anatomy().unwrap_or(UnitAnatomy::new(Anatomy::new(), None)))
    }

    /// The instructions that invalidate.
    pub(crate) const fn fences(&self) -> &'static Fences {
        self.0.first.fences
    }

    /// The flags of leaf entries of this stage.
    pub(crate) const fn flags(&self, stage: Stage) -> Flags {
        match (stage, self.0.second) {
            (Stage::Second(_), Some(SecondAnatomy { tables, .. })) => tables.flags,
            _ => self.0.first.flags,
        }
    }

    /// Returns the stage whose tables a register names or assigns to an owner: `Some(true)` for the second stage,
    /// `Some(false)` for the first, `None` for another register.
    pub(crate) fn is_root_of_second(&self, register: RegisterId) -> Option<bool> {
        let is_second = |second: SecondAnatomy| second.tables.roots.contains(&register);
        if self.0.first.roots.contains(&register) {
            return Some(false);
        }
        self.0.second.is_some_and(is_second).then_some(true)
    }

    /// Returns true if the accesses of a guest, or of no guest, depend on a register.
    pub(crate) fn concerns(&self, register: RegisterId, is_guest: bool) -> bool {
        let Anatomy { host_registers, guest_registers, .. } = self.0.first;
        if is_guest {
            return !host_registers.contains(&register);
        }
        let listed = |infos: &[RegisterInfo]| infos.iter().any(|info| info.id == register);
        let is_second = self.0.second.is_some_and(|second| listed(second.registers));
        !is_second && !guest_registers.contains(&register)
    }

    /// The invalidation of the second-stage tables of this number, or of a page of them if the architecture can name
    /// one, and of what both stages made with them.
    pub(crate) fn second_stage(&self, tables: u64, page: Option<PhysAddr>) -> Invalidate {
        let addr = page.filter(|_| self.0.second.is_some_and(|second| second.names_pages));
        Invalidate::SecondStage { tables: Some(tables), addr, combined: true }
    }

    /// Returns true if the first stage's walk caches outlive invalidations of the second stage.
    pub(crate) fn has_walk_caches_apart(&self) -> bool {
        self.0.second.is_some_and(|second| second.walk_caches_apart)
    }
}
