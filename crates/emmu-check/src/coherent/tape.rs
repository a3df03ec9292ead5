//! The entries that a walk of the reference model reads, some of them remembered.

use core::cell::RefCell;
use emmu_core::{Access, PhysAddr};
use emmu_oracle::{Hole, Memory, Outcome, Reference, reference::SparseMemory};

/// An entry that a walk read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRead {
    /// Where it stands.
    pub addr: PhysAddr,
    /// Its size in bytes: 4 or 8.
    pub size: u8,
    /// What it held.
    pub raw: u64,
}

impl EntryRead {
    /// What stands there in this memory.
    fn now(self, memory: &SparseMemory) -> Self {
        let raw = match self.size {
            4 => memory.read32(self.addr).map(u64::from),
            _ => memory.read64(self.addr),
        };
        Self { raw: raw.unwrap_or(self.raw), ..self }
    }
}

/// Memory in which the first reads find what a walk found some time ago.
pub(super) struct Tape<'a> {
    memory: &'a SparseMemory,
    remembered: &'a [EntryRead],
    read: RefCell<Vec<EntryRead>>,
}

impl<'a> Tape<'a> {
    pub(super) fn new(remembered: &'a [EntryRead], memory: &'a SparseMemory) -> Self {
        Self { memory, remembered, read: RefCell::default() }
    }

    fn entry(
        &self,
        (addr, size): (PhysAddr, u8),
        fresh: impl FnOnce() -> Result<u64, Hole>,
    ) -> Result<u64, Hole> {
        let mut read = self.read.borrow_mut();
        let remembered = self.remembered.get(read.len()).filter(|entry| entry.addr == addr);
        let raw = remembered.map_or_else(fresh, |entry| Ok(entry.raw))?;
        read.push(EntryRead { addr, size, raw });
        Ok(raw)
    }
}

impl Memory for Tape<'_> {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        let raw = self.entry((addr, 4), || self.memory.read32(addr).map(u64::from))?;
        Ok(u32::try_from(raw & 0xffff_ffff).unwrap_or(0))
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.entry((addr, 8), || self.memory.read64(addr))
    }
}

/// A walk of the reference model.
pub(super) struct Walked<F> {
    pub(super) result: Result<Outcome, F>,
    /// The entries that it read, the root's first.
    pub(super) path: Vec<EntryRead>,
}

impl<F> Walked<F> {
    /// Whether it came by all of these entries first.
    pub(super) fn follows(&self, remembered: &[EntryRead]) -> bool {
        let place = |entry: &EntryRead| entry.addr;
        self.path.len() >= remembered.len()
            && self.path.iter().map(place).zip(remembered).all(|(addr, entry)| addr == entry.addr)
    }

    /// Whether it came by the same entry on several levels.
    pub(super) fn revisits(&self) -> bool {
        let place = |entry: &EntryRead| entry.addr;
        let later = |at: usize| self.path[at + 1..].iter().map(place);
        (0..self.path.len()).any(|at| later(at).any(|addr| addr == self.path[at].addr))
    }

    /// The entries as they are after it, but the first `remembered` ones as they were remembered.
    pub(super) fn path_after(&self, remembered: usize, memory: &SparseMemory) -> Vec<EntryRead> {
        let (kept, read) = self.path.split_at(remembered.min(self.path.len()));
        kept.iter().copied().chain(read.iter().map(|entry| entry.now(memory))).collect()
    }
}

/// What the model answers if the first entries on the way are as `remembered`, and the others as in memory.
pub(super) fn walk<R: Reference>(
    registers: &R,
    access: Access,
    remembered: &[EntryRead],
    memory: &SparseMemory,
) -> Walked<R::Fault> {
    let tape = Tape::new(remembered, memory);
    let result = registers.translate(access, &tape);
    Walked { result, path: tape.read.into_inner() }
}
