//! Processing elements in snapshots: their registers, without what these come to.

use super::{
    AArch64, HCR_EL2, MAIR_EL1, Permissions, S2Permissions, SCTLR_EL1, Stage2, TCR_EL1, TTBR0_EL1,
    TTBR1_EL1, VTCR_EL2, VTTBR_EL2,
};
use crate::format::{Format, snapshot::as_numbers};
use emmu_core::{BusError, RegisterError, RegisterId};
use serde::{Deserialize, Serialize};

as_numbers! {
    Permissions: u8,
    S2Permissions: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "AArch64")]
pub(super) struct Registers {
    sctlr: u64,
    tcr: u64,
    ttbr0: u64,
    ttbr1: u64,
    mair: u64,
    pan: bool,
}

impl From<AArch64> for Registers {
    fn from(AArch64 { sctlr, tcr, ttbr0, ttbr1, mair, pan, .. }: AArch64) -> Self {
        Self { sctlr, tcr: tcr.0, ttbr0, ttbr1, mair, pan }
    }
}

impl TryFrom<Registers> for AArch64 {
    type Error = RegisterError;

    fn try_from(registers: Registers) -> Result<Self, RegisterError> {
        let Registers { sctlr, tcr, ttbr0, ttbr1, mair, pan } = registers;
        let mut element = Self { pan, ..Self::new() };
        let values = [
            (SCTLR_EL1, sctlr),
            (TCR_EL1, tcr),
            (TTBR0_EL1, ttbr0),
            (TTBR1_EL1, ttbr1),
            (MAIR_EL1, mair),
        ];
        write_all(&mut element, &values)?;
        Ok(element)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Stage2")]
pub(super) struct Stage2Registers {
    hcr: u64,
    vtcr: u64,
    vttbr: u64,
}

impl From<Stage2> for Stage2Registers {
    fn from(Stage2 { hcr, vtcr, vttbr, .. }: Stage2) -> Self {
        Self { hcr, vtcr: vtcr.0, vttbr }
    }
}

impl TryFrom<Stage2Registers> for Stage2 {
    type Error = RegisterError;

    fn try_from(registers: Stage2Registers) -> Result<Self, RegisterError> {
        let Stage2Registers { hcr, vtcr, vttbr } = registers;
        let mut stage = Self::new();
        write_all(&mut stage, &[(HCR_EL2, hcr), (VTCR_EL2, vtcr), (VTTBR_EL2, vttbr)])?;
        Ok(stage)
    }
}

/// As software writes them. None of these writes reads memory.
fn write_all(format: &mut impl Format, values: &[(RegisterId, u64)]) -> Result<(), RegisterError> {
    values.iter().try_for_each(|&(id, value)| {
        format.write_register(id, value, &mut |addr, _| Err(BusError::Refused { addr })).map(drop)
    })
}
