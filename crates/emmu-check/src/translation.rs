//! Runs vectors on emmu's units.

use crate::UnitRegisters;
use emmu_core::{Access, Fault, RegisterId, TranslationUnit};
use emmu_paging::{
    ConfigError, Paging, PagingConfig,
    format::{
        Format,
        aarch64::PAN,
        x86::{RFLAGS, RFLAGS_AC},
    },
};
use emmu_vectors::{Answer, Operation, PagePiece, Registers, SparseMemory, Subject};

/// All translation units of emmu as one subject: each operation gets a new unit with cold caches.
#[derive(Clone, Debug, Default)]
pub struct Units {
    pub(crate) config: PagingConfig,
}

/// A register that an operation sets beside those of the vector, and its value.
type Extra = Option<(RegisterId, u64)>;

impl Units {
    /// Makes units with these TLBs and walk caches, instead of none.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such caches.
    pub fn with_caches(config: PagingConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Makes a unit with these registers, switched on.
    fn unit<R: UnitRegisters>(
        &self,
        registers: &R,
        extra: Extra,
        memory: &mut SparseMemory,
    ) -> Result<Paging<R::Format>, Answer> {
        let mut unit = Paging::new(registers.format(), &self.config)
            .map_err(|error| Answer::NotModelled(error.to_string()))?;
        let mut write = |id, value| unit.write_register(id, value, memory, &mut ());
        let written = extra.map_or(Ok(()), |(id, value)| write(id, value));
        match written.and_then(|()| registers.switch_on(write)) {
            Ok(()) => Ok(unit),
            Err(error) => Err(match R::refused_write(&error) {
                Some(exception) => Answer::Fault(exception),
                None => Answer::NotModelled(error.to_string()),
            }),
        }
    }

    fn access<R: UnitRegisters>(
        &self,
        registers: &R,
        extra: Extra,
        access: Access,
        memory: &mut SparseMemory,
    ) -> Answer {
        let mut unit = match self.unit(registers, extra, memory) {
            Ok(unit) => unit,
            Err(answer) => return answer,
        };
        translate(&mut unit, access, memory).unwrap_or_else(|fault| {
            let exception = R::exception(unit.format(), &fault);
            let unknown = || emmu_vectors::Fault::Other(fault.to_string());
            Answer::Fault(exception.unwrap_or_else(unknown))
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
                self.access(registers, None, access, memory)
            }
            (Registers::X86(registers), Operation::Access { access, ac, .. }) => {
                let rflags = (RFLAGS, if ac { RFLAGS_AC } else { 0 });
                self.access(registers, Some(rflags), access, memory)
            }
            (Registers::X86(registers), Operation::LoadCr3) => {
                let unit = self.unit(registers, None, memory);
                unit.map_or_else(|refused| refused, |_| Answer::Loaded)
            }
            (Registers::AArch64(registers), Operation::Access { access, pan, .. }) => {
                self.access(registers, Some((PAN, u64::from(pan) << 22)), access, memory)
            }
            (_, Operation::LoadCr3) => Answer::NotModelled("CR3 outside of x86".to_owned()),
        }
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
        pieces.push(PagePiece { pa: found.addr, bytes: size.into() });
        addr = addr.wrapping_add(size.into());
        left -= size;
    }
    Ok(Answer::Pas(pieces))
}
