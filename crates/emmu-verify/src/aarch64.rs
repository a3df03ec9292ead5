//! AArch64 on [`AArch64`] units.

mod stage2;

use crate::architecture::{Architecture, Run, SetupError, Unit, passes};
use emmu_check::UnitRegisters;
use emmu_core::{Access, Bus, Fault, RegisterError, RegisterId, TranslationUnit, VirtAddr};
use emmu_oracle::{
    Memory,
    aarch64::{Fault as Taken, Registers},
    reference::SparseMemory,
};
use emmu_paging::{AArch64, Paging, PagingConfig, format::aarch64::PAN};
use emmu_vectors::{AArch64Fault, AArch64Registers};

impl Architecture for Registers {
    type Format = AArch64;
    type Second = ();

    /// Sets the physical addresses to the unit's 48 bits. `TCR_EL1.IPS` still makes them narrower.
    fn implemented(self, _: &SparseMemory) -> Self {
        Self { pa_bits: 48, ..self }
    }

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        _: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        Ok(Paging::new(AArch64Registers::from(*self).format(), config)?)
    }

    fn switch_on<B: Bus>(
        &self,
        unit: &mut Paging<AArch64>,
        bus: &mut B,
    ) -> Result<(), RegisterError> {
        write_all(self, |id, value| unit.write_register(id, value, bus, &mut ()))
    }

    fn exception(element: &AArch64, fault: &Fault) -> Option<Taken> {
        let Some(emmu_vectors::Fault::AArch64(abort)) = AArch64Registers::exception(element, fault)
        else {
            return None;
        };
        let AArch64Fault { kind, level, esr, far } = abort;
        let esr = esr?;
        Some(Taken { kind, level, fsc: esr & 0x3f, esr, far })
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, 64)
    }

    fn run(&self, access: Access, memory: &dyn Memory) -> Option<Run> {
        let mapped = self.mapping(access, memory).ok()?;
        let bit = mapped.leaf.map(|leaf| u64::from(leaf.contiguous) << 52)?;
        contiguous(bit, mapped.page_bits, address_bits(self, access.addr))
    }
}

/// Returns the run of a descriptor that maps a page or block of this size, for input addresses of `address_bits` bits
/// (D8.7.1, "The Contiguous bit"). The output addresses increase by the size.
pub(crate) fn contiguous(descriptor: u64, page_bits: u32, address_bits: u32) -> Option<Run> {
    // The size tells granule and level.
    let bits = match page_bits {
        12 | 21 | 30 => 4,
        14 => 7,
        _ => 5,
    };
    // Else the bit is misprogrammed (`AArch64.ContiguousBitFaults`), and changes nothing here.
    let fits = page_bits + bits <= address_bits;
    let is_one = fits && descriptor >> 52 & 1 == 1;
    is_one.then_some(Run { bits, page_bits, step: Some(1 << page_bits) })
}

/// Returns the number of bits of an address of the half that contains `addr`: 64 less `TCR_EL1.TnSZ`.
pub(crate) fn address_bits(registers: &Registers, addr: VirtAddr) -> u32 {
    let [t0sz, _, t1sz, ..] = registers.tcr_el1.to_le_bytes();
    let size = if addr.bits(55, 1) == 0 { t0sz } else { t1sz };
    64 - u32::from(size & 0x3f)
}

/// Writes all registers of EL1.
fn write_all(
    registers: &Registers,
    mut write: impl FnMut(RegisterId, u64) -> Result<(), RegisterError>,
) -> Result<(), RegisterError> {
    write(PAN, u64::from(registers.pan) << 22)?;
    AArch64Registers::from(*registers).switch_on(write)
}
