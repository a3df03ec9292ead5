//! Pages.

use super::parts::{Part, cut};
use super::segments::letters;
use super::story::{Heard, Stage, Step, Tell};
use super::{Radix, args};
use crate::number::number;
use anyhow::{Context, Result, anyhow, bail, ensure};
use emmu_core::{Access, AccessKind, Event, PhysAddr, TranslationUnit, VirtAddr, Width, low_mask};
use emmu_memory::Memory;
use emmu_paging::format::described::{
    Described, Description, DescriptionError, MODE, PTBR, Permissions,
};
use emmu_paging::format::{Entry, Format};
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

impl Tell for Pages {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let shape = self.format().shape(access);
        let top = self.format().root(access).ok()?.level;
        let index = |level: u8| -> Part {
            let bits = u32::from(shape.table_bits(level) - shape.page_bits(level));
            let name = if top == 0 { "VPN".to_owned() } else { format!("level {level} index") };
            (name, bits)
        };
        let mut parts: Vec<_> = (0..=top).rev().map(index).collect();
        parts.push(("offset".to_owned(), shape.page_bits(0).into()));
        Some(cut(access.addr.raw(), &parts, show))
    }

    fn steps(&self, access: Access, heard: &[Heard], memory: &Memory, show: Radix) -> Vec<Step> {
        let root = self.format().root(access).ok();
        let levels = root.as_ref().map_or(0, |root| root.level) + 1;
        let page_bits = self.format().shape(access).page_bits(0).into();
        let table = root.map(|root| (root.table, root.permissions));
        let mut walk =
            Walk { format: self.format(), access, levels, page_bits, table, hit: false, show };
        let mut steps: Vec<_> = heard.iter().flat_map(|heard| walk.step(heard)).collect();
        if let Ok(found) = TranslationUnit::<Memory, ()>::peek(self, access, memory) {
            steps.push(walk.place(found.addr));
        } else {
            let address_bits = self.format().shape(access).table_bits(levels - 1);
            steps.extend(walk.too_wide(address_bits.into()));
        }
        steps
    }
}

/// A walk, followed by its events.
struct Walk<'a> {
    format: &'a Described,
    access: Access,
    levels: u8,
    page_bits: u32,
    /// The table that the next entry is in, and the rights so far.
    table: Option<(PhysAddr, Permissions)>,
    /// The TLB holds the page.
    hit: bool,
    show: Radix,
}

impl Walk<'_> {
    fn step(&mut self, heard: &Heard) -> Vec<Step> {
        match heard.event {
            Event::TlbHit { .. } => {
                self.hit = true;
                vec![self.lookup("HIT, it holds").costing(heard.cycles)]
            }
            Event::TlbMiss { .. } => vec![self.lookup("MISS, it lacks").costing(heard.cycles)],
            Event::WalkBegin(_) if self.hit => {
                vec![Step::new("TLB", "the rights that it holds refuse: the entry is read again")]
            }
            Event::EntryRead { level, addr, raw } => self.entry(level, addr, raw, heard),
            _ => Vec::new(),
        }
    }

    fn lookup(&self, told: &str) -> Step {
        let page = self.show.show(self.access.addr.block(self.page_bits));
        Step::new("TLB", format!("{told} VPN {page}"))
    }

    /// Tells of an entry that was read, as the format decodes it.
    fn entry(&mut self, level: u8, addr: PhysAddr, raw: u64, heard: &Heard) -> Vec<Step> {
        let Some((table, inherited)) = self.table.take() else { return Vec::new() };
        let decoded = self.format.decode(raw, level, self.access, inherited);
        let mut steps = vec![
            self.read(level, table, addr, raw, heard),
            self.fields(raw, matches!(decoded, Entry::Table { .. })),
        ];
        match decoded {
            Entry::Table { table, permissions } => {
                self.table = Some((table, permissions));
                steps.push(Step::new(
                    "table",
                    format!("{} = {}", self.frame(table), self.show.show(table)),
                ));
            }
            Entry::Leaf(mapping) => steps.extend(self.rights(mapping.permissions)),
            Entry::Invalid(cause) => {
                let index = self.show.show(self.index(table, addr));
                let text = format!("entry {index} of level {level} is not valid: {cause}");
                steps.push(Step::failing("valid", text));
            }
        }
        steps
    }

    fn entry_bytes(&self) -> u64 {
        self.format.shape(self.access).entry().bytes()
    }

    fn index(&self, table: PhysAddr, addr: PhysAddr) -> u64 {
        addr.raw().wrapping_sub(table.raw()) / self.entry_bytes()
    }

    fn read(&self, level: u8, table: PhysAddr, addr: PhysAddr, raw: u64, heard: &Heard) -> Step {
        let level = if self.levels > 1 { format!("level {level}, ") } else { String::new() };
        let [index, table, bytes, addr, raw] =
            [self.index(table, addr), table.raw(), self.entry_bytes(), addr.raw(), raw]
                .map(|number| self.show.show(number));
        let place = format!("{level}{index} @ {table} + {index} * {bytes} = {addr}");
        Step::new("entry", format!("{place} -> {raw}{}", heard.served_by())).costing(heard.cycles)
    }

    /// Splits an entry into its fields. Entries that name a table have no other fields than these two.
    fn fields(&self, raw: u64, names_table: bool) -> Step {
        let fields = self.format.description().fields();
        let fields =
            fields.filter(|field| !names_table || ["valid", "frame"].contains(&field.name));
        let told = fields.map(|field| match field.name {
            "frame" => format!("PFN {}", self.show.show(field.of(raw))),
            name => format!("{name} {}", field.of(raw)),
        });
        Step::new("fields", told.collect::<Vec<_>>().join(" | "))
    }

    /// Tells of the check of the rights, if entries have any.
    fn rights(&self, permissions: Permissions) -> Option<Step> {
        let mut fields = self.format.description().fields();
        fields.find(|field| ["read", "write", "execute"].contains(&field.name))?;
        let kind = self.access.kind;
        let has = [Permissions::R, Permissions::W, Permissions::X]
            .map(|right| permissions.contains(right));
        Some(match self.format.permits(permissions, self.access) {
            Ok(()) => Step::new("rights", format!("{} allows a {kind}", letters(has))),
            Err(_) => {
                let missing = needed(kind).into_iter().filter(|(right, _)| !has[*right]);
                let missing: String = missing.map(|(_, letter)| letter).collect();
                Step::failing("rights", format!("{} lacks {missing} for a {kind}", letters(has)))
            }
        })
    }

    /// The product that is the address of a frame.
    fn frame(&self, addr: PhysAddr) -> String {
        let frame = self.show.show(addr.block(self.page_bits));
        let size = 1u64.checked_shl(self.page_bits).unwrap_or(0);
        format!("PFN {frame} * {}", self.show.show(size))
    }

    fn place(&self, addr: PhysAddr) -> Step {
        let offset = self.access.addr.offset(self.page_bits);
        let frame = self.frame(PhysAddr::new(addr.raw().wrapping_sub(offset)));
        let (offset, place) = (self.show.show(offset), self.show.show(addr));
        Step::new("PA", format!("{frame} + {offset} = {place}"))
    }

    /// The refusal of an address with more bits than the machine's addresses.
    fn too_wide(&self, address_bits: u32) -> Option<Step> {
        let last = low_mask(address_bits);
        (self.access.addr.raw() > last).then(|| {
            let last = self.show.show(last);
            let text = format!("wider than {address_bits} bits, whose last address is {last}");
            Step::failing("address", text)
        })
    }
}

/// The rights that an access needs: their places in `rwx`, and their letters.
fn needed(kind: AccessKind) -> Vec<(usize, char)> {
    let rights = [(0, 'r'), (1, 'w'), (2, 'x')];
    match kind {
        AccessKind::Load => rights[..1].to_vec(),
        AccessKind::Store => rights[1..2].to_vec(),
        AccessKind::Fetch => rights[2..].to_vec(),
        AccessKind::Amo => rights[..2].to_vec(),
    }
}
