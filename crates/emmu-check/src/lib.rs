//! emmu's own translation units, put to vectors, reference models and fuzzers.
//!
//! Models: [`Units`], a [`Subject`] that performs every operation of a vector on a paging unit, and every step of a
//! [textbook](emmu_oracle::vectors::textbook) record on the unit of its machine; and the checks of the fuzz [`targets`].
//!
//! Does not model: anything. The judges are in `emmu-oracle`; this crate introduces the two to each other.
//!
//! ```
//! use emmu_check::Units;
//! use emmu_oracle::vectors::{Reader, run};
//! let file = concat!(
//!     r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39","#,
//!     r#" "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
//!     r#" "frames": [], "mem": [], "mem_after": [], "ops": ["#,
//!     r#" {"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {"pa": "0x1234"}}]}"#,
//! );
//! let vectors = Reader::new("bare.jsonl", file.as_bytes())?;
//! let report = run(vectors, &mut Units::default(), &mut |mismatch| eprintln!("{mismatch}"))?;
//! assert_eq!(report.to_string(), "1 passed, 0 failed");
//! # Ok::<(), emmu_oracle::vectors::VectorError>(())
//! ```

mod aarch64;
mod bus;
mod riscv;
pub mod targets;
mod textbook;
mod x86;

use bus::VectorBus;
use emmu_core::{Access, Bus, Fault, TranslationUnit};
use emmu_oracle::{
    reference::SparseMemory,
    vectors::{Answer, Operation, Piece, Registers, Subject},
};
use emmu_paging::{ConfigError, Paging, PagingConfig, format::Format};

/// Every translation unit of emmu as one subject: each operation gets a new unit with cold caches.
#[derive(Clone, Debug, Default)]
pub struct Units {
    config: PagingConfig,
}

impl Units {
    /// Units with these TLBs and walk caches, instead of none.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such caches.
    pub fn with_caches(config: PagingConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    fn unit<F: Format>(&self, format: F) -> Result<Paging<F>, Answer> {
        Paging::new(format, &self.config).map_err(|error| Answer::NotModelled(error.to_string()))
    }
}

impl Subject for Units {
    fn perform(
        &mut self,
        registers: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer {
        let answer = match registers {
            Registers::RiscV(registers) => riscv::perform(self, registers, operation, memory),
            Registers::X86(registers) => x86::perform(self, registers, operation, memory),
            Registers::AArch64(registers) => aarch64::perform(self, registers, operation, memory),
        };
        answer.unwrap_or_else(|refused| refused)
    }
}

/// Translates an access piece by piece, as the CPU port does, with each piece cut at 4 KiB boundaries.
fn translate<F: Format>(
    unit: &mut Paging<F>,
    access: Access,
    bus: &mut VectorBus<'_>,
) -> Result<Answer, Fault> {
    let crosses = Operation::Access { access, ac: false, pan: false }.crosses_pages();
    let mut pieces = Vec::new();
    let (mut addr, mut left) = (access.addr, access.size);
    while left > 0 {
        let size = left.min(u32::try_from(4096 - addr.offset(12)).unwrap_or(left));
        let found = translate_piece(unit, access.at(addr, size), bus)?;
        if !crosses {
            return Ok(Answer::Pa(found.pa));
        }
        pieces.push(found);
        addr = addr.wrapping_add(size.into());
        left -= size;
    }
    Ok(Answer::Pas(pieces))
}

fn translate_piece<F: Format, B: Bus>(
    unit: &mut Paging<F>,
    access: Access,
    bus: &mut B,
) -> Result<Piece, Fault> {
    let found = unit.translate(access, bus, &mut ())?;
    Ok(Piece { pa: found.addr, bytes: access.size.into() })
}
