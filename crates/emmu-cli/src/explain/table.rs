//! Segments whose descriptors are in memory.

use super::args;
use super::number::{Radix, value};
use super::segments::{cut, parse, place, refused_address, rights};
use super::story::{Heard, Stage, Step, Tell};
use anyhow::{Context, Result};
use emmu_core::{Access, Bus, Event, PhysAddr, Registers, VirtAddr, Width};
use emmu_memory::Memory;
use emmu_paging::{Geometry, Policy};
use emmu_segmentation::{DESCRIPTOR_BYTES, Descriptor, SegmentTable};

/// What the operating system puts into memory and registers before the program runs.
pub(super) struct Contents {
    base: u64,
    length: u64,
    descriptors: Vec<(u64, Descriptor)>,
}

impl args::Table {
    pub(super) fn unit(&self) -> Result<(SegmentTable, Contents)> {
        let cache = match self.cache {
            0 => None,
            entries => Some(Geometry::fully_associative(entries, Policy::Lru).context("--cache")?),
        };
        let unit = SegmentTable::new(self.address_bits, self.selector_bits, cache)?;
        let descriptors: Result<Vec<_>> = self.segments.iter().map(|text| numbered(text)).collect();
        let descriptors = descriptors?;
        let needed = descriptors.iter().map(|(number, _)| number.saturating_add(1)).max();
        let length = match &self.length {
            Some(text) => value("--length", text)?,
            None => needed.unwrap_or(0),
        };
        Ok((unit, Contents { base: value("--table", &self.table)?, length, descriptors }))
    }
}

/// `N=BASE:BOUNDS[:RIGHTS][:down]`, or `N=absent`.
fn numbered(text: &str) -> Result<(u64, Descriptor)> {
    let expected = || format!("--segment: expected N=BASE:BOUNDS or N=absent, found {text:?}");
    let (number, described) = text.split_once('=').with_context(expected)?;
    let descriptor = match described {
        "absent" => Descriptor::default(),
        described => Descriptor::present(parse(described)?)
            .with_context(|| format!("--segment {text}: bounds of 2^56 bytes or more"))?,
    };
    Ok((value("--segment", number)?, descriptor))
}

impl Contents {
    pub(super) fn put(&self, stage: &mut Stage<SegmentTable>) -> Result<()> {
        let cpu = stage.cpu_mut();
        cpu.write_register(SegmentTable::BASE, self.base).context("--table")?;
        cpu.write_register(SegmentTable::LENGTH, self.length).context("--length")?;
        for (number, descriptor) in &self.descriptors {
            let offset = number.saturating_mul(DESCRIPTOR_BYTES);
            let at = VirtAddr::new(self.base.saturating_add(offset));
            cpu.store_bytes(at, &descriptor.to_bytes())
                .with_context(|| format!("descriptor {number}"))?;
        }
        Ok(())
    }
}

impl Tell for SegmentTable {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let parts = self.select(access).ok()?;
        let offset_bits = (self.last_offset() + 1).trailing_zeros();
        Some(cut("selector", parts, self.address_bits() - offset_bits, offset_bits, show))
    }

    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step> {
        let parts = match self.select(access) {
            Ok(parts) => parts,
            Err(refusal) => return vec![refused_address(refusal, show)],
        };
        let length = self.read_register(Self::LENGTH).unwrap_or_default();
        let below = format!("selector {} < table_length {length}", parts.selector);
        let mut steps = vec![Step::new("segment", below)];
        let mut reading = Reading { table: self, selector: parts.selector, found: None };
        steps.extend(heard.iter().flat_map(|heard| reading.step(heard, memory)));
        if let Some(found) = reading.found {
            steps.extend(place(&found.segment(), parts, self.last_offset(), access, show));
        }
        steps
    }
}

/// A descriptor as it is found.
struct Reading<'a> {
    table: &'a SegmentTable,
    selector: u64,
    /// All of it, once it is known.
    found: Option<Descriptor>,
}

impl Reading<'_> {
    fn step(&mut self, heard: &Heard, memory: &Memory) -> Vec<Step> {
        let cache = |text| vec![Step::new("cache", text).costing(heard.cycles)];
        match heard.event {
            Event::TlbHit { .. } => {
                self.found = self.in_memory(memory);
                cache("HIT")
            }
            Event::TlbMiss { .. } => cache("MISS"),
            Event::WalkBegin(_) if self.found.take().is_some() => {
                let text = "what the cache holds refuses: the descriptor is read again";
                vec![Step::new("cache", text)]
            }
            Event::EntryRead { addr, raw, .. } if Some(addr) == self.begin() => {
                self.found = self.in_memory(memory);
                vec![self.read(0, heard.cycles, addr, &format!("base {raw:#x}"))]
            }
            Event::EntryRead { addr, raw, .. } => self.bounding_word(addr, raw, heard.cycles),
            _ => Vec::new(),
        }
    }

    fn begin(&self) -> Option<PhysAddr> {
        self.table.descriptor_addr(self.selector)
    }

    /// The descriptor that the cache holds too: the table does not change while it is explained.
    fn in_memory(&self, memory: &Memory) -> Option<Descriptor> {
        let begin = self.begin()?;
        let word = |offset| memory.peek(begin.checked_add(offset)?, Width::B8).ok();
        Some(Descriptor { base: word(0)?, word: word(8)? })
    }

    fn read(&self, word: u64, cycles: u64, addr: PhysAddr, text: &str) -> Step {
        Step::new("read", format!("word {word} @ {addr}: {text}")).costing(cycles)
    }

    fn bounding_word(&self, addr: PhysAddr, raw: u64, cycles: u64) -> Vec<Step> {
        let half = Descriptor { base: 0, word: raw };
        let read = |text: String| self.read(1, cycles, addr, &text);
        if !half.is_present() {
            let text = format!("segment {} is not present", self.selector);
            return vec![
                read(format!("{raw:#x}, bit 4 (present) is 0")),
                Step::failing("present", text),
            ];
        }
        let flags = half.flags();
        let mut steps = vec![read(format!("bounds {}, {}, present", half.bounds(), rights(flags)))];
        if half.is_malformed(self.table.last_offset()) {
            let text = format!("the descriptor {raw:#x} is malformed");
            steps.push(Step::failing("format", text));
        }
        steps
    }
}
