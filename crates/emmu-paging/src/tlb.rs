//! Translation lookaside buffers: one user of the associative table.

mod bank;
mod inclusion;

#[cfg(feature = "serde")]
use crate::Assoc;
use crate::{
    Banks, Inclusion, Owner, TlbLevel,
    format::Mapping,
    owner::{Owners, Visible},
};
use alloc::vec::Vec;
use bank::{Bank, BankTable, DATA_SIDE};
use emmu_core::{Access, AccessKind, Probe, Side, TlbId, VirtAddr};

/// All levels of TLB, the one nearest to the CPU first.
#[derive(Clone, Debug)]
pub(crate) struct Tlbs<P> {
    levels: Vec<Level<P>>,
    /// True if some level includes or excludes the levels above it.
    are_bound: bool,
}

/// One level: a bank for fetches, if they have their own, and one for data or for both.
#[derive(Clone, Debug)]
struct Level<P> {
    instruction: Option<Bank<P>>,
    data: Bank<P>,
    inclusion: Inclusion,
}

/// A mapping as a walk found it, or a part of it that a TLB holds.
pub(crate) type Cached<P> = Mapping<Of<P>>;

/// Rights, with the size of the leaf that gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Of<P> {
    pub(crate) rights: P,
    /// Log2 of the size of the leaf from which the mapping came. An invalidation of a page means this leaf.
    pub(crate) leaf: u8,
}

/// A lookup: the access, and the owners that it can see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) access: Access,
    pub(crate) visible: Visible,
}

/// The result of a lookup: the mapping, and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit<P> {
    pub(crate) mapping: Cached<P>,
    /// The slot in the first level and its version, if the first level holds it.
    pub(crate) first: Option<(u32, u32)>,
}

impl<P: Copy + Default> Tlbs<P> {
    pub(crate) fn new(levels: &[TlbLevel]) -> Self {
        let are_bound = levels.iter().any(|level| level.inclusion != Inclusion::NonInclusive);
        let levels = (1..).zip(levels).map(|(level, config)| Level::new(level, config)).collect();
        Self { levels, are_bound }
    }

    /// Sets the side of all TLBs.
    pub(crate) fn relabel(&mut self, side: Side) {
        for level in &mut self.levels {
            level.banks_mut().for_each(|bank| bank.id.side = side);
        }
    }

    /// Looks up the first level.
    #[inline]
    pub(crate) fn lookup(
        &mut self,
        query: Query,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        self.levels.first_mut()?.bank(query.access.kind).lookup(query, probe)
    }

    /// Looks up the other levels, one after the other, and fills the levels above the first one that hits.
    #[inline]
    pub(crate) fn lookup_below(
        &mut self,
        query: Query,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        for level in 1..self.levels.len() {
            if let Some(hit) = self.levels[level].bank(query.access.kind).lookup(query, probe) {
                return Some(self.fill_above(level, hit.mapping, false, query, owners, probe));
            }
        }
        None
    }

    /// Enters the result of a walk into every level. It replaces the entries that the levels hold, if they are
    /// `known` to hold some.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        found: Cached<P>,
        known: bool,
        query: Query,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        match self.levels.len() {
            0 => Hit { mapping: found, first: None },
            levels if self.are_bound => self.fill_bound(levels, found, known, query, owners, probe),
            levels => self.fill_above(levels, found, known, query, owners, probe),
        }
    }

    /// Fills the levels above the one that hit, or all levels.
    #[inline(never)]
    fn fill_above(
        &mut self,
        level: usize,
        held: Cached<P>,
        known: bool,
        query: Query,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) -> Hit<P> {
        if self.are_bound {
            return self.fill_bound(level, held, known, query, owners, probe);
        }
        let mut first = None;
        for level in self.levels[..level].iter_mut().rev() {
            let bank = level.bank(query.access.kind);
            first = bank.fill(held, known, query, probe, |assoc, tag, owner, held| {
                assoc.fill(tag, owner, held, owners)
            });
        }
        Hit { mapping: held, first }
    }

    /// Repeats a hit of the first level, if the content of the slot has not changed.
    #[inline]
    pub(crate) fn repeat(
        &mut self,
        slot: u32,
        version: u32,
        access: Access,
        probe: &mut (impl Probe + ?Sized),
    ) -> bool {
        let Some(level) = self.levels.first_mut() else { return false };
        level.side(slot & DATA_SIDE != 0).repeat(slot, version, access, probe)
    }

    /// Invalidates the page that holds `addr`, of every size and with all its parts, for entries whose owner is
    /// concerned.
    pub(crate) fn invalidate_page(&mut self, addr: VirtAddr, concerns: impl Fn(Owner) -> bool) {
        self.tables_mut().for_each(|table| table.invalidate_page(addr, &concerns));
    }

    /// Invalidates every page that reaches into `first ..= last`, likewise.
    pub(crate) fn invalidate_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Owner) -> bool,
    ) {
        self.tables_mut().for_each(|table| table.invalidate_range(first, last, &concerns));
    }

    /// Returns all tables, in the order of the configuration, each with true if it has ever held parts of
    /// leaves.
    #[cfg(feature = "serde")]
    pub(crate) fn assocs(&self) -> impl Iterator<Item = (&Assoc<Cached<P>>, bool)> {
        self.levels
            .iter()
            .flat_map(|level| level.instruction.iter().chain([&level.data]))
            .flat_map(|bank| bank.tables.iter().map(BankTable::content))
    }

    /// Replaces the content of its tables by these, which have the same shapes and the same order.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, contents: Vec<(Assoc<Cached<P>>, bool)>) {
        for (table, (assoc, has_parts)) in self.tables_mut().zip(contents) {
            table.restore(assoc, has_parts);
        }
    }

    fn tables_mut(&mut self) -> impl Iterator<Item = &mut BankTable<P>> {
        self.levels.iter_mut().flat_map(Level::banks_mut).flat_map(|bank| &mut bank.tables)
    }
}

/// Returns the number of the 2^`bits`-byte block around `addr` with a leading one, so that blocks of different
/// sizes have different tags. `bits` is from 1 to 64.
#[inline]
pub(crate) const fn block_tag(addr: VirtAddr, bits: u32) -> u64 {
    (addr.raw() >> 1 | 1 << 63).wrapping_shr(bits.wrapping_sub(1))
}

impl<P: Copy + Default> Level<P> {
    fn new(level: u8, config: &TlbLevel) -> Self {
        let bank = |side, config| Bank::new(TlbId { level, side }, config);
        let (instruction, data) = match &config.banks {
            Banks::Split { instruction, data } => {
                (Some(bank(Side::Instruction, instruction)), bank(Side::Data, data))
            }
            Banks::Unified(both) => (None, bank(Side::Unified, both)),
        };
        Self { instruction, data, inclusion: config.inclusion }
    }

    fn banks_mut(&mut self) -> impl Iterator<Item = &mut Bank<P>> {
        self.instruction.iter_mut().chain([&mut self.data])
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
