//! Pages: the machine that the options describe.

mod entries;
mod walk;

pub(super) use entries::PlacedEntry;

use super::args;
use super::story::Stage;
use crate::number;
use anyhow::{Context, Result, anyhow, ensure};
use emmu_core::{VirtAddr, Width};
use emmu_paging::format::described::{Described, Description, DescriptionError, MODE, PTBR};
use emmu_paging::{Geometry, Paging, PagingConfig, Policy, TlbLevel, TlbTable};
use std::{collections::BTreeMap, str::FromStr};

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
            let bit = number::narrow::<u8>(0..=63);
            Some(Self { high: bit(high).ok()?, low: bit(low).ok()? })
        };
        let ordered = |field: &Self| field.low <= field.high;
        parse().filter(ordered).context("expected HIGH:LOW with bits from 63 to 0, such as 31:12")
    }
}

/// The contents of memory and registers that the operating system prepares before the program runs.
pub(super) struct Contents {
    ptbr: u64,
    width: Width,
    /// Entries by physical address.
    entries: BTreeMap<u64, u64>,
}

impl args::Paging {
    pub(super) fn unit(&self) -> Result<(Pages, Contents)> {
        ensure!(
            self.page.is_power_of_two() && self.page > 1,
            "--page: expected a power of two that is at least 2, found {}",
            self.page
        );
        let page_bits = u8::try_from(self.page.trailing_zeros())?;
        let width = Width::from_bytes(self.entry_bytes).with_context(|| {
            format!("--entry-bytes: expected 1, 2, 4 or 8, found {}", self.entry_bytes)
        })?;
        self.check_bits(width)?;
        let index_bits = self.index_bits(page_bits)?;
        let format = Described::new(self.description(width, page_bits, &index_bits)?)
            .map_err(|error| named(&error))?;
        let entries = entries::place(&self.entries, self.ptbr, &format)?;
        // The page size is a legal one of a TLB, as it was checked above.
        let unit = Paging::new(format, &self.tlb(page_bits)?).context("--tlb")?;
        Ok((unit, Contents { ptbr: self.ptbr, width, entries }))
    }

    /// Refuses a bit that lies outside of an entry.
    fn check_bits(&self, width: Width) -> Result<()> {
        let (width, bits) = (width.bytes() * 8, [self.valid, self.read, self.write, self.execute]);
        let given = ["--valid", "--read", "--write", "--execute"].into_iter().zip(bits);
        for (option, bit) in given.filter_map(|(option, bit)| Some((option, bit?))) {
            ensure!(
                u64::from(bit) < width,
                "{option}: bit {bit}, expected less than {width}, the entry's width"
            );
        }
        Ok(())
    }

    fn description(&self, width: Width, page_bits: u8, index_bits: &[u8]) -> Result<Description> {
        let valid = self.valid.unwrap_or(u8::try_from(width.bytes() * 8 - 1)?);
        let lowest =
            [self.read, self.write, self.execute].into_iter().flatten().fold(valid, u8::min);
        let (low, count) = match self.pfn {
            Some(BitField { high, low }) => (low, high - low + 1),
            // A physical address has 64 bits.
            None => (0, lowest.min(64 - page_bits)),
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

impl Contents {
    pub(super) fn put(&self, stage: &mut Stage<Pages>) -> Result<()> {
        let cpu = stage.cpu_mut();
        for (&addr, &raw) in &self.entries {
            cpu.store(VirtAddr::new(addr), self.width, raw)
                .with_context(|| format!("--entry: at {addr:#x}"))?;
        }
        cpu.write_register(PTBR, self.ptbr).context("--ptbr")?;
        cpu.write_register(MODE, 1).context("translation cannot be switched on")?;
        Ok(())
    }
}
