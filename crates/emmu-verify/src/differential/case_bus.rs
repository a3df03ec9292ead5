//! Buses that hold the memory of a case.

use emmu_core::{Bus, PhysAddr, Width};
use emmu_memory::Memory;
use emmu_oracle::{
    Memory as _,
    reference::{SparseMemory, Write},
};
use std::collections::BTreeMap;

/// A bus that can hold the memory of a case.
pub(crate) trait CaseBus: Bus + Sized {
    /// Makes a bus with this memory and nothing else.
    fn with(memory: &SparseMemory, holes: &[PhysAddr]) -> Option<Self>;

    /// Returns the address of a word whose value differs from `memory`, if there is one. Words that are neither in
    /// `memory` nor in `before` may be passed over.
    fn difference(&self, before: &SparseMemory, memory: &SparseMemory) -> Option<PhysAddr> {
        let mut words = before.words().chain(memory.words()).map(|(addr, _)| addr);
        words.find(|&addr| {
            let held = self.peek(addr, Width::B4).ok();
            held != memory.read32(addr).ok().map(u64::from)
        })
    }
}

/// Compares every word.
impl CaseBus for SparseMemory {
    fn with(memory: &SparseMemory, _: &[PhysAddr]) -> Option<Self> {
        Some(memory.clone())
    }

    fn difference(&self, _: &SparseMemory, memory: &SparseMemory) -> Option<PhysAddr> {
        self.changes(memory, 4).first().map(|write| write.addr)
    }
}

/// Has RAM pages, for which a CPU uses its accelerator.
impl CaseBus for Memory {
    fn with(memory: &SparseMemory, holes: &[PhysAddr]) -> Option<Self> {
        let mut bus = Self::new();
        // The last page is a region of its own: one of all 2^64 bytes could not be said.
        let last = PhysAddr::new(u64::MAX).align_down(12);
        let mut holes: Vec<_> = holes.iter().map(|hole| hole.align_down(12)).collect();
        holes.sort_unstable();
        holes.dedup();
        let mut start = PhysAddr::ZERO;
        for &end in holes.iter().filter(|hole| **hole != last).chain([&last]) {
            if start < end {
                bus = bus.with_ram(start, end.raw() - start.raw()).ok()?;
            }
            start = end.wrapping_add(1 << 12);
        }
        if !holes.contains(&last) {
            bus = bus.with_ram(last, 1 << 12).ok()?;
        }
        for (addr, word) in memory.words() {
            // Words in a hole cannot be seen.
            let _ = bus.load(addr, &word.to_le_bytes());
        }
        Some(bus)
    }
}

/// Copies to `memory` those of the `changes` that were made on the bus, with all or some of their bits. Returns the
/// copied writes.
pub(super) fn adopt(
    memory: &mut SparseMemory,
    changes: &[Write],
    bus: &impl Bus,
) -> BTreeMap<PhysAddr, u64> {
    let made = changes.iter().filter_map(|&Write { addr, size, value }| {
        let width = Width::from_bytes(size.into())?;
        let (before, after) = (memory.peek(addr, width).ok()?, bus.peek(addr, width).ok()?);
        let possible = (before ^ after) & !(before ^ value) == 0;
        (possible && before != after).then_some(Write { addr, size, value: after })
    });
    let made: Vec<_> = made.collect();
    memory.apply_all(&made);
    made.into_iter().map(|write| (write.addr, write.value)).collect()
}
