//! Hashed page tables on [`Hashed`] units, of one stage and of two.

use crate::architecture::{Architecture, Run, SetupError, Unit, passes};
use emmu_core::{Access, Bus, Cause, Fault, RegisterError, RegisterId, TranslationUnit};
use emmu_oracle::{
    Memory, TwoStage,
    hashed::{EntryPlace, Fault as Raised, Guest, Reason, Refused, Registers},
    two_stage::Nested,
};
use emmu_paging::{
    Paging, PagingConfig, SecondStage,
    format::hashed::{HTAB, HTAB2, Hashed, HashedSecond},
};

impl Architecture for Registers {
    type Format = Hashed;
    type Second = ();

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        _: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(Paging::new(Hashed::new(), config)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError> {
        write_all(unit, bus, &[(HTAB, self.htab)])
    }

    fn exception(_: &Hashed, fault: &Fault) -> Option<Raised> {
        raised(fault)
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, 64)
    }

    fn run(&self, _: Access, _: &dyn Memory) -> Option<Run> {
        None
    }
}

impl Architecture for Guest {
    type Format = Hashed;
    type Second = Paging<HashedSecond>;

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        second: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(Hashed::new().guest(config, second)?)
    }

    fn switch_on<B: Bus>(&self, unit: &mut Unit<Self>, bus: &mut B) -> Result<(), RegisterError> {
        write_all(unit, bus, &[(HTAB2, self.second.htab), (HTAB, self.first.htab)])
    }

    fn ask(&self, access: Access, memory: &dyn Memory) -> Nested<Raised> {
        self.nested(access, memory)
    }

    fn exception(_: &Hashed, fault: &Fault) -> Option<Raised> {
        raised(fault)
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, 64)
    }

    fn run(&self, _: Access, _: &dyn Memory) -> Option<Run> {
        None
    }
}

fn write_all<S: SecondStage, B: Bus>(
    unit: &mut Paging<Hashed, S>,
    bus: &mut B,
    registers: &[(RegisterId, u64)],
) -> Result<(), RegisterError> {
    registers.iter().try_for_each(|&(id, value)| unit.write_register(id, value, bus, &mut ()))
}

fn raised(fault: &Fault) -> Option<Raised> {
    let reason = match fault.cause {
        Cause::NonCanonical => Reason::NotCanonical,
        Cause::Bus(_) => Reason::Hole,
        Cause::Absent => Reason::Absent,
        Cause::ReadOnly => Reason::ReadOnly,
        Cause::Permission => Reason::NotAllowed,
        _ => return None,
    };
    // Probe k is level 7 - k.
    let entry =
        fault.entry.map(|entry| EntryPlace { probe: 7 - entry.level.min(7), addr: entry.addr });
    let guest = fault.guest.map(|guest| Refused {
        gpa: guest.addr,
        walk: guest.walk,
        rights: guest.rights,
    });
    Some(Raised { reason, entry, guest })
}
