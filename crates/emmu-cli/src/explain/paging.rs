//! Pages.

use super::args;
use super::number::{Radix, value};
use super::segments::cut;
use super::story::{Heard, Stage, Step, Tell};
use anyhow::{Context, Result, bail};
use emmu_core::{Access, Event, PhysAddr, TranslationUnit, VirtAddr, Width, low_mask};
use emmu_memory::Memory;
use emmu_paging::format::described::{Described, Description, MODE, PTBR};
use emmu_paging::format::{Entry, Format};
use emmu_paging::{Geometry, Paging, PagingConfig, Policy, TlbLevel, TlbTable};
use emmu_segmentation::Parts;

type Pages = Paging<Described>;

/// What the operating system puts into memory and registers before the program runs.
pub(super) struct Contents {
    ptbr: u64,
    width: Width,
    /// Where, and what.
    entries: Vec<(u64, u64)>,
}

impl args::Paging {
    pub(super) fn unit(&self) -> Result<(Pages, Contents)> {
        let page_bits = log2("--page", &self.page)?;
        let entry_bytes = value("--entry-bytes", &self.entry_bytes)?;
        let width = Width::from_bytes(entry_bytes).with_context(|| {
            format!("--entry-bytes: expected 1, 2, 4 or 8, found {entry_bytes}")
        })?;
        let highest = u8::try_from(width.bytes() * 8 - 1)?;
        let valid = self.valid.unwrap_or(highest);
        let description = Description::new(width, page_bits, &self.index_bits(page_bits)?)
            .frame(0, valid)
            .valid(valid);
        let unit = Paging::new(Described::new(description)?, &self.tlb(page_bits)?)?;
        let ptbr = value("--ptbr", &self.ptbr)?;
        let entries: Result<Vec<_>> =
            self.entries.iter().map(|text| placed(text, ptbr, width)).collect();
        Ok((unit, Contents { ptbr, width, entries: entries? }))
    }

    /// The bits of a page number that index each level.
    fn index_bits(&self, page_bits: u8) -> Result<Vec<u8>> {
        let left = self.address_bits.checked_sub(page_bits).filter(|bits| *bits > 0);
        let left = left.with_context(|| {
            format!(
                "--page: expected pages smaller than the {}-bit address space",
                self.address_bits
            )
        })?;
        if self.levels == 0 || left % self.levels != 0 {
            bail!(
                "--levels: expected a divisor of {left}, the bits of a page number, found {}",
                self.levels
            );
        }
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

fn log2(what: &str, text: &str) -> Result<u8> {
    let bytes = value(what, text)?;
    match bytes.is_power_of_two() {
        true => Ok(u8::try_from(bytes.trailing_zeros())?),
        false => bail!("{what}: expected a power of two, found {bytes}"),
    }
}

/// `INDEX=VALUE` or `@ADDRESS=VALUE`.
fn placed(text: &str, ptbr: u64, width: Width) -> Result<(u64, u64)> {
    let expected = || format!("--entry: expected INDEX=VALUE or @ADDRESS=VALUE, found {text:?}");
    let (place, raw) = text.split_once('=').with_context(expected)?;
    let addr = match place.strip_prefix('@') {
        Some(addr) => value("--entry", addr)?,
        None => ptbr.saturating_add(value("--entry", place)?.saturating_mul(width.bytes())),
    };
    match value("--entry", raw)? {
        raw if raw <= width.mask() => Ok((addr, raw)),
        _ => bail!("--entry {text}: expected a value of {} bytes", width.bytes()),
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

impl Tell for Pages {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let shape = self.format().shape(access);
        let page_bits = u32::from(shape.page_bits(0));
        let addr = access.addr;
        let parts = Parts { selector: addr.block(page_bits), offset: addr.offset(page_bits) };
        let root = self.format().root(access).ok()?;
        let top = u32::from(shape.table_bits(root.level));
        (addr.raw() <= low_mask(top))
            .then(|| cut("page", parts, top.saturating_sub(page_bits), page_bits, show))
    }

    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step> {
        let root = self.format().root(access).ok().map(|root| (root.table, root.permissions));
        let mut walk = Walk { format: self.format(), access, table: root };
        let mut steps: Vec<_> = heard.iter().flat_map(|heard| walk.step(heard)).collect();
        if let Ok(found) = TranslationUnit::<Memory, ()>::peek(self, access, memory) {
            let offset = access.addr.offset(self.format().shape(access).page_bits(0).into());
            let frame = show.show(found.addr.raw().wrapping_sub(offset));
            let (offset, place) = (show.show(offset), show.show(found.addr));
            steps.push(Step::new("PA", format!("frame at {frame} + {offset} = {place}")));
        }
        steps
    }
}

/// A walk as it is heard of.
struct Walk<'a> {
    format: &'a Described,
    access: Access,
    /// The table that the next entry is in.
    table: Option<(PhysAddr, <Described as Format>::Permissions)>,
}

impl Walk<'_> {
    fn step(&mut self, heard: &Heard) -> Vec<Step> {
        let tlb = |text| vec![Step::new("TLB", text).costing(heard.cycles)];
        match heard.event {
            Event::TlbHit { .. } => tlb("HIT"),
            Event::TlbMiss { .. } => tlb("MISS"),
            Event::EntryRead { level, addr, raw } => self.entry(level, addr, raw, heard.cycles),
            _ => Vec::new(),
        }
    }

    /// An entry that was read, in the format's own reading of it.
    fn entry(&mut self, level: u8, addr: PhysAddr, raw: u64, cycles: u64) -> Vec<Step> {
        let Some((table, inherited)) = self.table.take() else { return Vec::new() };
        let width = self.format.shape(self.access).entry().bytes();
        let index = addr.raw().wrapping_sub(table.raw()) / width;
        let told = format!("{index} @ {table} + {index}*{width} = {addr}: {raw:#x}");
        let read = Step::new("entry", told).costing(cycles);
        let says = match self.format.decode(raw, level, self.access, inherited) {
            Entry::Table { table, permissions } => {
                self.table = Some((table, permissions));
                Step::new("valid", format!("level {level}: table at {table}"))
            }
            Entry::Leaf(mapping) => {
                Step::new("valid", format!("level {level}: frame at {}", mapping.frame))
            }
            Entry::Invalid(cause) => {
                Step::failing("valid", format!("entry {index} of level {level}: {cause}"))
            }
        };
        vec![read, says]
    }
}
