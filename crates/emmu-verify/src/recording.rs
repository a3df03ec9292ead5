//! `RecordingMemory` records the reads of a model of one stage in the form that models of two stages use.

use core::cell::RefCell;
use emmu_core::{Access, PhysAddr};
use emmu_oracle::{
    Hole, Memory, Reference,
    two_stage::{Nested, Read, Stage},
};

/// Memory that records all reads.
struct RecordingMemory<'a> {
    memory: &'a dyn Memory,
    reads: RefCell<Vec<Read>>,
}

impl RecordingMemory<'_> {
    fn note(&self, addr: PhysAddr, size: u8, raw: u64) {
        self.reads.borrow_mut().push(Read { stage: Stage::First, addr, size, raw });
    }
}

impl Memory for RecordingMemory<'_> {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        let raw = self.memory.read32(addr)?;
        self.note(addr, 4, raw.into());
        Ok(raw)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        let raw = self.memory.read64(addr)?;
        self.note(addr, 8, raw);
        Ok(raw)
    }

    fn read_entry(&self, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let raw = self.memory.read_entry(addr, size)?;
        self.note(addr, size, raw);
        Ok(raw)
    }
}

/// Returns the answer of the model to the access, with its reads and changes. An access that faults changes nothing.
pub(crate) fn ask<R: Reference>(
    model: &R,
    access: Access,
    memory: &dyn Memory,
) -> Nested<R::Fault> {
    let noted = RecordingMemory { memory, reads: RefCell::default() };
    let answer = model.translate(access, &noted);
    let changes = answer.as_ref().map_or_else(|_| Vec::new(), |outcome| outcome.writes.clone());
    let reads = noted.reads.into_inner();
    Nested { answer, other: None, reads, changes, entangled: false }
}
