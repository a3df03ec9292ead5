//! Translation lookaside buffers: one user of the associative table.

use crate::{
    Assoc, Found, Scope, TlbLevel, TlbTable,
    format::Mapping,
    scope::{Scopes, Visible},
};
use alloc::vec::Vec;
use emmu_core::{Access, AccessKind, Event, Probe, Side, TlbId, VirtAddr, low_mask};

/// All levels of TLB, the one nearest to the CPU first.
#[derive(Clone, Debug)]
pub(crate) struct Tlbs<P> {
    levels: Vec<Level<P>>,
}

/// One level: a bank for fetches, if they have their own, and one for data or for both.
#[derive(Clone, Debug)]
struct Level<P> {
    instruction: Option<Bank<P>>,
    data: Bank<P>,
}

/// The tables that are one TLB.
#[derive(Clone, Debug)]
struct Bank<P> {
    id: TlbId,
    tables: Vec<Table<P>>,
}

#[derive(Clone, Debug)]
struct Table<P> {
    sizes: PageSizes,
    assoc: Assoc<Cached<P>>,
    /// Whether it has ever held a part of a leaf, for want of the leaf's own size.
    has_parts: bool,
}

/// A mapping as a walk found it, or a part of it that a TLB holds.
pub(crate) type Cached<P> = Mapping<Of<P>>;

/// Rights, and what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Of<P> {
    pub(crate) rights: P,
    /// Log2 of the size of the leaf that the mapping came from: the page that an invalidation means.
    pub(crate) leaf: u8,
}

/// A set of page sizes: bit n stands for 2^n bytes.
#[derive(Clone, Copy, Debug)]
struct PageSizes(u64);

impl PageSizes {
    fn new(page_bits: &[u8]) -> Self {
        Self(page_bits.iter().fold(0, |sizes, &bits| sizes | 1 << bits))
    }

    /// Log2 of each, the smallest first.
    #[inline]
    fn iter(self) -> impl Iterator<Item = u32> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let smallest = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (smallest < u64::BITS).then_some(smallest)
        })
    }

    /// Log2 of the largest of at most 2^`bits` bytes.
    #[inline]
    fn largest_within(self, bits: u8) -> Option<u8> {
        let largest = (self.0 & low_mask(u32::from(bits) + 1)).checked_ilog2()?;
        u8::try_from(largest).ok()
    }
}

/// What an access looks up, and with whose eyes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) access: Access,
    pub(crate) visible: Visible,
}

/// What the TLBs hold for an access, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit<P> {
    pub(crate) mapping: Cached<P>,
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

    /// Says that all of them serve this side.
    pub(crate) fn relabel(&mut self, side: Side) {
        for level in &mut self.levels {
            let banks = level.instruction.iter_mut().chain([&mut level.data]);
            banks.for_each(|bank| bank.id.side = side);
        }
    }

    /// What the first level holds.
    #[inline]
    pub(crate) fn lookup(
        &mut self,
        query: Query,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        self.levels.first_mut()?.bank(query.access.kind).lookup(query, probe)
    }

    /// Looks in the other levels until one has it, and puts that into those above.
    #[inline]
    pub(crate) fn lookup_below(
        &mut self,
        query: Query,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        for level in 1..self.levels.len() {
            if let Some(hit) = self.levels[level].bank(query.access.kind).lookup(query, probe) {
                return Some(self.fill_above(level, hit.mapping, false, query, scopes, probe));
            }
        }
        None
    }

    /// Puts the outcome of a walk into every level, over what they hold if they are `known` to hold something.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        found: Cached<P>,
        known: bool,
        query: Query,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        match self.levels.len() {
            0 => Hit { mapping: found, first: None },
            levels => self.fill_above(levels, found, known, query, scopes, probe),
        }
    }

    #[inline(never)]
    fn fill_above(
        &mut self,
        level: usize,
        held: Cached<P>,
        known: bool,
        query: Query,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        let mut first = None;
        for level in self.levels[..level].iter_mut().rev() {
            first = level.bank(query.access.kind).fill(held, known, query, scopes, probe);
        }
        Hit { mapping: held, first }
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

    /// Forgets the page that holds `addr`, of every size and with all its parts, for entries whose scope is
    /// concerned.
    pub(crate) fn remove_page(&mut self, addr: VirtAddr, concerns: impl Fn(Scope) -> bool) {
        for Table { sizes, assoc, has_parts } in self.tables_mut() {
            if *has_parts {
                assoc.retain(|tag, scope, held| {
                    !concerns(scope) || is_outside(held, tag, addr, addr)
                });
                continue;
            }
            for bits in sizes.iter() {
                assoc.remove(block_tag(addr, bits), |scope, _| concerns(scope));
            }
        }
    }

    /// Forgets every page that reaches into `first ..= last`, likewise.
    pub(crate) fn remove_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Scope) -> bool,
    ) {
        for table in self.tables_mut() {
            table
                .assoc
                .retain(|tag, scope, held| !concerns(scope) || is_outside(held, tag, first, last));
        }
    }

    fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table<P>> {
        self.levels
            .iter_mut()
            .flat_map(|level| level.instruction.iter_mut().chain([&mut level.data]))
            .flat_map(|bank| &mut bank.tables)
    }
}

/// Whether the leaf that a mapping of this tag came from has no byte in `first ..= last`.
fn is_outside<P>(mapping: &Cached<P>, tag: u64, first: VirtAddr, last: VirtAddr) -> bool {
    let leaf = mapping.permissions.leaf;
    let page = tag.wrapping_shr(u32::from(leaf - mapping.bits));
    page < block_tag(first, leaf.into()) || block_tag(last, leaf.into()) < page
}

/// The number of the 2^`bits`-byte block around `addr` under a leading one, by whose place blocks of different
/// sizes differ. `bits` is from 1 to 64.
#[inline]
pub(crate) const fn block_tag(addr: VirtAddr, bits: u32) -> u64 {
    (addr.raw() >> 1 | 1 << 63).wrapping_shr(bits.wrapping_sub(1))
}

impl<P: Copy + Default> Level<P> {
    fn new(level: u8, config: &TlbLevel) -> Self {
        let bank = |side, config| Bank::new(TlbId { level, side }, config);
        match config {
            TlbLevel::Split { instruction, data } => Self {
                instruction: Some(bank(Side::Instruction, instruction)),
                data: bank(Side::Data, data),
            },
            TlbLevel::Unified(both) => Self { instruction: None, data: bank(Side::Unified, both) },
        }
    }

    #[inline]
    fn bank(&mut self, kind: AccessKind) -> &mut Bank<P> {
        self.side(kind != AccessKind::Fetch)
    }

    #[inline]
    fn side(&mut self, is_data: bool) -> &mut Bank<P> {
        match &mut self.instruction {
            Some(instruction) if !is_data => instruction,
            _ => &mut self.data,
        }
    }
}

impl<P: Copy + Default> Bank<P> {
    fn new(id: TlbId, config: &[TlbTable]) -> Self {
        let table = |config: &TlbTable| Table {
            sizes: PageSizes::new(&config.page_bits),
            assoc: Assoc::new(config.geometry),
            has_parts: false,
        };
        Self { id, tables: config.iter().map(table).collect() }
    }

    #[inline(always)]
    fn lookup(&mut self, query: Query, probe: &mut (impl Probe + ?Sized)) -> Option<Hit<P>> {
        let access = query.access;
        for (index, table) in self.tables.iter_mut().enumerate() {
            if let Some(found) = table.find(query) {
                let Found { slot, version, value: &mapping } = found;
                table.assoc.hit(slot);
                probe.on(Event::TlbHit { tlb: self.id, access });
                return Some(Hit { mapping, first: ticket(access.kind, index, slot, version) });
            }
        }
        probe.on(Event::TlbMiss { tlb: self.id, access });
        None
    }

    /// Puts the largest part of the mapping that some table takes into it. If an older entry is `known` to be
    /// there, it takes that one's place, and no other answers for the address any more.
    #[inline]
    fn fill(
        &mut self,
        found: Cached<P>,
        known: bool,
        query: Query,
        scopes: &Scopes,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<(u32, u32)> {
        let Query { access, visible } = query;
        let (index, size) = self.taking(found.bits)?;
        let bits = u32::from(size);
        let tag = block_tag(access.addr, bits);
        let held = found.part(access.addr, size);
        let scope = if held.global { visible.global } else { visible.own };
        let place = known.then(|| self.replaceable(query, index, tag)).flatten();
        let Table { assoc, has_parts, .. } = self.tables.get_mut(index)?;
        *has_parts |= size != found.permissions.leaf;
        let slot = match place {
            Some(slot) => {
                assoc.update(slot, scope, held);
                slot
            }
            None => {
                let page = access.addr.align_down(bits);
                probe.on(Event::TlbFill { tlb: self.id, page, bits: size });
                assoc.insert(tag, scope, held, scopes)
            }
        };
        ticket(access.kind, index, slot, assoc.version(slot)?)
    }

    /// Removes all that is held for the access, and says where the table of this index held an entry of this
    /// tag: whoever updates that slot revives it with its age.
    #[inline(never)]
    fn replaceable(&mut self, query: Query, index: usize, tag: u64) -> Option<usize> {
        let sees = |scope, _: &Cached<P>| query.visible.sees(scope);
        let place = self.tables.get(index)?.assoc.find(tag, sees).map(|found| found.slot);
        for Table { sizes, assoc, .. } in &mut self.tables {
            for bits in sizes.iter() {
                assoc.remove(block_tag(query.access.addr, bits), sees);
            }
        }
        place
    }

    /// The first of the tables that take the largest part of a block of 2^`bits` bytes, and the part's size.
    #[inline]
    fn taking(&self, bits: u8) -> Option<(usize, u8)> {
        let mut best = None;
        for (index, table) in self.tables.iter().enumerate() {
            let fitting = table.sizes.largest_within(bits);
            if fitting > best.map(|(_, bits)| bits) {
                best = fitting.map(|bits| (index, bits));
            }
        }
        best
    }
}

impl<P: Copy + Default> Table<P> {
    #[inline]
    fn find(&self, query: Query) -> Option<Found<'_, Cached<P>>> {
        let Query { access, visible } = query;
        self.sizes.iter().find_map(|bits| {
            self.assoc.find(block_tag(access.addr, bits), |scope, _| visible.sees(scope))
        })
    }
}

/// The number and version of a slot, by which to repeat a hit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "64 tables of 2^24 slots at most")]
fn ticket(kind: AccessKind, table: usize, slot: usize, version: u32) -> Option<(u32, u32)> {
    let side = if kind == AccessKind::Fetch { 0 } else { DATA_SIDE };
    Some((side | (table as u32) << SLOT_BITS | slot as u32, version))
}
