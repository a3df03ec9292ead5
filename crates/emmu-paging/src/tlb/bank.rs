//! The tables of one side of one level of TLB.

use super::{Cached, Hit, Query, block_tag};
use crate::{Assoc, AssocHit, Evicted, Owner, TlbTable, owner::Owners};
use alloc::vec::Vec;
use emmu_core::{Access, AccessKind, Event, Probe, TlbId, VirtAddr, low_mask};

/// The tables that are one TLB.
#[derive(Clone, Debug)]
pub(super) struct Bank<P> {
    pub(super) id: TlbId,
    pub(super) tables: Vec<BankTable<P>>,
}

#[derive(Clone, Debug)]
pub(super) struct BankTable<P> {
    sizes: PageSizes,
    assoc: Assoc<Cached<P>>,
    /// True if the table has ever held a part of a leaf, because it does not hold the leaf's own size.
    has_parts: bool,
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

    fn contains(self, bits: u32) -> bool {
        self.0 >> bits & 1 == 1
    }

    /// Log2 of the largest of at most 2^`bits` bytes.
    #[inline]
    fn largest_within(self, bits: u8) -> Option<u8> {
        let largest = (self.0 & low_mask(u32::from(bits) + 1)).checked_ilog2()?;
        u8::try_from(largest).ok()
    }
}

/// The addresses that an entry is for, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    tag: u64,
    bits: u32,
    owner: Owner,
}

impl Block {
    pub(super) fn of<P>(entry: &Evicted<Cached<P>>) -> Self {
        Self { tag: entry.tag, bits: entry.value.bits.into(), owner: entry.owner }
    }

    /// The block of 2^`bits` bytes, which are no fewer than its own, that it is a part of.
    fn around(self, bits: u32) -> Self {
        Self { tag: self.tag.wrapping_shr(bits.wrapping_sub(self.bits)), bits, ..self }
    }

    /// Returns true if the other block is a part of this one.
    fn has(self, other: Self) -> bool {
        other.bits <= self.bits && other.around(self.bits) == self
    }

    fn is_in<P: Copy + Default>(self, assoc: &Assoc<Cached<P>>) -> bool {
        assoc.lookup(self.tag, |owner, _| owner == self.owner).is_some()
    }

    /// Its first address: the tag's leading one falls out.
    fn first(self) -> VirtAddr {
        VirtAddr::new(self.tag.wrapping_shl(self.bits))
    }
}

/// Bits of a ticket's slot number that are the slot in a table; above them are the table, and the side.
const SLOT_BITS: u32 = 24;
pub(super) const DATA_SIDE: u32 = 1 << 31;

impl<P: Copy + Default> Bank<P> {
    pub(super) fn new(id: TlbId, config: &[TlbTable]) -> Self {
        let table = |config: &TlbTable| BankTable {
            sizes: PageSizes::new(&config.page_bits),
            assoc: Assoc::new(config.geometry),
            has_parts: false,
        };
        Self { id, tables: config.iter().map(table).collect() }
    }

    #[inline(always)]
    pub(super) fn lookup(
        &mut self,
        query: Query,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Hit<P>> {
        let access = query.access;
        for (index, table) in self.tables.iter_mut().enumerate() {
            if let Some(found) = table.lookup(query) {
                let AssocHit { slot, version, value: &mapping } = found;
                table.assoc.hit(slot);
                probe.on(Event::TlbHit { tlb: self.id, access });
                return Some(Hit { mapping, first: ticket(access.kind, index, slot, version) });
            }
        }
        probe.on(Event::TlbMiss { tlb: self.id, access });
        None
    }

    /// Repeats a hit, if the slot still holds what it held.
    #[inline]
    pub(super) fn repeat(
        &mut self,
        slot: u32,
        version: u32,
        access: Access,
        probe: &mut (impl Probe + ?Sized),
    ) -> bool {
        let (table, slot) = place(slot);
        let Some(table) = self.tables.get_mut(table) else { return false };
        if table.assoc.version(slot) != Some(version) {
            return false;
        }
        table.assoc.hit(slot);
        probe.on(Event::TlbHit { tlb: self.id, access });
        true
    }

    /// Puts the largest part of the mapping that some table takes into it. If an older entry is `known` to be
    /// there, it takes that one's place, and no other answers for the address any more; or else `insert` makes room.
    #[inline]
    pub(super) fn fill(
        &mut self,
        found: Cached<P>,
        known: bool,
        query: Query,
        probe: &mut (impl Probe + ?Sized),
        insert: impl FnOnce(&mut Assoc<Cached<P>>, u64, Owner, Cached<P>) -> usize,
    ) -> Option<(u32, u32)> {
        let Query { access, visible } = query;
        let taking = self.taking(found.bits);
        let place = known.then(|| self.replaceable(query, taking)).flatten();
        let (index, size) = taking?;
        let bits = u32::from(size);
        let tag = block_tag(access.addr, bits);
        let held = found.part(access.addr, size);
        let owner = if held.global { visible.global } else { visible.own };
        let BankTable { assoc, has_parts, .. } = self.tables.get_mut(index)?;
        *has_parts |= size != found.permissions.leaf;
        let slot = match place {
            Some(slot) => {
                assoc.update(slot, owner, held);
                slot
            }
            None => {
                let page = access.addr.align_down(bits);
                probe.on(Event::TlbFill { tlb: self.id, page, bits: size });
                insert(assoc, tag, owner, held)
            }
        };
        ticket(access.kind, index, slot, assoc.version(slot)?)
    }

    /// Invalidates all that is held for the access, and says where the table that is `taking` it held a block of that
    /// size: whoever updates that slot revives it with its age.
    #[inline(never)]
    fn replaceable(&mut self, query: Query, taking: Option<(usize, u8)>) -> Option<usize> {
        let sees = |owner, _: &Cached<P>| query.visible.sees(owner);
        let place = taking.and_then(|(index, size)| {
            let tag = block_tag(query.access.addr, size.into());
            Some(self.tables.get(index)?.assoc.lookup(tag, sees)?.slot)
        });
        for BankTable { sizes, assoc, .. } in &mut self.tables {
            for bits in sizes.iter() {
                assoc.invalidate(block_tag(query.access.addr, bits), sees);
            }
        }
        place
    }

    /// Log2 of the size of the part that it takes of a block of 2^`bits` bytes, if it takes any.
    pub(super) fn size_of(&self, bits: u8) -> Option<u8> {
        Some(self.taking(bits)?.1)
    }

    /// Invalidates the entry that a lookup finds.
    pub(super) fn invalidate_hit(&mut self, query: Query) {
        let found = self.tables.iter_mut().find_map(|table| {
            let slot = table.lookup(query)?.slot;
            Some((table, slot))
        });
        if let Some((table, slot)) = found {
            table.assoc.invalidate_slot(slot);
        }
    }

    /// All that answers for the access.
    pub(super) fn held_for(&self, query: Query) -> Vec<Block> {
        let mut held = Vec::new();
        for BankTable { sizes, assoc, .. } in &self.tables {
            for bits in sizes.iter() {
                let tag = block_tag(query.access.addr, bits);
                let owners = [query.visible.own, query.visible.global];
                let blocks = owners.map(|owner| Block { tag, bits, owner });
                held.extend(blocks.into_iter().filter(|block| block.is_in(assoc)));
            }
        }
        held
    }

    /// Returns true if it holds exactly this block.
    pub(super) fn holds(&self, block: Block) -> bool {
        self.tables.iter().any(|table| block.is_in(&table.assoc))
    }

    /// Invalidates just this block.
    pub(super) fn invalidate(&mut self, block: Block) {
        for table in &mut self.tables {
            table.assoc.invalidate(block.tag, |owner, _| owner == block.owner);
        }
    }

    /// Invalidates this block, and all parts of it.
    pub(super) fn invalidate_within(&mut self, block: Block) {
        for BankTable { assoc, has_parts, .. } in &mut self.tables {
            if *has_parts {
                assoc.retain(|tag, owner, held| {
                    !block.has(Block { tag, bits: held.bits.into(), owner })
                });
            } else {
                assoc.invalidate(block.tag, |owner, _| owner == block.owner);
            }
        }
    }

    /// Takes in what the level above has evicted, and says what had to go for it. What is held here already, whole
    /// or as a part of something larger, and what is of no size that is held here, is lost; but an entry that is held
    /// clean becomes dirty with the one that comes, as the other side of the level above may have evicted it before
    /// this one's store.
    pub(super) fn take_in(
        &mut self,
        victim: Evicted<Cached<P>>,
        owners: &Owners,
        probe: &mut (impl Probe + ?Sized),
    ) -> Option<Evicted<Cached<P>>> {
        let block @ Block { tag, bits, owner } = Block::of(&victim);
        if self.has_around(block) {
            self.update_clean(block, victim.value);
            return None;
        }
        let size = victim.value.bits;
        let table = self.tables.iter_mut().find(|table| table.sizes.contains(bits))?;
        table.has_parts |= size != victim.value.permissions.leaf;
        probe.on(Event::TlbFill { tlb: self.id, page: block.first(), bits: size });
        table.assoc.fill_evicting(tag, owner, victim.value, owners).1
    }

    /// Puts a dirty entry of just this block in the place of a clean one.
    fn update_clean(&mut self, block: Block, newer: Cached<P>) {
        for BankTable { assoc, .. } in self.tables.iter_mut().filter(|_| newer.dirty) {
            let is_clean = |owner, held: &Cached<P>| owner == block.owner && !held.dirty;
            if let Some(slot) = assoc.lookup(block.tag, is_clean).map(|found| found.slot) {
                assoc.update(slot, block.owner, newer);
            }
        }
    }

    /// Returns true if it holds this block, or a block of which this one is a part.
    fn has_around(&self, block: Block) -> bool {
        let around = |table: &BankTable<P>| {
            let larger = table.sizes.iter().filter(|&bits| bits >= block.bits);
            larger.map(|bits| block.around(bits)).any(|around| around.is_in(&table.assoc))
        };
        self.tables.iter().any(around)
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

#[cfg(feature = "serde")]
impl<P> BankTable<P> {
    pub(super) const fn content(&self) -> (&Assoc<Cached<P>>, bool) {
        (&self.assoc, self.has_parts)
    }

    pub(super) fn restore(&mut self, assoc: Assoc<Cached<P>>, has_parts: bool) {
        (self.assoc, self.has_parts) = (assoc, has_parts);
    }
}

impl<P: Copy + Default> BankTable<P> {
    #[inline]
    fn lookup(&self, query: Query) -> Option<AssocHit<'_, Cached<P>>> {
        let Query { access, visible } = query;
        self.sizes.iter().find_map(|bits| {
            self.assoc.lookup(block_tag(access.addr, bits), |owner, _| visible.sees(owner))
        })
    }

    /// Invalidates the page that holds `addr`, of every size and with all its parts.
    pub(super) fn invalidate_page(&mut self, addr: VirtAddr, concerns: impl Fn(Owner) -> bool) {
        if self.has_parts {
            return self.invalidate_range(addr, addr, concerns);
        }
        for bits in self.sizes.iter() {
            self.assoc.invalidate(block_tag(addr, bits), |owner, _| concerns(owner));
        }
    }

    /// Invalidates every page that reaches into `first ..= last`.
    pub(super) fn invalidate_range(
        &mut self,
        first: VirtAddr,
        last: VirtAddr,
        concerns: impl Fn(Owner) -> bool,
    ) {
        self.assoc
            .retain(|tag, owner, held| !concerns(owner) || is_outside(held, tag, first, last));
    }
}

/// The table and the slot in it that a ticket's number means.
#[inline]
fn place(number: u32) -> (usize, usize) {
    let table = (number & !DATA_SIDE) >> SLOT_BITS;
    (table as usize, (number & ((1 << SLOT_BITS) - 1)) as usize)
}

/// The number and version of a slot, by which to repeat a hit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "64 tables of 2^24 slots at most")]
fn ticket(kind: AccessKind, table: usize, slot: usize, version: u32) -> Option<(u32, u32)> {
    let side = if kind == AccessKind::Fetch { 0 } else { DATA_SIDE };
    Some((side | (table as u32) << SLOT_BITS | slot as u32, version))
}

/// Returns true if the leaf from which a mapping of this tag came has no byte in `first ..= last`.
fn is_outside<P>(mapping: &Cached<P>, tag: u64, first: VirtAddr, last: VirtAddr) -> bool {
    let leaf = mapping.permissions.leaf;
    let page = tag.wrapping_shr(u32::from(leaf - mapping.bits));
    page < block_tag(first, leaf.into()) || block_tag(last, leaf.into()) < page
}
