//! The textbook's rules in numbers, as reference models.

use super::ReferenceModels;
use core::num::{NonZeroU32, NonZeroU64};
use emmu_core::{PhysAddr, VirtAddr};
use emmu_vectors::textbook::{Answer, EntryRead, Fault, Loaded, Machine, Segment, Subject};

/// The byte at this address, if there is such memory.
type Outcome = Result<Loaded, Fault>;

impl Subject for ReferenceModels {
    fn load(&mut self, machine: &Machine, va: VirtAddr) -> Answer {
        let va = va.raw();
        let untabled = |outcome| Answer { entries: Vec::new(), outcome };
        match machine {
            Machine::Relocation { memory, base, limit } => {
                untabled(relocated(va, *base, *limit).and_then(|pa| loaded(pa, *memory)))
            }
            Machine::Segmentation { memory, space, segments } => {
                untabled(segmented(va, *space, segments).and_then(|pa| loaded(pa, *memory)))
            }
            Machine::Linear { memory, page, table, .. } => linear(va, *page, table, *memory),
            Machine::Multilevel { pdbr, memory } => multilevel(va, *pdbr, memory),
        }
    }
}

fn loaded(pa: u64, memory: u64) -> Outcome {
    let there = pa < memory;
    let pa = PhysAddr::new(pa);
    if there { Ok(Loaded { pa, value: None }) } else { Err(Fault::NoMemory(pa)) }
}

fn relocated(va: u64, base: u64, limit: u32) -> Result<u64, Fault> {
    match base.checked_add(va) {
        Some(pa) if va < limit.into() => Ok(pa),
        _ => Err(Fault::Bounds),
    }
}

fn segmented(va: u64, space: u32, [up, down]: &[Segment; 2]) -> Result<u64, Fault> {
    if va < space.div_ceil(2).into() {
        return relocated(va, up.base, up.limit);
    }
    let below_the_end = u64::from(space).checked_sub(va).ok_or(Fault::Bounds)?;
    match down.base.checked_sub(below_the_end) {
        Some(pa) if below_the_end <= down.limit.into() => Ok(pa),
        _ => Err(Fault::Bounds),
    }
}

fn linear(va: u64, page: NonZeroU32, table: &[u32], memory: u64) -> Answer {
    let page = NonZeroU64::from(page);
    let index = va / page;
    let raw = usize::try_from(index).ok().and_then(|index| table.get(index)).copied().unwrap_or(0);
    let outcome = match raw.checked_sub(1 << 31) {
        Some(frame) => loaded(u64::from(frame) * page.get() + va % page, memory),
        None => Err(Fault::Invalid),
    };
    Answer { entries: vec![EntryRead { level: 0, index, raw: raw.into() }], outcome }
}

fn multilevel(va: u64, pdbr: u8, memory: &[u8]) -> Answer {
    let mut entries = Vec::new();
    let mut frame = u64::from(pdbr);
    for (level, invalid, index) in [(1, Fault::Pde, va / 1024 % 32), (0, Fault::Pte, va / 32 % 32)]
    {
        let raw = u64::from(byte(memory, frame * 32 + index));
        entries.push(EntryRead { level, index, raw });
        match raw.checked_sub(128) {
            Some(next) => frame = next,
            None => return Answer { entries, outcome: Err(invalid) },
        }
    }
    let pa = frame * 32 + va % 32;
    let value = Some(byte(memory, pa));
    Answer { entries, outcome: Ok(Loaded { pa: PhysAddr::new(pa), value }) }
}

/// Frames have 7 bits and pages 32 bytes: no address is past the 4096 bytes of memory.
fn byte(memory: &[u8], pa: u64) -> u8 {
    usize::try_from(pa).ok().and_then(|pa| memory.get(pa)).copied().unwrap_or(0)
}
