//! Vectors on emmu's units.

use crate::{Architecture, Unit};
use emmu_core::{Access, Fault, RegisterError, TranslationUnit};
use emmu_oracle::{
    aarch64,
    reference::SparseMemory,
    riscv,
    vectors::{Answer, Operation, Piece, Registers, Subject},
    x86,
};
use emmu_paging::{ConfigError, Paging, PagingConfig, format::Format};

/// Every translation unit of emmu as one subject: each operation gets a new unit with cold caches.
#[derive(Clone, Debug, Default)]
pub struct Units {
    pub(crate) config: PagingConfig,
}

/// An architecture of one stage, whose exceptions vectors have words for.
trait Told: Architecture<Second = (), Fault: Into<emmu_oracle::vectors::Fault>> {}

impl<A: Architecture<Second = (), Fault: Into<emmu_oracle::vectors::Fault>>> Told for A {}

impl Units {
    /// Units with these TLBs and walk caches, instead of none.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such caches.
    pub fn with_caches(config: PagingConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// A unit with these registers, switched on.
    fn unit<A: Told>(&self, registers: &A, memory: &mut SparseMemory) -> Result<Unit<A>, Answer> {
        let mut unit = registers
            .out_of_reset(&self.config, &PagingConfig::default())
            .map_err(|error| Answer::NotModelled(error.to_string()))?;
        match registers.switch_on(&mut unit, memory) {
            Ok(()) => Ok(unit),
            Err(error) => Err(refused(registers, &error)),
        }
    }

    fn access<A: Told>(&self, registers: &A, access: Access, memory: &mut SparseMemory) -> Answer {
        let mut unit = match self.unit(registers, memory) {
            Ok(unit) => unit,
            Err(answer) => return answer,
        };
        translate(&mut unit, access, memory).unwrap_or_else(|fault| {
            Answer::Fault(match A::exception(unit.format(), &fault) {
                Some(exception) => exception.into(),
                None => emmu_oracle::vectors::Fault::Other(fault.to_string()),
            })
        })
    }
}

impl Subject for Units {
    fn perform(
        &mut self,
        registers: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer {
        match (registers, operation) {
            (Registers::RiscV(registers), Operation::Access { access, .. }) => {
                self.access(&riscv::Registers::from(registers), access, memory)
            }
            (Registers::X86(registers), Operation::Access { access, ac, .. }) => {
                let registers = x86::Registers { ac, ..x86::Registers::from(*registers) };
                self.access(&registers, access, memory)
            }
            (Registers::X86(registers), Operation::LoadCr3) => {
                let unit = self.unit(&x86::Registers::from(*registers), memory);
                unit.map_or_else(|refused| refused, |_| Answer::Loaded)
            }
            (Registers::AArch64(registers), Operation::Access { access, pan, .. }) => {
                let registers = aarch64::Registers { pan, ..aarch64::Registers::from(*registers) };
                self.access(&registers, access, memory)
            }
            (_, Operation::LoadCr3) => Answer::NotModelled("CR3 outside of x86".to_owned()),
        }
    }
}

fn refused<A: Told>(registers: &A, error: &RegisterError) -> Answer {
    match registers.refused_write(error) {
        Some(exception) => Answer::Fault(exception.into()),
        None => Answer::NotModelled(error.to_string()),
    }
}

/// Translates an access piece by piece, as the CPU port does, with each piece cut at 4 KiB boundaries.
fn translate<F: Format>(
    unit: &mut Paging<F>,
    access: Access,
    memory: &mut SparseMemory,
) -> Result<Answer, Fault> {
    let crosses = Operation::Access { access, ac: false, pan: false }.crosses_pages();
    let mut pieces = Vec::new();
    let (mut addr, mut left) = (access.addr, access.size);
    while left > 0 {
        let size = left.min(u32::try_from(4096 - addr.offset(12)).unwrap_or(left));
        let found = unit.translate(access.at(addr, size), memory, &mut ())?;
        if !crosses {
            return Ok(Answer::Pa(found.addr));
        }
        pieces.push(Piece { pa: found.addr, bytes: size.into() });
        addr = addr.wrapping_add(size.into());
        left -= size;
    }
    Ok(Answer::Pas(pieces))
}
