//! Translation lookaside buffers: one user of the associative table.

use crate::{
    Assoc, Scope, TlbLevel, TlbTable,
    format::Mapping,
    scope::{Scopes, Visible},
};
use alloc::vec::Vec;
use emmu_core::{Access, AccessKind, Event, Probe, Side, TlbId, VirtAddr};

/// All levels of TLB, the one nearest to the CPU first.
#[derive(Clone, Debug)]
pub(crate) struct Tlbs<P> {
    levels: Vec<Level<P>>,
}

#[derive(Clone, Debug)]
enum Level<P> {
    Split { instruction: Bank<P>, data: Bank<P> },
    Unified(Bank<P>),
}

/// The tables that are one TLB.
#[derive(Clone, Debug)]
struct Bank<P> {
    id: TlbId,
    tables: Vec<Table<P>>,
}

#[derive(Clone, Debug)]
struct Table<P> {
    assoc: Assoc<Mapping<P>>,
    page_bits: Vec<u8>,
}

/// A slot of one table of a bank.
#[derive(Clone, Copy, Debug)]
struct Place {
    table: usize,
    slot: usize,
}

/// What the first level holds for an access, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit<P> {
    pub(crate) mapping: Mapping<P>,
    /// The slot in the first level and its version, if the first level holds it.
    pub(crate) first: Option<(u32, u32)>,
}

/// Bits of a ticket's slot number that are the slot in a table; above them are the table, and the side.
const SLOT_BITS: u32 = 24;
const DATA_SIDE: u32 = 1 << 31;

impl<P: Copy + Default> Tlbs<P> {
    pub(crate) fn new(levels: &[TlbLevel]) -> Self {
        let levels = (1..).zip(levels).map(|(level, config)| Level::new(level, config)).collect();
        Self { levels }
    }

    /// Looks in every level until one has it, and puts what a lower level had into those above.
    #[inline]
    pub(crate) fn lookup(
        &mut self,
        access: Access,
        visible: Visible,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        let first = self.levels.first_mut()?.bank(access.kind);
        if let Some((place, mapping)) = first.lookup(access, visible, probe) {
            return Some(Hit { mapping, first: first.ticket(place, access.kind) });
        }
        self.lookup_below(access, visible, scopes, probe)
    }

    fn lookup_below(
        &mut self,
        access: Access,
        visible: Visible,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        let (level, mapping) = (1..self.levels.len()).find_map(|level| {
            let found = self.levels[level].bank(access.kind).lookup(access, visible, probe);
            found.map(|(_, mapping)| (level, mapping))
        })?;
        Some(self.fill_above(level, mapping, access, visible, scopes, probe))
    }

    /// Puts the outcome of a walk into every level.
    pub(crate) fn fill(
        &mut self,
        mapping: Mapping<P>,
        access: Access,
        visible: Visible,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        self.fill_above(self.levels.len(), mapping, access, visible, scopes, probe)
    }

    fn fill_above(
        &mut self,
        level: usize,
        mapping: Mapping<P>,
        access: Access,
        visible: Visible,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        let mut first = None;
        for level in self.levels[..level].iter_mut().rev() {
            let bank = level.bank(access.kind);
            let place = bank.fill(mapping, access.addr, visible, scopes, probe);
            first = place.and_then(|place| bank.ticket(place, access.kind));
        }
        Hit { mapping, first }
    }

    /// Repeats a hit of the first level, if the slot still holds what it held.
    #[inline]
    pub(crate) fn repeat(
        &mut self,
        slot: u32,
        version: u32,
        access: Access,
        probe: &mut (impl Probe + ?Sized),
    ) -> bool {
        let Some(level) = self.levels.first_mut() else { return false };
        let bank = level.side(slot & DATA_SIDE != 0);
        let table = (slot & !DATA_SIDE) >> SLOT_BITS;
        let slot = (slot & ((1 << SLOT_BITS) - 1)) as usize;
        let Some(table) = bank.tables.get_mut(table as usize) else { return false };
        if table.assoc.version(slot) != Some(version) {
            return false;
        }
        table.assoc.hit(slot);
        probe.on(Event::TlbHit { tlb: bank.id, access });
        true
    }

    /// Forgets the page that holds `addr`, of every size, for entries whose scope is one of `scopes`.
    pub(crate) fn remove_page(&mut self, addr: VirtAddr, concerns: impl Fn(Scope) -> bool) {
        for table in self.tables_mut() {
            for &bits in &table.page_bits {
                let is_page = |scope, mapping: &Mapping<P>| mapping.bits == bits && concerns(scope);
                table.assoc.remove(addr.block(bits.into()), is_page);
            }
        }
    }

    /// Forgets every page that reaches into `first ..= last`.
    pub(crate) fn remove_range(&mut self, first: VirtAddr, last: VirtAddr) {
        for table in self.tables_mut() {
            table.assoc.retain(|tag, _, mapping| {
                let bits = mapping.bits.into();
                tag < first.block(bits) || last.block(bits) < tag
            });
        }
    }

    fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table<P>> {
        self.levels.iter_mut().flat_map(Level::banks_mut).flat_map(|bank| &mut bank.tables)
    }
}

impl<P: Copy + Default> Level<P> {
    fn new(level: u8, config: &TlbLevel) -> Self {
        match config {
            TlbLevel::Split { instruction, data } => Self::Split {
                instruction: Bank::new(TlbId { level, side: Side::Instruction }, instruction),
                data: Bank::new(TlbId { level, side: Side::Data }, data),
            },
            TlbLevel::Unified(bank) => {
                Self::Unified(Bank::new(TlbId { level, side: Side::Unified }, bank))
            }
        }
    }

    #[inline]
    fn bank(&mut self, kind: AccessKind) -> &mut Bank<P> {
        self.side(kind != AccessKind::Fetch)
    }

    #[inline]
    fn side(&mut self, is_data: bool) -> &mut Bank<P> {
        match self {
            Self::Split { instruction, data } => {
                if is_data {
                    data
                } else {
                    instruction
                }
            }
            Self::Unified(bank) => bank,
        }
    }

    fn banks_mut(&mut self) -> impl Iterator<Item = &mut Bank<P>> {
        let (one, other) = match self {
            Self::Split { instruction, data } => (instruction, Some(data)),
            Self::Unified(bank) => (bank, None),
        };
        core::iter::once(one).chain(other)
    }
}

impl<P: Copy + Default> Bank<P> {
    fn new(id: TlbId, config: &[TlbTable]) -> Self {
        let table = |config: &TlbTable| Table {
            assoc: Assoc::new(config.geometry),
            page_bits: config.page_bits.clone(),
        };
        Self { id, tables: config.iter().map(table).collect() }
    }

    #[inline]
    fn lookup(
        &mut self,
        access: Access,
        visible: Visible,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<(Place, Mapping<P>)> {
        let Some((place, mapping)) = self.find(access.addr, visible) else {
            probe.on(Event::TlbMiss { tlb: self.id, access });
            return None;
        };
        self.tables[place.table].assoc.hit(place.slot);
        probe.on(Event::TlbHit { tlb: self.id, access });
        Some((place, mapping))
    }

    #[inline]
    fn find(&self, addr: VirtAddr, visible: Visible) -> Option<(Place, Mapping<P>)> {
        self.tables.iter().enumerate().find_map(|(index, table)| {
            let slot = table.find(addr, visible)?;
            Some((Place { table: index, slot }, *table.assoc.value(slot)))
        })
    }

    /// Puts the largest part of the mapping that some table takes into it.
    fn fill(
        &mut self,
        mapping: Mapping<P>,
        addr: VirtAddr,
        visible: Visible,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Place> {
        let fitting =
            |table: &Table<P>| table.page_bits.iter().copied().rfind(|&bits| bits <= mapping.bits);
        let sizes =
            self.tables.iter().enumerate().filter_map(|(i, table)| Some((fitting(table)?, i)));
        let (bits, index) = sizes.max_by_key(|&(bits, index)| (bits, core::cmp::Reverse(index)))?;
        let slot = self.tables[index].fill(mapping.part(addr, bits), addr, visible, scopes);
        probe.on(Event::TlbFill { tlb: self.id, page: addr.align_down(bits.into()), bits });
        Some(Place { table: index, slot })
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "64 tables of 2^24 slots at most")]
    fn ticket(&self, place: Place, kind: AccessKind) -> Option<(u32, u32)> {
        let side = if kind == AccessKind::Fetch { 0 } else { DATA_SIDE };
        let version = self.tables.get(place.table)?.assoc.version(place.slot)?;
        Some((side | (place.table as u32) << SLOT_BITS | place.slot as u32, version))
    }
}

impl<P: Copy + Default> Table<P> {
    #[inline]
    fn find(&self, addr: VirtAddr, visible: Visible) -> Option<usize> {
        self.page_bits.iter().find_map(|&bits| {
            let is_page = |scope, mapping: &Mapping<P>| mapping.bits == bits && visible.sees(scope);
            self.assoc.find(addr.block(bits.into()), is_page)
        })
    }

    /// Fills a page in, over an older entry for the same page if there is one.
    fn fill(
        &mut self,
        page: Mapping<P>,
        addr: VirtAddr,
        visible: Visible,
        scopes: &Scopes,
    ) -> usize {
        let tag = addr.block(page.bits.into());
        let scope = if page.global { visible.global } else { visible.own };
        let older = |scope, held: &Mapping<P>| held.bits == page.bits && visible.sees(scope);
        match self.assoc.find(tag, older) {
            Some(slot) => {
                self.assoc.replace(slot, tag, scope, page);
                slot
            }
            None => self.assoc.insert(tag, scope, page, |scope| scopes.live(scope)),
        }
    }
}
