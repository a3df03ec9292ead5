//! `Chain`: one unit in front of another, as one unit.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{
    Access, Fault, Invalidate, RegisterError, RegisterId, RegisterInfo, Registers, Translation,
    TranslationUnit, VirtAddr,
    anatomy::{Inspection, UnitAnatomy},
};
use alloc::vec::Vec;
use thiserror::Error;

/// Two units in a row: the second unit translates the address that the first unit returns. x86 puts
/// segmentation in front of paging in this way (Intel SDM Vol. 3A, 3.1).
///
/// The address between the two is the *linear* address. A fault of the second unit names it as the faulting
/// byte, as CR2 does. The registers of both units are registers of the chain.
#[derive(Clone, Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
    registers: Vec<RegisterInfo>,
}

/// The reason why two units cannot be chained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Both units have a register with this number, so that a write would not say which one it means.
    #[error("both units have a register with the number {id}: {first} and {second}")]
    SameRegister {
        /// The number of the registers.
        id: RegisterId,
        /// The name of the register in the first unit.
        first: &'static str,
        /// The name of the register in the second unit.
        second: &'static str,
    },
}

impl<A: Registers, B: Registers> Chain<A, B> {
    /// Puts `first` in front of `second`.
    ///
    /// # Errors
    /// [`ChainError::SameRegister`] if both units have a register with the same number.
    pub fn new(first: A, second: B) -> Result<Self, ChainError> {
        let mut registers = first.registers().to_vec();
        for info in second.registers() {
            if let Some(taken) = registers.iter().find(|taken| taken.id == info.id) {
                let (first, second) = (taken.name, info.name);
                return Err(ChainError::SameRegister { id: info.id, first, second });
            }
        }
        registers.extend_from_slice(second.registers());
        Ok(Self { first, second, registers })
    }

    /// Returns the unit that translates the addresses of the CPU.
    #[must_use]
    pub fn first(&self) -> &A {
        &self.first
    }

    /// Returns the unit that translates linear to physical addresses.
    #[must_use]
    pub fn second(&self) -> &B {
        &self.second
    }

    fn is_of_first(&self, id: RegisterId) -> bool {
        self.first.registers().iter().any(|info| info.id == id)
    }
}

/// Returns the access that the second unit must translate, given the answer of the first.
fn onward(access: Access, linear: Translation) -> Access {
    let in_span = u32::try_from(linear.span).unwrap_or(u32::MAX);
    access.at(VirtAddr::new(linear.addr.raw()), access.size.min(in_span))
}

/// Joins the answers of both units. The joint answer holds as far as both hold.
fn joined(linear: Translation, found: Translation) -> Translation {
    Translation { span: found.span.min(linear.span), ticket: None, ..found }
}

impl<A: Registers, B: Registers> Registers for Chain<A, B> {
    fn registers(&self) -> &[RegisterInfo] {
        &self.registers
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        if self.is_of_first(id) {
            self.first.read_register(id)
        } else {
            self.second.read_register(id)
        }
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        self.first.known_reason(words).or_else(|| self.second.known_reason(words))
    }

    /// The anatomy of the unit that has page tables: the second one, as a rule.
    fn anatomy(&self) -> Option<UnitAnatomy> {
        self.second.anatomy().or_else(|| self.first.anatomy())
    }
}

impl<A, B, M, P> TranslationUnit<M, P> for Chain<A, B>
where
    A: TranslationUnit<M, P>,
    B: TranslationUnit<M, P>,
    M: ?Sized,
    P: ?Sized,
{
    fn translate(
        &mut self,
        access: Access,
        bus: &mut M,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        let linear = self.first.translate(access, bus, probe)?;
        let found = self.second.translate(onward(access, linear), bus, probe);
        Ok(joined(linear, found.map_err(|fault| fault.within(access))?))
    }

    fn peek(&self, access: Access, bus: &M) -> Result<Translation, Fault> {
        let linear = self.first.peek(access, bus)?;
        let found = self.second.peek(onward(access, linear), bus);
        Ok(joined(linear, found.map_err(|fault| fault.within(access))?))
    }

    /// The second unit's tables are asked for the linear address. Entries that the first unit reads are not told.
    fn inspect(&self, access: Access, bus: &M) -> Option<Inspection> {
        let linear = self.first.peek(access, bus).ok()?;
        self.second.inspect(onward(access, linear), bus)
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut M,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        if self.is_of_first(id) {
            self.first.write_register_before(id, value, &mut self.second, bus, probe)
        } else {
            self.second.write_register(id, value, bus, probe)
        }
    }

    /// Refuses to write a register of the first unit: to chain three units, put a unit in front of a chain, and
    /// not a chain in front of a unit. In the second case two units that are not one would have to translate a
    /// write that reads memory.
    fn write_register_before(
        &mut self,
        id: RegisterId,
        value: u64,
        behind: &mut dyn TranslationUnit<M, P>,
        bus: &mut M,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        if self.is_of_first(id) {
            let what = "registers of a chain in front of another unit";
            return Err(RegisterError::NotModelled { name: "chain", value, what });
        }
        self.second.write_register_before(id, value, behind, bus, probe)
    }

    /// Invalidates in both units. A scope names addresses and address spaces, and the chain cannot tell to
    /// which unit they belong.
    fn invalidate(&mut self, scope: Invalidate) {
        self.first.invalidate(scope);
        self.second.invalidate(scope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, PhysAddr, Privilege};
    use std::vec::Vec;

    /// Adds its register to every address below its bound.
    #[derive(Clone, Debug)]
    struct Shift {
        info: [RegisterInfo; 1],
        by: u64,
        bound: u64,
    }

    impl Shift {
        fn new(id: u32, name: &'static str, by: u64, bound: u64) -> Self {
            let privilege = Privilege::Supervisor;
            Self {
                info: [RegisterInfo { id: RegisterId(id), name, privilege, about: "" }],
                by,
                bound,
            }
        }
    }

    impl Registers for Shift {
        fn registers(&self) -> &[RegisterInfo] {
            &self.info
        }
        fn read_register(&self, _: RegisterId) -> Result<u64, RegisterError> {
            Ok(self.by)
        }
    }

    impl<M: ?Sized, P: ?Sized> TranslationUnit<M, P> for Shift {
        fn translate(
            &mut self,
            access: Access,
            bus: &mut M,
            _: &mut P,
        ) -> Result<Translation, Fault> {
            TranslationUnit::<M, P>::peek(self, access, bus)
        }
        fn peek(&self, access: Access, _: &M) -> Result<Translation, Fault> {
            let addr = access.addr.raw();
            match self.bound.checked_sub(addr) {
                None | Some(0) => Err(Fault::new(access, Cause::Bounds)),
                Some(span) => Ok(Translation::new(PhysAddr::new(addr + self.by), span)),
            }
        }
        fn write_register(
            &mut self,
            _: RegisterId,
            value: u64,
            _: &mut M,
            _: &mut P,
        ) -> Result<(), RegisterError> {
            self.by = value;
            Ok(())
        }
        fn invalidate(&mut self, _: Invalidate) {}
    }

    fn chain() -> Chain<Shift, Shift> {
        Chain::new(Shift::new(1, "first", 100, 50), Shift::new(2, "second", 1000, 120)).unwrap()
    }

    fn load(chain: &mut Chain<Shift, Shift>, addr: u64) -> Result<Translation, Fault> {
        chain.translate(Access::load(VirtAddr::new(addr), 1), &mut (), &mut ())
    }

    #[test]
    fn the_second_translates_what_the_first_gives() {
        assert_eq!(load(&mut chain(), 10).unwrap().addr, PhysAddr::new(1110));
    }

    #[test]
    fn the_answer_holds_as_far_as_both_hold() {
        assert_eq!(load(&mut chain(), 10).unwrap().span, 10, "the second ends at linear 120");
        let mut wide = Chain::new(Shift::new(1, "a", 0, 50), Shift::new(2, "b", 0, 120)).unwrap();
        assert_eq!(load(&mut wide, 10).unwrap().span, 40, "the first ends at 50");
    }

    #[test]
    fn a_fault_of_the_second_names_the_linear_address() {
        let fault = load(&mut chain(), 30).unwrap_err();
        assert_eq!((fault.addr, fault.access.addr), (VirtAddr::new(130), VirtAddr::new(30)));
    }

    #[test]
    fn registers_of_both_are_reached_by_number() {
        let mut chain = chain();
        chain.write_register(RegisterId(2), 7, &mut (), &mut ()).unwrap();
        let read: Vec<_> = [1, 2].map(|id| chain.read_register(RegisterId(id)).unwrap()).into();
        assert_eq!(read, [100, 7]);
        assert_eq!(chain.registers().len(), 2);
    }

    #[test]
    fn two_registers_of_one_number_are_refused() {
        let refused = Chain::new(Shift::new(1, "a", 0, 1), Shift::new(1, "b", 0, 1)).unwrap_err();
        assert_eq!(
            refused,
            ChainError::SameRegister { id: RegisterId(1), first: "a", second: "b" }
        );
    }
}
