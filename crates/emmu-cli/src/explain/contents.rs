//! The contents of physical memory before the first access.

use crate::number::number;
use anyhow::{Context, Result};
use emmu_core::{Bus, PhysAddr, Width};
use emmu_memory::Memory;
use std::str::FromStr;

/// A byte of physical memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedByte {
    addr: u64,
    value: u8,
}

impl FromStr for PlacedByte {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let placed = || {
            let (addr, value) = text.split_once('=')?;
            let value = u8::try_from(number(value).ok()?).ok()?;
            Some(Self { addr: number(addr).ok()?, value })
        };
        placed().context("expected ADDRESS=VALUE with a value of at most 255, such as 0x6229=0x5a")
    }
}

impl PlacedByte {
    pub(super) fn put(self, memory: &mut Memory) -> Result<()> {
        let Self { addr, value } = self;
        memory
            .write(PhysAddr::new(addr), Width::B1, value.into())
            .with_context(|| format!("--byte {addr:#x}={value:#x}"))
    }
}
