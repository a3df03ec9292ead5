//! Segregated lists: objects of a few sizes in slabs (Bonwick 1994), and everything else from another manager.

use crate::chain::{Area, Chain, NODE};
use crate::error::expect;
use crate::sealed::{WORD, Word};
use crate::{
    Block, ConfigError, Corruption, Extent, Field, Heap, HeapError, InvalidFree, Request, Stats,
};
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{Bus, PhysAddr};

/// Object caches in front of another manager, such as a [`Buddy`](crate::Buddy) of pages. Kernels allocate in
/// this way.
///
/// Each class of sizes has a list of slabs. A slab is a block of the manager behind and holds only objects of
/// that size. A request gets an object of the smallest class in which it fits. Requests that are larger, or
/// more aligned, are forwarded. Slabs that are prepared at boot stay; other slabs are returned when they become
/// empty.
///
/// A slab begins with three sealed words. A free object holds its size and the address of the next free object.
///
/// | offset | word |
/// |---|---|
/// | 0 | next slab of the class |
/// | 8 | objects in use |
/// | 16 | first free object |
/// | 32 | the objects |
///
/// The manager's own words are a pointer of 8 bytes for each class. To find the owner of an address, the
/// manager searches the slabs, so that it trusts nothing outside of the lists.
#[derive(Clone, Debug)]
pub struct Slabs<H> {
    control: PhysAddr,
    slab_size: u64,
    classes: Vec<Class>,
    behind: H,
    stats: Stats,
}

/// A size of objects that has slabs of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// The number of bytes of an object, a multiple of 16.
    pub size: u64,
    /// The number of slabs that are prepared at boot.
    pub prepared: u64,
}

/// The number of bytes of a slab before its objects.
const SLAB_HEADER: u64 = 32;
/// Objects are at multiples of this number.
const OBJECT_ALIGN: u64 = NODE;

/// A slab that was found on its list.
struct Slab {
    /// The pointer to the slab.
    link: Word,
    addr: PhysAddr,
    class: Class,
    size: u64,
}

impl Slab {
    fn next(&self) -> Word {
        Word::new(self.addr, 0, Field::NextSlab)
    }

    fn used(&self) -> Word {
        Word::new(self.addr, WORD, Field::Used)
    }

    fn extent(&self) -> Extent {
        Extent::new(self.addr, self.size)
    }

    fn capacity(&self) -> u64 {
        (self.size - SLAB_HEADER) / self.class.size
    }

    fn objects(&self) -> Extent {
        let start = self.addr.wrapping_add(SLAB_HEADER);
        Extent::new(start, self.capacity() * self.class.size)
    }

    fn free(&self) -> Chain {
        let Class { size, .. } = self.class;
        let area = Area { extent: self.objects(), granule: size, min_block: size };
        Chain { head: Word::new(self.addr, 2 * WORD, Field::Head), area, ascending: false }
    }

    /// Returns the free objects of the slab.
    fn blocks<B: Bus + ?Sized>(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let (chain, used) = (self.free(), self.used().read(bus)?);
        let blocks = chain.blocks(bus)?;
        let whole = blocks.iter().all(|block| block.size == self.class.size);
        if whole && used.checked_add(blocks.len() as u64) == Some(self.capacity()) {
            return Ok(blocks);
        }
        Err(self.used().corrupt(Corruption::Value { found: used }))
    }
}

impl<H> Slabs<H> {
    /// Returns the number of bytes of the manager's own words for this many classes.
    #[must_use]
    pub const fn control_bytes(classes: u64) -> u64 {
        classes.saturating_mul(WORD)
    }

    /// Prepares the slabs of each class.
    ///
    /// # Errors
    /// [`ConfigError`] if a slab holds no object of a class, or the manager behind has no room for the slabs.
    pub fn create<B: Bus + ?Sized>(
        bus: &mut B,
        control: PhysAddr,
        slab_size: u64,
        classes: &[Class],
        behind: H,
    ) -> Result<Self, ConfigError>
    where
        H: Heap<B>,
    {
        let mut classes = classes.to_vec();
        classes.sort_by_key(|class| class.size);
        for Class { size, .. } in &classes {
            let fine = *size > 0
                && size.is_multiple_of(OBJECT_ALIGN)
                && size.checked_add(SLAB_HEADER).is_some_and(|least| least <= slab_size);
            expect("class", *size, fine, "a multiple of 16 that fits in a slab")?;
        }
        let region = behind.region(bus)?;
        let own = Extent::new(control, Self::control_bytes(classes.len() as u64));
        if own.overlaps(Extent::between(region.start, region.end)) {
            return Err(ConfigError::ControlInHeap { control });
        }
        let mut slabs = Self { control, slab_size, classes, behind, stats: Stats::default() };
        for class in 0..slabs.classes.len() {
            slabs.head(class).write_pointer(bus, None)?;
            for _ in 0..slabs.classes[class].prepared {
                slabs.grow(bus, class)?;
            }
        }
        Ok(slabs)
    }

    /// Returns the manager behind.
    #[must_use]
    pub fn behind(&self) -> &H {
        &self.behind
    }

    fn head(&self, class: usize) -> Word {
        Word::new(self.control, class as u64 * WORD, Field::Head)
    }

    /// Returns the class of objects that serves a request, or `None` if the request is forwarded.
    fn class_for(&self, request: Request) -> Option<usize> {
        let fits = |class: &Class| class.size >= request.size;
        self.classes.iter().position(fits).filter(|_| request.align <= OBJECT_ALIGN)
    }

    /// Returns the slabs of a class.
    fn slabs<B: Bus + ?Sized>(&self, bus: &mut B, class: usize) -> Result<Vec<Slab>, HeapError>
    where
        H: Heap<B>,
    {
        let region = self.behind.region(bus)?;
        let area = Extent::between(region.start, region.end);
        let (mut link, mut slabs) = (self.head(class), Vec::new());
        let mut budget = area.size;
        while let Some(addr) = link.read_pointer(bus)? {
            let slab = Slab { link, addr, class: self.classes[class], size: self.slab_size };
            let last = addr.checked_add(self.slab_size - 1);
            if !area.contains(addr) || !last.is_some_and(|last| area.contains(last)) {
                return Err(link.corrupt(Corruption::Place { block: addr }));
            }
            budget = budget.checked_sub(self.slab_size).ok_or(link.corrupt(Corruption::Endless))?;
            link = slab.next();
            slabs.push(slab);
        }
        Ok(slabs)
    }

    /// Adds a slab in front of the others, and returns it.
    fn grow<B: Bus + ?Sized>(&mut self, bus: &mut B, class: usize) -> Result<Slab, HeapError>
    where
        H: Heap<B>,
    {
        let request = Request::new(self.slab_size).aligned(OBJECT_ALIGN);
        let addr = self.behind.allocate(bus, request)?.addr;
        let link = self.head(class);
        let slab = Slab { link, addr, class: self.classes[class], size: self.slab_size };
        let next = link.read_pointer(bus)?;
        slab.next().write_pointer(bus, next)?;
        slab.used().write(bus, 0)?;
        let objects = slab.objects();
        let object = |number| {
            Extent::new(objects.addr.wrapping_add(number * slab.class.size), slab.class.size)
        };
        let free: Vec<_> = (0..slab.capacity()).map(object).collect();
        slab.free().rewrite(bus, &[], &free)?;
        link.write_pointer(bus, Some(addr))?;
        Ok(slab)
    }

    /// Takes an object from the first slab that has a free one.
    fn object<B: Bus + ?Sized>(&mut self, bus: &mut B, class: usize) -> Result<Block, HeapError>
    where
        H: Heap<B>,
    {
        let mut searched = 0;
        for slab in self.slabs(bus, class)? {
            searched += 1;
            if let Some(extent) = pop(bus, &slab)? {
                return Ok(Block { addr: extent.addr, extent, searched });
            }
        }
        let out_of_memory = HeapError::OutOfMemory { need: self.classes[class].size, searched };
        let slab = self.grow(bus, class).map_err(|refused| match refused {
            HeapError::OutOfMemory { .. } => out_of_memory,
            refused => refused,
        })?;
        let extent = pop(bus, &slab)?.ok_or(out_of_memory)?;
        Ok(Block { addr: extent.addr, extent, searched: searched + 1 })
    }

    /// Puts an object back. If its slab is then empty, and there are more slabs than were prepared, returns the
    /// slab.
    fn put<B: Bus + ?Sized>(
        &mut self,
        bus: &mut B,
        slab: &Slab,
        slabs: u64,
        addr: PhysAddr,
    ) -> Result<Extent, HeapError>
    where
        H: Heap<B>,
    {
        let invalid = |why| HeapError::InvalidFree { addr, why };
        if !slab.free().area.admits(addr) {
            return Err(invalid(InvalidFree::Interior));
        }
        let free = slab.blocks(bus)?;
        let object = Extent::new(addr, slab.class.size);
        if free.contains(&object) {
            return Err(HeapError::DoubleFree { addr });
        }
        let mut more = free.clone();
        more.insert(0, object);
        slab.free().rewrite(bus, &free, &more)?;
        let used = slab.capacity() - more.len() as u64;
        slab.used().write(bus, used)?;
        if used == 0 && slabs > slab.class.prepared {
            let next = slab.next().read_pointer(bus)?;
            slab.link.write_pointer(bus, next)?;
            self.behind.release(bus, slab.addr, Some(self.slab_size))?;
        }
        Ok(object)
    }

    fn give<B: Bus + ?Sized>(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError>
    where
        H: Heap<B>,
    {
        request.validate()?;
        match self.class_for(request) {
            Some(class) => self.object(bus, class),
            None => self.behind.allocate(bus, request),
        }
    }
}

/// Takes the first free object of a slab.
fn pop<B: Bus + ?Sized>(bus: &mut B, slab: &Slab) -> Result<Option<Extent>, HeapError> {
    let chain = slab.free();
    let Some(step) = chain.cursor().next(bus)? else { return Ok(None) };
    if step.block.size != slab.class.size {
        return Err(step.link.corrupt(Corruption::Extent { size: step.block.size }));
    }
    let used = slab.used().read(bus)?;
    if used >= slab.capacity() {
        return Err(slab.used().corrupt(Corruption::Value { found: used }));
    }
    chain.replace(bus, &step, &[])?;
    slab.used().write(bus, used + 1)?;
    Ok(Some(step.block))
}

impl<B: Bus + ?Sized, H: Heap<B>> Heap<B> for Slabs<H> {
    fn allocate(&mut self, bus: &mut B, request: Request) -> Result<Block, HeapError> {
        let answer = self.give(bus, request);
        self.stats.count(&answer);
        answer
    }

    fn release(
        &mut self,
        bus: &mut B,
        addr: PhysAddr,
        size: Option<u64>,
    ) -> Result<Extent, HeapError> {
        let mut freed = None;
        for class in 0..self.classes.len() {
            let slabs = self.slabs(bus, class)?;
            if let Some(slab) = slabs.iter().find(|slab| slab.extent().contains(addr)) {
                freed = Some(self.put(bus, slab, slabs.len() as u64, addr)?);
                break;
            }
        }
        let freed = match freed {
            Some(object) => object,
            None => self.behind.release(bus, addr, size)?,
        };
        self.stats.frees += 1;
        Ok(freed)
    }

    /// Returns the free objects, class by class, and then the free blocks of the manager behind.
    fn free_blocks(&self, bus: &mut B) -> Result<Vec<Extent>, HeapError> {
        let mut blocks = Vec::new();
        for class in 0..self.classes.len() {
            for slab in self.slabs(bus, class)? {
                blocks.extend(slab.blocks(bus)?);
            }
        }
        blocks.extend(self.behind.free_blocks(bus)?);
        Ok(blocks)
    }

    fn verify(&self, bus: &mut B) -> Result<(), HeapError> {
        self.behind.verify(bus)?;
        let mut free = self.free_blocks(bus)?;
        free.sort();
        match free.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            Some(pair) => Err(self.head(0).corrupt(Corruption::Overlap { block: pair[1].addr })),
            None => Ok(()),
        }
    }

    fn region(&self, bus: &mut B) -> Result<Range<PhysAddr>, HeapError> {
        self.behind.region(bus)
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}
