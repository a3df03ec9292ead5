//! The parts that the models of two stages share: the trait, and host memory as both stages see it.
//!
//! A model of two stages is the naive model of one, composed with itself. The first stage reads its tables through
//! an adapter that asks the second stage where each guest-physical word stands. Both stages work on one
//! scratch copy, so that each sees at once what the other has changed; the memory below changes only when the
//! caller makes the writes of an access that was allowed.

use crate::reference::{Hole, Memory, Outcome, Reference, Write};
use core::cell::RefCell;
use emmu_core::{Access, PhysAddr};
use std::collections::{BTreeMap, BTreeSet};

/// The stage whose tables an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From virtual addresses, or for accesses that only one stage translates: RISC-V VS-stage, x86 paging,
    /// AArch64 stage 1.
    First,
    /// From guest-physical addresses: RISC-V G-stage, x86 EPT, AArch64 stage 2.
    Second,
}

/// A table entry that a translation read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// Whose entry it is.
    pub stage: Stage,
    /// Where it stands in host memory.
    pub addr: PhysAddr,
    /// Its size in bytes: 4 or 8, and of described formats anything from 1 to 8.
    pub size: u8,
    /// The value that was read.
    pub raw: u64,
}

/// The visits of an access on its way through two stages, and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested<F> {
    /// The result. The page is the smaller one of the two stages' pages.
    pub answer: Result<Outcome, F>,
    /// Of an access that faults: what hardware may report as well, because the second stage refuses both the update
    /// of flags in an entry of the first and the access itself, and manuals do not say which comes first.
    pub other: Option<F>,
    /// The entries that were read, in order; of an access that faults, those before the fault. Nothing is cached, so an
    /// update of an entry of the first stage asks the second stage once more where that stands.
    pub reads: Vec<Read>,
    /// The entries that were changed, in order of address: the writes of the answer, or, of an access that faults,
    /// those that hardware may have made before the fault and need not have.
    pub changes: Vec<Write>,
    /// True if some word is an entry of both stages and one of them changes it. The result then depends on when
    /// hardware sets its flags, which manuals leave open.
    pub entangled: bool,
}

/// The use of a guest-physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visit {
    /// The first stage's walk, to read an entry.
    WalkRead,
    /// The first stage's walk, to update one: it reads and writes.
    WalkUpdate,
    /// The access itself.
    Access,
}

impl Visit {
    /// Returns true if a walk makes the visit, and not the access itself.
    #[must_use]
    pub fn is_walk(self) -> bool {
        self != Self::Access
    }
}

/// Something in place of a second stage: what it makes of a guest-physical address.
pub type Beyond<'a, F> = &'a dyn Fn(PhysAddr, Visit) -> Result<Outcome, F>;

/// A model of two stages.
pub trait TwoStage: Reference {
    /// Like [`Reference::translate`], with more to tell.
    fn nested(&self, access: Access, memory: &dyn Memory) -> Nested<<Self as Reference>::Fault>;

    /// Performs the first stage of an access. `second` translates guest-physical addresses, in place of the
    /// second stage's tables: a caller uses it if it knows what is cached of that stage. The entries of the
    /// first stage are read at the addresses that `second` gives.
    fn first_stage(
        &self,
        access: Access,
        memory: &dyn Memory,
        second: Beyond<'_, <Self as Reference>::Fault>,
    ) -> Nested<<Self as Reference>::Fault>;

    /// Translates a guest-physical address that an access uses, by the second stage alone.
    fn second_stage(
        &self,
        access: Access,
        visit: (PhysAddr, Visit),
        memory: &dyn Memory,
    ) -> Nested<<Self as Reference>::Fault>;
}

/// Why an access was refused, and what hardware may say instead.
pub(crate) struct Refusal<F> {
    fault: F,
    other: Option<F>,
}

impl<F> From<F> for Refusal<F> {
    fn from(fault: F) -> Self {
        Self { fault, other: None }
    }
}

/// The updates of the first stage's entries, and then the access: the first one that is refused is reported.
pub(crate) fn in_turn<F>(
    updates: Result<(), F>,
    access: Result<Outcome, F>,
) -> Result<Outcome, Refusal<F>> {
    match (updates, access) {
        (Ok(()), access) => Ok(access?),
        (Err(fault), access) => Err(Refusal { fault, other: access.err() }),
    }
}

/// Answers on a scratch copy of host memory, and sums up.
pub(crate) fn on_scratch<F, R: Into<Refusal<F>>>(
    memory: &dyn Memory,
    answer: impl FnOnce(&Scratch<'_>) -> Result<Outcome, R>,
) -> Nested<F> {
    let scratch = Scratch::new(memory);
    let found = answer(&scratch);
    scratch.sum_up(found.map_err(Into::into))
}

/// Host memory during one translation: what the translation has changed reads back changed, and all is noted.
pub(crate) struct Scratch<'a> {
    memory: &'a dyn Memory,
    /// The 4-byte words that were changed.
    words: RefCell<BTreeMap<u64, u32>>,
    /// Those of the entries that were read, as memory had them.
    seen: RefCell<BTreeMap<u64, u32>>,
    reads: RefCell<Vec<Read>>,
    writes: RefCell<Vec<(Stage, Write)>>,
}

impl<'a> Scratch<'a> {
    pub(crate) fn new(memory: &'a dyn Memory) -> Self {
        Self {
            memory,
            words: RefCell::default(),
            seen: RefCell::default(),
            reads: RefCell::default(),
            writes: RefCell::default(),
        }
    }

    /// Reads an entry of 4 or 8 bytes of this stage: memory is asked for it once.
    pub(crate) fn read(&self, stage: Stage, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let [a, b, c, d, e, f, g, h] = match size {
            4 => u64::from(self.memory.read32(addr)?).to_le_bytes(),
            _ => self.memory.read64(addr)?.to_le_bytes(),
        };
        self.seen.borrow_mut().insert(addr.raw(), u32::from_le_bytes([a, b, c, d]));
        if size == 8 {
            self.seen.borrow_mut().insert(addr.raw() + 4, u32::from_le_bytes([e, f, g, h]));
        }
        let raw = self.word(addr, size)?;
        self.reads.borrow_mut().push(Read { stage, addr, size, raw });
        Ok(raw)
    }

    /// Returns the present word at this address.
    fn word(&self, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let low = u64::from(self.word32(addr)?);
        if size == 4 {
            return Ok(low);
        }
        Ok(u64::from(self.word32(addr.wrapping_add(4))?) << 32 | low)
    }

    fn word32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        let held = |words: &RefCell<BTreeMap<u64, u32>>| words.borrow().get(&addr.raw()).copied();
        match held(&self.words).or_else(|| held(&self.seen)) {
            Some(word) => Ok(word),
            None => self.memory.read32(addr),
        }
    }

    /// Makes the changes of one stage.
    pub(crate) fn apply(&self, stage: Stage, writes: &[Write]) {
        for write in writes {
            let [a, b, c, d, e, f, g, h] = write.value.to_le_bytes();
            let mut words = self.words.borrow_mut();
            words.insert(write.addr.raw(), u32::from_le_bytes([a, b, c, d]));
            if write.size == 8 {
                words.insert(write.addr.raw() + 4, u32::from_le_bytes([e, f, g, h]));
            }
            self.writes.borrow_mut().push((stage, *write));
        }
    }

    /// The tables of one stage, as a model of one stage reads them.
    pub(crate) fn tables(&self, stage: Stage) -> StageTables<'_> {
        StageTables { scratch: self, stage }
    }

    /// Sums up: the answer gets what was changed.
    fn sum_up<F>(self, found: Result<Outcome, Refusal<F>>) -> Nested<F> {
        let (entangled, changes) = (self.is_entangled(), self.changes());
        let (answer, other) = match found {
            Ok(outcome) => (Ok(Outcome { writes: changes.clone(), ..outcome }), None),
            Err(Refusal { fault, other }) => (Err(fault), other),
        };
        Nested { answer, other, reads: self.reads.into_inner(), changes, entangled }
    }

    /// Returns the entries that were changed, in order of address, each entry once, with its last value.
    pub(crate) fn changes(&self) -> Vec<Write> {
        let entries: BTreeSet<(PhysAddr, u8)> =
            self.writes.borrow().iter().map(|(_, write)| (write.addr, write.size)).collect();
        let last = |(addr, size)| {
            let value = self.word(addr, size).ok()?;
            Some(Write { addr, size, value })
        };
        entries.into_iter().filter_map(last).collect()
    }

    fn is_entangled(&self) -> bool {
        let reads = self.reads.borrow();
        self.writes.borrow().iter().any(|(stage, write)| {
            let changed = (write.addr.raw(), write.size);
            reads
                .iter()
                .any(|read| read.stage != *stage && overlap(changed, (read.addr.raw(), read.size)))
        })
    }
}

/// Returns true if two entries, each an address and a size, have a byte in common.
fn overlap((a, a_size): (u64, u8), (b, b_size): (u64, u8)) -> bool {
    a < b + u64::from(b_size) && b < a + u64::from(a_size)
}

/// The tables of one stage in host memory.
pub(crate) struct StageTables<'a> {
    scratch: &'a Scratch<'a>,
    stage: Stage,
}

impl Memory for StageTables<'_> {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        self.scratch.read(self.stage, addr, 4).map(low_half)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.scratch.read(self.stage, addr, 8)
    }
}

/// Tells where a guest-physical word of 4 or 8 bytes that the walk reads stands in host memory, or why it cannot be read.
type ToHost<'a, F> = &'a dyn Fn(PhysAddr, u8) -> Result<PhysAddr, F>;

/// The tables of the first stage in guest-physical memory. To the model of one stage each failure is a hole; what
/// it was is kept.
pub(crate) struct GuestTables<'a, F> {
    scratch: &'a Scratch<'a>,
    to_host: ToHost<'a, F>,
    hole: &'a dyn Fn(PhysAddr) -> Option<F>,
    read: RefCell<Vec<GuestRead>>,
    fault: RefCell<Option<F>>,
}

/// An entry of the first stage that was read.
#[derive(Clone, Copy)]
pub(crate) struct GuestRead {
    /// Guest-physical.
    pub(crate) addr: PhysAddr,
    pub(crate) raw: u64,
}

impl<'a, F> GuestTables<'a, F> {
    /// `to_host` translates and checks reads; `hole` is the fault of a host address that nothing
    /// answers at, if it is not the one that the first stage reports by itself.
    pub(crate) fn new(
        scratch: &'a Scratch<'a>,
        to_host: ToHost<'a, F>,
        hole: &'a dyn Fn(PhysAddr) -> Option<F>,
    ) -> Self {
        Self { scratch, to_host, hole, read: RefCell::default(), fault: RefCell::new(None) }
    }

    /// The fault of the read that failed, if one did.
    pub(crate) fn fault(&self) -> Option<F> {
        self.fault.take()
    }

    /// Returns the changes of the first stage to the entries that it read, in the order in which it read them.
    pub(crate) fn in_order(&self, writes: &[Write]) -> Vec<GuestWrite> {
        let mut ordered: Vec<GuestWrite> = Vec::new();
        for GuestRead { addr, raw } in self.read.borrow().iter() {
            let write = writes.iter().find(|write| write.addr == *addr);
            if let Some(write) = write.filter(|write| ordered.iter().all(|o| o.write != **write)) {
                ordered.push(GuestWrite { write: *write, before: *raw });
            }
        }
        ordered
    }

    fn read(&self, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let host = (self.to_host)(addr, size).map_err(|fault| self.keep(Some(fault)))?;
        let raw = self.scratch.read(Stage::First, host, size);
        let raw = raw.map_err(|Hole| self.keep((self.hole)(host)))?;
        self.read.borrow_mut().push(GuestRead { addr, raw });
        Ok(raw)
    }

    fn keep(&self, fault: Option<F>) -> Hole {
        self.fault.replace(fault);
        Hole
    }
}

impl<F> Memory for GuestTables<'_, F> {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        self.read(addr, 4).map(low_half)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.read(addr, 8)
    }
}

/// A change of an entry of the first stage, at its guest-physical address.
#[derive(Clone, Copy)]
pub(crate) struct GuestWrite {
    pub(crate) write: Write,
    /// The value that was read there.
    before: u64,
}

impl GuestWrite {
    /// Makes the change at the host address of the entry: the bits that change, and no others, should the second
    /// stage have changed some meanwhile.
    pub(crate) fn apply_at(&self, host: PhysAddr, scratch: &Scratch<'_>) {
        let Write { size, value, .. } = self.write;
        let Ok(now) = scratch.word(host, size) else { return };
        let value = (now | value & !self.before) & !(self.before & !value);
        scratch.apply(Stage::First, &[Write { addr: host, size, value }]);
    }
}

fn low_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
