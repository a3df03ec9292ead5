//! A unit that remembers what was allowed, whatever the registers say by then.

use emmu_core::{
    Access, Bus, Fault, Invalidate, RegisterError, RegisterId, RegisterInfo, Registers, Ticket,
    Translation, TranslationUnit,
    anatomy::{Inspection, UnitAnatomy},
};
use std::collections::BTreeMap;

/// Another unit, of which this one remembers every access that it allowed, if it is wrong.
pub(crate) struct Remembering<U> {
    unit: U,
    is_wrong: bool,
    allowed: BTreeMap<(u64, u8, u8), Translation>,
}

impl<U> Remembering<U> {
    pub(crate) fn new(unit: U, is_wrong: bool) -> Self {
        Self { unit, is_wrong, allowed: BTreeMap::new() }
    }
}

impl<U: Registers> Registers for Remembering<U> {
    fn registers(&self) -> &[RegisterInfo] {
        self.unit.registers()
    }
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.unit.read_register(id)
    }
    fn anatomy(&self) -> Option<UnitAnatomy> {
        self.unit.anatomy()
    }
}

impl<U: TranslationUnit<B, ()>, B: Bus> TranslationUnit<B, ()> for Remembering<U> {
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut (),
    ) -> Result<Translation, Fault> {
        let key = (access.addr.block(12), access.kind as u8, access.privilege as u8);
        if let Some(found) = self.allowed.get(&key) {
            let addr = found.addr.align_down(12).wrapping_add(access.addr.offset(12));
            return Ok(Translation { addr, ticket: None, ..*found });
        }
        let found = self.unit.translate(access, bus, probe)?;
        if self.is_wrong {
            self.allowed.insert(key, found);
        }
        Ok(found)
    }
    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        self.unit.peek(access, bus)
    }
    fn inspect(&self, access: Access, bus: &B) -> Option<Inspection> {
        self.unit.inspect(access, bus)
    }
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut (),
    ) -> Result<(), RegisterError> {
        self.unit.write_register(id, value, bus, probe)
    }
    fn invalidate(&mut self, scope: Invalidate) {
        self.allowed.clear();
        self.unit.invalidate(scope);
    }
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut ()) -> bool {
        self.unit.repeat(ticket, access, probe)
    }
}
