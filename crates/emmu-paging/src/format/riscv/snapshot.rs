//! Harts in snapshots: their registers, without what these come to.

use super::{
    EnvConfig, Extensions, GStage, PMP_ENTRIES, Permissions, RiscV, RiscVH, Status, pmp::Pmp,
};
use crate::format::snapshot::as_numbers;
use serde::{Deserialize, Serialize};

as_numbers! {
    Permissions: u8,
    Extensions: u8,
    Status: u64,
    EnvConfig: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "RiscV")]
pub(super) struct Hart {
    rv32: bool,
    extensions: Extensions,
    satp: u64,
    mstatus: Status,
    menvcfg: EnvConfig,
    /// For a hart with PMP, the configuration and the address of each entry.
    pmp: Option<[(u8, u64); PMP_ENTRIES]>,
}

impl From<RiscV> for Hart {
    fn from(hart: RiscV) -> Self {
        let RiscV { rv32, extensions, satp, mstatus, menvcfg, pmp, .. } = hart;
        Self { rv32, extensions, satp, mstatus, menvcfg, pmp: pmp.entries() }
    }
}

impl TryFrom<Hart> for RiscV {
    type Error = &'static str;

    fn try_from(hart: Hart) -> Result<Self, &'static str> {
        let Hart { rv32, extensions, satp, mstatus, menvcfg, pmp } = hart;
        let reset = if rv32 { Self::rv32() } else { Self::rv64() };
        let pmp = pmp.map_or(Some(Pmp::new(false)), |entries| Pmp::of(&entries));
        let pmp = pmp.ok_or("pmp: values that its registers cannot hold")?;
        let mut hart = Self { extensions, satp, mstatus, menvcfg, pmp, ..reset };
        hart.derive();
        Ok(hart)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "RiscVH")]
pub(super) struct Stages {
    own: RiscV,
    guest: RiscV,
    vsstatus: Status,
    henvcfg: EnvConfig,
    mpv: bool,
}

impl From<RiscVH> for Stages {
    fn from(RiscVH { own, guest, vsstatus, henvcfg, mpv }: RiscVH) -> Self {
        Self { own, guest, vsstatus, henvcfg, mpv }
    }
}

impl From<Stages> for RiscVH {
    fn from(Stages { own, guest, vsstatus, henvcfg, mpv }: Stages) -> Self {
        let mut hart = Self { own, guest, vsstatus, henvcfg, mpv };
        hart.derive();
        hart
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "GStage")]
pub(super) struct Guests {
    hart: RiscV,
    hgatp: u64,
}

impl From<GStage> for Guests {
    fn from(GStage { hart, hgatp }: GStage) -> Self {
        Self { hart, hgatp }
    }
}

impl From<Guests> for GStage {
    fn from(Guests { hart, hgatp }: Guests) -> Self {
        let mut stage = Self { hart, hgatp };
        stage.derive();
        stage
    }
}
