//! Described formats in snapshots: the description, and the registers.

use super::{Described, Description, DescriptionError, Permissions};
use crate::format::snapshot::as_numbers;
use emmu_core::{Asid, PhysAddr};
use serde::{Deserialize, Serialize};

as_numbers! { Permissions: u8 }

#[derive(Serialize, Deserialize)]
#[serde(rename = "Described")]
pub(super) struct Machine {
    description: Description,
    ptbr: PhysAddr,
    translates: bool,
    asid: Asid,
}

impl From<Described> for Machine {
    fn from(Described { description, ptbr, translates, asid, .. }: Described) -> Self {
        Self { description, ptbr, translates, asid }
    }
}

impl TryFrom<Machine> for Described {
    type Error = DescriptionError;

    fn try_from(machine: Machine) -> Result<Self, DescriptionError> {
        let Machine { description, ptbr, translates, asid } = machine;
        Ok(Self { ptbr, translates, asid, ..Self::new(description)? })
    }
}
