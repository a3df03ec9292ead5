//! The steps of a page walk.

use crate::explain::{
    Radix,
    parts::{Part, cut},
    segments::letters,
    story::{Heard, Step, Tell, with_article},
};
use emmu_core::{Access, AccessKind, Event, PhysAddr, TranslationUnit, low_mask};
use emmu_memory::Memory;
use emmu_paging::Paging;
use emmu_paging::format::described::{Described, Field, Permissions};
use emmu_paging::format::{Entry, Format};

impl Tell for Paging<Described> {
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
                vec![self.lookup("HIT, it holds").costing(heard)]
            }
            Event::TlbMiss { .. } => vec![self.lookup("MISS, it lacks").costing(heard)],
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
                let text = format!("{}entry {index} is not valid: {cause}", self.level(level));
                steps.push(Step::failing("valid", text));
            }
        }
        steps
    }

    fn entry_bytes(&self) -> u64 {
        self.format.shape(self.access).entry().bytes()
    }

    /// The beginning of a sentence that names the level, if there are several.
    fn level(&self, level: u8) -> String {
        if self.levels > 1 { format!("level {level}, ") } else { String::new() }
    }

    fn index(&self, table: PhysAddr, addr: PhysAddr) -> u64 {
        addr.raw().wrapping_sub(table.raw()) / self.entry_bytes()
    }

    fn read(&self, level: u8, table: PhysAddr, addr: PhysAddr, raw: u64, heard: &Heard) -> Step {
        let level = self.level(level);
        let [index, table, bytes, addr, raw] =
            [self.index(table, addr), table.raw(), self.entry_bytes(), addr.raw(), raw]
                .map(|number| self.show.show(number));
        let place = format!("{level}{index} @ {table} + {index} * {bytes} = {addr}");
        Step::new("entry", format!("{place} -> {raw}")).costing(heard)
    }

    /// Splits an entry into its fields, the topmost field first. Entries that name a table have only two fields.
    fn fields(&self, raw: u64, names_table: bool) -> Step {
        let fields = self.format.description().fields();
        let used = |field: &Field| !names_table || ["valid", "frame"].contains(&field.name);
        let mut fields: Vec<_> = fields.filter(used).collect();
        fields.sort_by_key(|field| std::cmp::Reverse(field.low));
        let told = fields.into_iter().map(|field| match field.name {
            "frame" => format!("PFN {}", self.show.show(field.of(raw))),
            name => format!("{name} {}", field.of(raw)),
        });
        Step::new("fields", told.collect::<Vec<_>>().join(" | "))
    }

    /// Tells of the check of the rights, if entries have any.
    fn rights(&self, permissions: Permissions) -> Option<Step> {
        let mut fields = self.format.description().fields();
        fields.find(|field| ["read", "write", "execute"].contains(&field.name))?;
        let kind = with_article(self.access.kind);
        let has = [Permissions::R, Permissions::W, Permissions::X]
            .map(|right| permissions.contains(right));
        Some(match self.format.permits(permissions, self.access) {
            Ok(()) => Step::new("rights", format!("{} allows {kind}", letters(has))),
            Err(_) => {
                let missing =
                    needed(self.access.kind).into_iter().filter(|(right, _)| !has[*right]);
                let missing: String = missing.map(|(_, letter)| letter).collect();
                Step::failing("rights", format!("{} lacks {missing} for {kind}", letters(has)))
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
