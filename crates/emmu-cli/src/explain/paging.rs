//! Pages: the machine that the options describe.

mod walk;

use super::args;
use super::story::Stage;
use crate::number::number;
use anyhow::{Context, Result, anyhow, bail, ensure};
use emmu_core::{VirtAddr, Width};
use emmu_paging::format::described::{Described, Description, DescriptionError, MODE, PTBR};
use emmu_paging::{Geometry, Paging, PagingConfig, Policy, TlbLevel, TlbTable};
use std::str::FromStr;

type Pages = Paging<Described>;

/// The highest and the lowest bit of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitField {
    high: u8,
    low: u8,
}

impl FromStr for BitField {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (high, low) = text.split_once(':')?;
            Some(Self { high: high.parse().ok()?, low: low.parse().ok()? })
        };
        let ordered = |field: &Self| field.low <= field.high && field.high < 64;
        parse().filter(ordered).context("expected HIGH:LOW with bits from 63 to 0, such as 31:12")
    }
}

/// An entry of a table in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedEntry {
    place: Place,
    raw: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// The entry of the first table that has this index.
    Index(u64),
    /// The entry at this physical address.
    Address(u64),
}

impl FromStr for PlacedEntry {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (place, raw) = text.split_once('=')?;
            let place = match place.strip_prefix('@') {
                Some(addr) => Place::Address(number(addr).ok()?),
                None => Place::Index(number(place).ok()?),
            };
            Some(Self { place, raw: number(raw).ok()? })
        };
        parse().context("expected INDEX=VALUE or @ADDRESS=VALUE, such as 3=0x80000006")
    }
}

/// The contents of memory and registers that the operating system prepares before the program runs.
pub(super) struct Contents {
    ptbr: u64,
    width: Width,
    /// Physical addresses and entries.
    entries: Vec<(u64, u64)>,
}

impl args::Paging {
    pub(super) fn unit(&self) -> Result<(Pages, Contents)> {
        ensure!(
            self.page.is_power_of_two(),
            "--page: expected a power of two, found {}",
            self.page
        );
        let page_bits = u8::try_from(self.page.trailing_zeros())?;
        let width = Width::from_bytes(self.entry_bytes).with_context(|| {
            format!("--entry-bytes: expected 1, 2, 4 or 8, found {}", self.entry_bytes)
        })?;
        let index_bits = self.index_bits(page_bits)?;
        let format = Described::new(self.description(width, page_bits, &index_bits)?)
            .map_err(|error| named(&error))?;
        let first_table = 1u64.checked_shl(index_bits[0].into()).unwrap_or(u64::MAX);
        let placed = |entry: &PlacedEntry| entry.placed(self.ptbr, width, first_table);
        let entries = self.entries.iter().map(placed).collect::<Result<_>>()?;
        let unit = Paging::new(format, &self.tlb(page_bits)?)?;
        Ok((unit, Contents { ptbr: self.ptbr, width, entries }))
    }

    fn description(&self, width: Width, page_bits: u8, index_bits: &[u8]) -> Result<Description> {
        let valid = self.valid.unwrap_or(u8::try_from(width.bytes() * 8 - 1)?);
        let lowest =
            [self.read, self.write, self.execute].into_iter().flatten().fold(valid, u8::min);
        let (low, count) = match self.pfn {
            Some(BitField { high, low }) => (low, high - low + 1),
            None => (0, lowest),
        };
        ensure!(
            count > 0,
            "--pfn: expected HIGH:LOW, as bit 0 has another meaning, and no bits are left below it"
        );
        Ok(Description::new(width, page_bits, index_bits).frame(low, count).valid(valid).rights(
            self.read,
            self.write,
            self.execute,
        ))
    }

    /// Returns the numbers of bits of a page number that index each level, the topmost level first.
    fn index_bits(&self, page_bits: u8) -> Result<Vec<u8>> {
        let left = self.address_bits.checked_sub(page_bits).filter(|bits| *bits > 0);
        let left = left.with_context(|| {
            format!(
                "--page: expected pages smaller than the {}-bit address space",
                self.address_bits
            )
        })?;
        ensure!(
            left % self.levels == 0,
            "--levels: expected a divisor of {left}, the bits of a page number, found {}",
            self.levels
        );
        Ok(vec![left / self.levels; self.levels.into()])
    }

    fn tlb(&self, page_bits: u8) -> Result<PagingConfig> {
        if self.tlb == 0 {
            return Ok(PagingConfig::default());
        }
        let geometry = Geometry::fully_associative(self.tlb, Policy::Lru).context("--tlb")?;
        let table = TlbTable { geometry, page_bits: vec![page_bits] };
        Ok(PagingConfig { tlb: vec![TlbLevel::unified(vec![table])], ..PagingConfig::default() })
    }
}

/// Names the option that makes this description impossible.
fn named(error: &DescriptionError) -> anyhow::Error {
    let text = error.to_string();
    let rest = |field| text.strip_prefix(field);
    match (rest("frame"), rest("index_bits"), error) {
        (Some(rest), ..) => anyhow!("--pfn{rest}"),
        (_, Some(rest), _) => anyhow!("--levels{rest}"),
        (.., DescriptionError::Shape(_)) => anyhow!("--address-bits: {text}"),
        _ => anyhow!("--{text}"),
    }
}

impl PlacedEntry {
    /// Returns the physical address and the value, if the entry is in the first table or at an address.
    fn placed(&self, ptbr: u64, width: Width, first_table: u64) -> Result<(u64, u64)> {
        ensure!(
            self.raw <= width.mask(),
            "--entry: expected values of {} bytes at most, found {:#x}",
            width.bytes(),
            self.raw
        );
        let addr = match self.place {
            Place::Address(addr) => Some(addr),
            Place::Index(index) if index >= first_table => bail!(
                "--entry: entry {index} is outside of the first table, which has {first_table} entries, 0 to {}",
                first_table - 1
            ),
            Place::Index(index) => {
                index.checked_mul(width.bytes()).and_then(|offset| ptbr.checked_add(offset))
            }
        };
        Ok((addr.context("--ptbr: the first table ends past the last 64-bit address")?, self.raw))
    }
}

impl Contents {
    pub(super) fn put(&self, stage: &mut Stage<Pages>) -> Result<()> {
        let cpu = stage.cpu_mut();
        for &(addr, raw) in &self.entries {
            cpu.store(VirtAddr::new(addr), self.width, raw)
                .with_context(|| format!("--entry: at {addr:#x}"))?;
        }
        cpu.write_register(PTBR, self.ptbr).context("--ptbr")?;
        cpu.write_register(MODE, 1).context("translation cannot be switched on")?;
        Ok(())
    }
}
