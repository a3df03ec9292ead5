//! Segments whose descriptors are in memory.

use super::parts::cut;
use super::segments::{named, parse, place, refused_address, rights, selector_and_offset};
use super::story::{Heard, Stage, Step, Tell};
use super::{Radix, args};
use crate::number::number;
use anyhow::{Context, Result, ensure};
use emmu_core::{Access, Bus, Event, PhysAddr, Registers, VirtAddr, Width};
use emmu_memory::Memory;
use emmu_paging::{Geometry, Policy};
use emmu_segmentation::{DESCRIPTOR_BYTES, Descriptor, Segment, SegmentTable};
use std::{collections::BTreeMap, str::FromStr};

/// The contents of memory and registers that the operating system prepares before the program runs.
pub(super) struct Contents {
    base: u64,
    length: u64,
    descriptors: BTreeMap<u64, Descriptor>,
}

/// A descriptor and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberedDescriptor {
    number: u64,
    /// The segment; none if it is absent.
    segment: Option<Segment>,
}

impl FromStr for NumberedDescriptor {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbered = || {
            let (given, described) = text.split_once('=')?;
            let number = number(given).ok()?;
            match described {
                "absent" => Some(Self { number, segment: None }),
                described => Some(Self { number, segment: Some(parse(described)?) }),
            }
        };
        numbered().context(
            "expected N=BASE:BOUNDS[:RIGHTS][:down] or N=absent, such as 2047=0x80000:300:rw-",
        )
    }
}

impl NumberedDescriptor {
    fn descriptor(self) -> Result<Descriptor> {
        match self.segment {
            None => Ok(Descriptor::default()),
            Some(segment) => Descriptor::present(segment).with_context(|| {
                format!("--segment: segment {}: expected bounds below 2^56", self.number)
            }),
        }
    }
}

impl args::SegmentTableArgs {
    pub(super) fn unit(&self) -> Result<(SegmentTable, Contents)> {
        let cache = match self.cache {
            0 => None,
            entries => Some(Geometry::fully_associative(entries, Policy::Lru).context("--cache")?),
        };
        let unit =
            SegmentTable::new(self.address_bits, self.selector_bits, cache).map_err(named)?;
        let descriptors = self.descriptors()?;
        self.check_numbers(&descriptors)?;
        let needed = descriptors.keys().last().map_or(0, |last| last.saturating_add(1));
        let length = self.length.unwrap_or(needed);
        Ok((unit, Contents { base: self.table, length, descriptors }))
    }

    fn descriptors(&self) -> Result<BTreeMap<u64, Descriptor>> {
        let mut descriptors = BTreeMap::new();
        for given in &self.segments {
            let twice = descriptors.insert(given.number, given.descriptor()?);
            ensure!(twice.is_none(), "--segment: segment {} is given twice", given.number);
        }
        Ok(descriptors)
    }

    /// Refuses a descriptor behind the end of the table, or behind all that a selector can name.
    fn check_numbers(&self, descriptors: &BTreeMap<u64, Descriptor>) -> Result<()> {
        let last = descriptors.keys().last().copied().unwrap_or_default();
        if let Some(length) = self.length {
            ensure!(
                last < length,
                "--segment: segment {last} is outside of the table, whose --length is {length}"
            );
        }
        let selectors = 1u64.checked_shl(self.selector_bits).unwrap_or(u64::MAX);
        ensure!(
            last < selectors || self.length.is_some(),
            "--segment: segment {last}; expected numbers from 0 to {}, the last selector",
            selectors - 1
        );
        Ok(())
    }
}

impl Contents {
    pub(super) fn put(&self, stage: &mut Stage<SegmentTable>) -> Result<()> {
        let cpu = stage.cpu_mut();
        cpu.write_register(SegmentTable::BASE, self.base).context("--table")?;
        cpu.write_register(SegmentTable::LENGTH, self.length).context("--length")?;
        for (number, descriptor) in &self.descriptors {
            let outside = || format!("--segment: segment {number}");
            let offset = number.checked_mul(DESCRIPTOR_BYTES).with_context(outside)?;
            let at = VirtAddr::new(self.base.checked_add(offset).with_context(outside)?);
            cpu.store_bytes(at, &descriptor.to_bytes()).with_context(outside)?;
        }
        Ok(())
    }
}

impl Tell for SegmentTable {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let offset_bits = (self.last_offset() + 1).trailing_zeros();
        let selector_bits = self.address_bits() - offset_bits;
        Some(cut(access.addr.raw(), &selector_and_offset(selector_bits, self.address_bits()), show))
    }

    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step> {
        let parts = match self.select(access) {
            Ok(parts) => parts,
            Err(refusal) => return vec![refused_address(refusal, show)],
        };
        let length = self.read_register(Self::LENGTH).unwrap_or_default();
        let (selector, told) = (show.show(parts.selector), show.show(length));
        let below = format!("selector {selector} < table_length {told}");
        let mut steps = vec![Step::new("segment", below)];
        let mut reading = Reading { table: self, selector: parts.selector, found: None, show };
        steps.extend(heard.iter().flat_map(|heard| reading.step(heard, memory)));
        if let Some(found) = reading.found {
            steps.extend(place(&found.segment(), parts, self.last_offset(), access, show));
        }
        steps
    }
}

/// The state of a lookup of a descriptor.
struct Reading<'a> {
    table: &'a SegmentTable,
    selector: u64,
    /// The descriptor, once both words are known.
    found: Option<Descriptor>,
    show: Radix,
}

impl Reading<'_> {
    fn step(&mut self, heard: &Heard, memory: &Memory) -> Vec<Step> {
        let cache = |text| vec![Step::new("cache", text).costing(heard)];
        match heard.event {
            Event::TlbHit { .. } => {
                self.found = self.in_memory(memory);
                cache("HIT")
            }
            Event::TlbMiss { .. } => cache("MISS"),
            Event::WalkBegin(_) if self.found.take().is_some() => {
                let text = "the cached descriptor refuses the access: it is read again";
                vec![Step::new("cache", text)]
            }
            Event::EntryRead { addr, raw, .. } if Some(addr) == self.begin() => {
                self.found = self.in_memory(memory);
                vec![self.read(0, heard, addr, &format!("base {}", self.show.show(raw)))]
            }
            Event::EntryRead { addr, raw, .. } => self.bounding_word(addr, raw, heard),
            _ => Vec::new(),
        }
    }

    fn begin(&self) -> Option<PhysAddr> {
        self.table.descriptor_addr(self.selector)
    }

    /// Returns the descriptor in memory. The cache holds no other one, because the table does not change.
    fn in_memory(&self, memory: &Memory) -> Option<Descriptor> {
        let begin = self.begin()?;
        let word = |offset| memory.peek(begin.checked_add(offset)?, Width::B8).ok();
        Some(Descriptor { base: word(0)?, word: word(8)? })
    }

    fn read(&self, word: u64, heard: &Heard, addr: PhysAddr, text: &str) -> Step {
        let addr = self.show.show(addr);
        let text = format!("word {word} @ {addr}: {text}");
        Step::new("read", text).costing(heard)
    }

    fn bounding_word(&self, addr: PhysAddr, raw: u64, heard: &Heard) -> Vec<Step> {
        let half = Descriptor { base: 0, word: raw };
        let read = |text: String| self.read(1, heard, addr, &text);
        let (raw_text, bounds) = (self.show.show(raw), self.show.show(half.bounds()));
        if !half.is_present() {
            let text = format!("segment {} is not present", self.show.show(self.selector));
            return vec![
                read(format!("{raw_text}, bit 4 (present) is 0")),
                Step::failing("present", text),
            ];
        }
        let flags = half.flags();
        let mut steps = vec![read(format!("bounds {bounds}, {}, present", rights(flags)))];
        if half.is_malformed(self.table.last_offset()) {
            let text = format!("the descriptor {raw_text} is malformed");
            steps.push(Step::failing("format", text));
        }
        steps
    }
}
