//! A stack: the manager of call frames.

use crate::chain::Area;
use crate::error::expect;
use crate::owned::{between, owned};
use crate::sealed::{ADDRESS_LIMIT, WORD, Word};
use crate::{
    Block, ConfigError, Corruption, Extent, Field, Heap, HeapError, InvalidFree, Layout, Request,
    Stats, Tail, header,
};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// A stack that grows down. Only its newest block can be freed, and every other free is refused.
///
/// Each block has a header with its size and a magic number. The manager's own word is the stack pointer,
/// [`Stack::CONTROL_BYTES`] bytes.
///
/// ```
/// use emmu_core::PhysAddr;
/// use emmu_heap::{Extent, Heap, Request, Stack};
/// use emmu_memory::Memory;
///
/// let mut memory = Memory::ram(1 << 16);
/// let region = Extent::new(PhysAddr::new(0x1000), 0x1000);
/// let mut stack = Stack::create(&mut memory, PhysAddr::ZERO, region)?;
/// let [_a, _b, c] = [(); 3].map(|()| stack.allocate(&mut memory, Request::new(8)).unwrap().addr);
/// stack.free(&mut memory, c)?;
/// let d = stack.allocate(&mut memory, Request::new(8))?.addr;
/// assert_eq!(d, c);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    control: PhysAddr,
    region: Extent,
    stats: Stats,
}

/// The size of a block is a multiple of this number.
const GRANULE: u64 = 16;
const LAYOUT: Layout = Layout {
    granule: GRANULE,
    round_to: GRANULE,
    min_block: GRANULE,
    header: header::BYTES,
    take: crate::End::High,
    tail: Tail::Absorb,
};

impl Stack {
    /// The number of bytes of the manager's own words.
    pub const CONTROL_BYTES: u64 = WORD;

    /// Makes an empty stack in `region`.
    ///
    /// # Errors
    /// [`ConfigError`] if there can be no such region, or if the bus refuses.
    pub fn create<B: Bus + ?Sized>(
        bus: &mut B,
        control: PhysAddr,
        region: Extent,
    ) -> Result<Self, ConfigError> {
        let end = region.addr.checked_add(region.size);
        let fine = region.size.is_multiple_of(GRANULE)
            && end
                .is_some_and(|end| end.raw() <= ADDRESS_LIMIT && end.raw().is_multiple_of(GRANULE));
        expect("size", region.size, fine, "a multiple of 16 that ends at one, within 2^48")?;
        if Extent::new(control, Self::CONTROL_BYTES).overlaps(region) {
            return Err(ConfigError::ControlInHeap { control });
        }
        let stack = Self { control, region, stats: Stats::default() };
        stack.pointer().write(bus, region.end().raw())?;
        Ok(stack)
    }

    fn pointer(&self) -> Word {
        Word::new(self.control, 0, Field::Head)
    }

    /// Returns the start of the newest block.
    fn top<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<PhysAddr, HeapError> {
        let top = PhysAddr::new(self.pointer().read(bus)?);
        let fine = self.region.addr <= top
            && top <= self.region.end()
            && (self.region.end().raw() - top.raw()).is_multiple_of(GRANULE);
        if fine { Ok(top) } else { Err(self.pointer().corrupt(Corruption::Place { block: top })) }
    }

    /// Returns the used part of the region.
    fn area(&self, top: PhysAddr) -> Area {
        let extent = Extent::between(top, self.region.end());
        Area { extent, granule: GRANULE, min_block: GRANULE }
    }

    fn push<B: Bus + ?Sized>(&self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        request.validate()?;
        let top = self.top(bus)?;
        let free = Extent::between(self.region.addr, top);
        let (need, align) = (LAYOUT.need(request.size), request.align.max(GRANULE));
        let none = HeapError::OutOfMemory { need, searched: 1 };
        let cut = LAYOUT.cut(free, need, align).ok_or(none)?;
        // The bytes that the alignment leaves above the block belong to the block.
        let extent = Extent::between(cut.taken.addr, top);
        let addr = extent.addr.wrapping_add(LAYOUT.header);
        header::write(bus, addr, extent.size)?;
        self.pointer().write(bus, extent.addr.raw())?;
        Ok(Block { addr, extent, searched: 1 })
    }

    fn pop<B: Bus + ?Sized>(&self, bus: &mut B, addr: PhysAddr) -> Result<Extent, HeapError> {
        let top = self.top(bus)?;
        let newest = top.wrapping_add(LAYOUT.header);
        if addr < newest && self.region.contains(addr) {
            return Err(HeapError::DoubleFree { addr });
        }
        let block = owned(bus, &LAYOUT, &self.area(top), addr, None)?;
        if addr != newest {
            return Err(HeapError::InvalidFree { addr, why: InvalidFree::NotTheTop });
        }
        header::wipe(bus, addr)?;
        self.pointer().write(bus, block.end().raw())?;
        Ok(block)
    }
}

impl<B: Bus + ?Sized> Heap<B> for Stack {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let answer = self.push(bus, request);
        self.stats.count(&answer);
        answer
    }

    /// Frees the newest block. The size is not needed.
    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        _: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let block = self.pop(bus, addr)?;
        self.stats.frees += 1;
        Ok(block)
    }

    /// Returns one free block, or none.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let free = Extent::between(self.region.addr, self.top(bus)?);
        Ok([free].into_iter().filter(|free| free.size > 0).collect())
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        let area = self.area(self.top(bus)?);
        between(bus, &LAYOUT, &area, &[]).map(drop)
    }

    fn region(&self, _: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        Ok(self.region.addr..self.region.end())
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}
