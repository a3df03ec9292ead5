//! The buddy system (Knowlton 1965; Knuth, vol. 1, 2.5): blocks of powers of two. The address of a block and
//! that of its buddy differ in one bit.

use crate::chain::{Area, Chain, NODE, Step};
use crate::error::expect;
use crate::sealed::{ADDRESS_LIMIT, WORD, Word};
use crate::{
    Block, ConfigError, Corruption, Extent, Field, Heap, HeapError, InvalidFree, Request, Stats,
};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr, Width};

/// A buddy allocator. The block of order n has 2^n units. The address of its buddy is its own address
/// exclusive-or its size.
///
/// A request gets the lowest block of the smallest order that has one. The block is split in halves, of which
/// the lower is kept, until it is no larger than needed. A freed block is merged with its buddy for as long as
/// the buddy is free. The region need not be a power of two, nor start at one: it starts as the largest blocks
/// that tile it.
///
/// A free block holds its size and the next block of its order, in order of address. The manager's own bytes
/// are elsewhere ([`Buddy::control_bytes`] of them): a head pointer of 8 bytes for each order, and then a byte
/// for each unit,
///
/// | byte | means |
/// |---|---|
/// | 0 | no block starts here |
/// | 0x40 + n | an allocated block of order n starts here |
/// | 0x80 + n | a free block of order n starts here |
///
/// so that blocks need no header, and the size is not needed to free a block.
#[derive(Clone, Debug)]
pub struct Buddy {
    control: PhysAddr,
    region: Extent,
    config: BuddyConfig,
    stats: Stats,
}

/// The block sizes of a [`Buddy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BuddyConfig {
    /// The number of bytes of a block of order 0, a power of two.
    pub unit: u64,
    /// The largest order.
    pub max_order: u8,
}

impl Default for BuddyConfig {
    /// Returns pages of 4 KiB, and blocks up to 8 MiB.
    fn default() -> Self {
        Self { unit: 4096, max_order: 11 }
    }
}

/// The state of a unit where a block starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Allocated(u8),
    Free(u8),
}

/// The bit in the state of free blocks.
const FREE: u8 = 0x80;
/// The bit in the state of allocated blocks.
const ALLOCATED: u8 = 0x40;
/// The largest order of all: a size has 48 bits, and a unit at least 4 of them.
const LAST_ORDER: u8 = 43;

impl State {
    /// Returns the meaning of a byte, or `None` if no block starts there.
    fn decode(byte: u8) -> Option<Self> {
        let order = byte & 0x3f;
        match byte & 0xc0 {
            FREE => Some(Self::Free(order)),
            ALLOCATED => Some(Self::Allocated(order)),
            _ => None,
        }
    }

    fn encode(state: Option<Self>) -> u8 {
        match state {
            None => 0,
            Some(Self::Allocated(order)) => ALLOCATED | order,
            Some(Self::Free(order)) => FREE | order,
        }
    }
}

impl Buddy {
    /// Returns the number of the manager's own bytes for a region of `size` bytes.
    #[must_use]
    pub fn control_bytes(config: BuddyConfig, size: u64) -> u64 {
        let units = size.checked_div(config.unit).unwrap_or(0);
        (u64::from(config.max_order) + 1).saturating_mul(WORD).saturating_add(units)
    }

    /// Makes all of `region` free.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such blocks, or if the bus refuses.
    pub fn create<B: Bus + ?Sized>(
        bus: &mut B,
        control: PhysAddr,
        region: Extent,
        config: BuddyConfig,
    ) -> Result<Self, ConfigError> {
        let buddy = Self::open(control, region, config)?;
        for order in 0..=config.max_order {
            buddy.head(order).write_pointer(bus, None)?;
        }
        for unit in 0..region.size / config.unit {
            let state = buddy.state_at(region.addr.wrapping_add(unit * config.unit));
            bus.write(state, Width::B1, 0).map_err(HeapError::from)?;
        }
        let mut at = region.addr;
        while at < region.end() {
            let order = buddy.largest_order(at);
            buddy.put(bus, at, order)?;
            at = at.wrapping_add(buddy.size(order));
        }
        Ok(buddy)
    }

    /// Opens an allocator that memory already holds.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such blocks.
    pub fn open(
        control: PhysAddr,
        region: Extent,
        config: BuddyConfig,
    ) -> Result<Self, ConfigError> {
        let BuddyConfig { unit, max_order } = config;
        let fine = unit.is_power_of_two() && unit >= NODE;
        expect("unit", unit, fine, "a power of two from 16 on")?;
        let fine = max_order <= LAST_ORDER && unit.ilog2() + u32::from(max_order) < 48;
        expect("max_order", max_order.into(), fine, "an order of blocks of less than 2^48 bytes")?;
        let fine = region.addr.raw().is_multiple_of(unit);
        expect("start", region.addr.raw(), fine, "a multiple of the unit")?;
        let end = region.addr.checked_add(region.size);
        let fine =
            region.size.is_multiple_of(unit) && end.is_some_and(|end| end.raw() <= ADDRESS_LIMIT);
        expect("size", region.size, fine, "a multiple of the unit that ends within 2^48")?;
        let own = Extent::new(control, Self::control_bytes(config, region.size));
        match own.overlaps(region) {
            true => Err(ConfigError::ControlInHeap { control }),
            false => Ok(Self { control, region, config, stats: Stats::default() }),
        }
    }

    /// Returns the order of a block that holds this number of bytes, or `None` if no block is so large.
    #[must_use]
    pub fn order_for(&self, size: u64) -> Option<u8> {
        let units = size.div_ceil(self.config.unit).max(1).checked_next_power_of_two()?;
        let order = u8::try_from(units.ilog2()).ok()?;
        (order <= self.config.max_order).then_some(order)
    }

    /// Returns the number of bytes of a block of this order.
    fn size(&self, order: u8) -> u64 {
        self.config.unit << order
    }

    /// Returns the largest order of a block that can start at `at`.
    fn largest_order(&self, at: PhysAddr) -> u8 {
        let fits = |order: &u8| self.admits(at, *order);
        (0..=self.config.max_order).rev().find(fits).unwrap_or(0)
    }

    /// Returns true if a block of this order can be at `at`.
    fn admits(&self, at: PhysAddr, order: u8) -> bool {
        order <= self.config.max_order
            && at >= self.region.addr
            && at.raw().is_multiple_of(self.size(order))
            && at.checked_add(self.size(order)).is_some_and(|end| end <= self.region.end())
    }

    fn head(&self, order: u8) -> Word {
        Word::new(self.control, u64::from(order) * WORD, Field::Head)
    }

    /// Returns the list of the free blocks of an order.
    fn list(&self, order: u8) -> Chain {
        let area =
            Area { extent: self.region, granule: self.config.unit, min_block: self.size(order) };
        Chain { head: self.head(order), area, ascending: true }
    }

    /// Returns the address of the state of the unit at `addr`.
    fn state_at(&self, addr: PhysAddr) -> PhysAddr {
        let states = (u64::from(self.config.max_order) + 1) * WORD;
        let unit = (addr.raw() - self.region.addr.raw()) / self.config.unit;
        self.control.wrapping_add(states + unit)
    }

    /// Returns the state of the block that starts at `addr`, if one does.
    fn state<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
    ) -> Result<Option<State>, HeapError> {
        let at = self.state_at(addr);
        let byte = bus.read(at, Width::B1)?;
        let wrong = HeapError::Corrupt {
            at,
            field: Field::State,
            problem: Corruption::Value { found: byte },
        };
        match u8::try_from(byte).ok().map(|byte| (byte, State::decode(byte))) {
            Some((0, None)) => Ok(None),
            Some((_, Some(state @ (State::Allocated(order) | State::Free(order)))))
                if self.admits(addr, order) =>
            {
                Ok(Some(state))
            }
            _ => Err(wrong),
        }
    }

    fn set_state<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        state: Option<State>,
    ) -> Result<(), HeapError> {
        Ok(bus.write(self.state_at(addr), Width::B1, State::encode(state).into())?)
    }

    /// Checks that a block on the list of an order has that order.
    fn is_of_order<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        step: &Step,
        order: u8,
    ) -> Result<(), HeapError> {
        let block = step.block;
        let right = block.size == self.size(order)
            && self.state(bus, block.addr)? == Some(State::Free(order));
        if right {
            return Ok(());
        }
        Err(step.link.corrupt(Corruption::Unlisted { block: block.addr }))
    }

    /// Puts a free block on its list.
    fn put<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        order: u8,
    ) -> Result<(), HeapError> {
        self.set_state(bus, addr, Some(State::Free(order)))?;
        let block = Extent::new(addr, self.size(order));
        self.list(order).insert_before(bus, block, |other| other.addr > addr)
    }

    /// Returns the lowest block of the smallest order from `least` on that has one, and the number of orders
    /// searched.
    fn find<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        least: u8,
    ) -> Result<(Option<(Step, u8)>, u64), HeapError> {
        let mut searched = 0;
        for order in least..=self.config.max_order {
            searched += 1;
            if let Some(step) = self.list(order).cursor().next(bus)? {
                self.is_of_order(bus, &step, order)?;
                return Ok((Some((step, order)), searched));
            }
        }
        Ok((None, searched))
    }

    fn take<B: Bus + ?Sized>(&self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        request.validate()?;
        let size = request.size.max(request.align);
        let none = |searched| HeapError::OutOfMemory { need: size, searched };
        let order = self.order_for(size).ok_or(none(0))?;
        let (found, searched) = self.find(bus, order)?;
        let (step, from) = found.ok_or(none(searched))?;
        let addr = step.block.addr;
        self.list(from).replace(bus, &step, &[])?;
        // The upper halves become free blocks of the orders between.
        for half in (order..from).rev() {
            self.put(bus, addr.wrapping_add(self.size(half)), half)?;
        }
        self.set_state(bus, addr, Some(State::Allocated(order)))?;
        Ok(Block { addr, extent: Extent::new(addr, self.size(order)), searched })
    }

    /// Returns the order of the allocated block that starts at `addr`.
    fn allocated<B: Bus + ?Sized>(&self, bus: &mut B, addr: PhysAddr) -> Result<u8, HeapError> {
        let invalid = |why| HeapError::InvalidFree { addr, why };
        if !self.region.contains(addr) {
            return Err(invalid(InvalidFree::Outside));
        }
        if !addr.raw().is_multiple_of(self.config.unit) {
            return Err(invalid(InvalidFree::Misaligned));
        }
        match self.state(bus, addr)? {
            Some(State::Allocated(order)) => self.is_whole(bus, addr, order).map(|()| order),
            Some(State::Free(_)) => Err(HeapError::DoubleFree { addr }),
            None if self.is_within_free(bus, addr)? => Err(HeapError::DoubleFree { addr }),
            None => Err(invalid(InvalidFree::Interior)),
        }
    }

    /// Returns true if the unit at `addr` lies in a free block and is not its first unit.
    fn is_within_free<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
    ) -> Result<bool, HeapError> {
        for order in 1..=self.config.max_order {
            let start = addr.align_down(self.size(order).ilog2());
            if !self.region.contains(start) {
                return Ok(false);
            }
            match self.state(bus, start)? {
                Some(State::Free(found)) if found >= order => return Ok(true),
                Some(State::Allocated(found)) if found >= order => return Ok(false),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Frees the block, and merges it with its buddies.
    fn merge<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        mut addr: PhysAddr,
        mut order: u8,
    ) -> Result<(), HeapError> {
        while let Some(buddy) = self.free_buddy(bus, addr, order)? {
            self.list(order).replace(bus, &buddy, &[])?;
            self.set_state(bus, buddy.block.addr, None)?;
            self.set_state(bus, addr, None)?;
            (addr, order) = (addr.min(buddy.block.addr), order + 1);
        }
        self.put(bus, addr, order)
    }

    /// Returns the buddy, if it is a free block of the same order. Its state and the list must agree.
    fn free_buddy<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        order: u8,
    ) -> Result<Option<Step>, HeapError> {
        let block = PhysAddr::new(addr.raw() ^ self.size(order));
        if order == self.config.max_order || !self.admits(block, order) {
            return Ok(None);
        }
        let is_free = self.state(bus, block)? == Some(State::Free(order));
        match self.listed(bus, block, order)? {
            Some(step) => self.is_of_order(bus, &step, order).map(|()| Some(step)),
            None if is_free => Err(self.head(order).corrupt(Corruption::Unlisted { block })),
            None => Ok(None),
        }
    }

    /// Returns a block of an order's list.
    fn listed<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        block: PhysAddr,
        order: u8,
    ) -> Result<Option<Step>, HeapError> {
        let mut cursor = self.list(order).cursor();
        while let Some(step) = cursor.next(bus)? {
            if step.block.addr >= block {
                return Ok(Some(step).filter(|step| step.block.addr == block));
            }
        }
        Ok(None)
    }

    /// Checks that the states agree with a block of this order at `addr`: no block starts where its halves,
    /// quarters and so on end, and a block starts where it ends.
    fn is_whole<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        addr: PhysAddr,
        order: u8,
    ) -> Result<(), HeapError> {
        for part in 0..=order {
            let at = addr.wrapping_add(self.size(part));
            if at < self.region.end() && self.state(bus, at)?.is_some() != (part == order) {
                let word = Word { at: self.state_at(addr), field: Field::State };
                return Err(word.corrupt(Corruption::Order { block: at }));
            }
        }
        Ok(())
    }

    /// Returns the free blocks by their states: blocks tile the region, and only the first unit of a block has
    /// a state.
    fn free_by_states<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let (mut free, mut end) = (Vec::new(), self.region.addr);
        for unit in 0..self.region.size / self.config.unit {
            let addr = self.region.addr.wrapping_add(unit * self.config.unit);
            let state = self.state(bus, addr)?;
            if state.is_some() != (addr == end) {
                let word = Word { at: self.state_at(addr), field: Field::State };
                return Err(word.corrupt(Corruption::Order { block: addr }));
            }
            if let Some(State::Allocated(order) | State::Free(order)) = state {
                end = addr.wrapping_add(self.size(order));
            }
            if let Some(State::Free(order)) = state {
                free.push(Extent::new(addr, self.size(order)));
            }
        }
        Ok(free)
    }
}

impl<B: Bus + ?Sized> Heap<B> for Buddy {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let answer = self.take(bus, request);
        self.stats.count(&answer);
        answer
    }

    /// Frees a block. The size is not needed, but a size that is larger than the block is refused.
    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let order = self.allocated(bus, addr)?;
        if size.is_some_and(|size| size > self.size(order)) {
            return Err(HeapError::InvalidFree { addr, why: InvalidFree::Extent });
        }
        self.merge(bus, addr, order)?;
        self.stats.frees += 1;
        Ok(Extent::new(addr, self.size(order)))
    }

    /// Returns the free blocks by rising orders, and by rising addresses within an order.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let mut blocks = Vec::new();
        for order in 0..=self.config.max_order {
            let mut cursor = self.list(order).cursor();
            while let Some(step) = cursor.next(bus)? {
                self.is_of_order(bus, &step, order)?;
                blocks.push(step.block);
            }
        }
        Ok(blocks)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        let mut listed = self.free_blocks(bus)?;
        listed.sort();
        let free = self.free_by_states(bus)?;
        match free.iter().find(|block| listed.binary_search(block).is_err()) {
            Some(block) => Err(self.head(0).corrupt(Corruption::Unlisted { block: block.addr })),
            None => Ok(()),
        }
    }

    fn region(&self, _: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        Ok(self.region.addr..self.region.end())
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}
