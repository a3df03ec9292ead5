//! Runs textbook records on emmu's units: [`BaseBounds`], [`Segmentation`], and [`Paging`] over a [`Description`].

use crate::Units;
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::{
    Access, Bus, BusError, Cause, Event, Fault as Refused, PhysAddr, Privilege, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Paging,
    format::described::{Described, Description, MODE, PTBR},
};
use emmu_segmentation::{Segment as Descriptor, SegmentFlags, Segmentation, Selection};
use emmu_vectors::textbook::{Answer, EntryRead, Fault, Loaded, Machine, Segment, Subject};
use std::error::Error;

/// The address of a linear table, out of the reach of its own frame numbers, so that no page is in it.
const LINEAR_TABLE: PhysAddr = PhysAddr::new(1 << 63);

/// Any of the units, and its memory.
type Parts = (Box<dyn TranslationUnit<Memory, Vec<Event>>>, Memory);

impl Subject for Units {
    /// Returns false for a segmented space that is no power of two, which has no top bit to select a segment.
    fn takes(&self, machine: &Machine) -> bool {
        match machine {
            Machine::Segmentation { space, .. } => space.is_power_of_two(),
            _ => true,
        }
    }

    fn load(&mut self, machine: &Machine, va: VirtAddr) -> Answer {
        match self.build(machine) {
            Ok((mut unit, mut memory)) => answer(machine, &mut *unit, &mut memory, va),
            Err(error) => {
                let refusal = Fault::Other(format!("not modelled: {error}"));
                Answer { entries: Vec::new(), outcome: Err(refusal) }
            }
        }
    }
}

fn answer(
    machine: &Machine,
    unit: &mut dyn TranslationUnit<Memory, Vec<Event>>,
    memory: &mut Memory,
    va: VirtAddr,
) -> Answer {
    let access = Access::load(va, 1).with_privilege(Privilege::User);
    let mut events = Vec::new();
    let loaded = unit.translate(access, memory, &mut events).and_then(|found| {
        let byte = memory.read(found.addr, Width::B1);
        let byte = byte.map_err(|error| Refused::new(access, Cause::Bus(error)))?;
        let value =
            u8::try_from(byte).ok().filter(|_| matches!(machine, Machine::Multilevel { .. }));
        Ok(Loaded { pa: found.addr, value })
    });
    let entries = events.into_iter().filter_map(|event| entry_read(machine, event)).collect();
    Answer { entries, outcome: loaded.map_err(|refused| fault(machine, &refused)) }
}

/// Returns the entry that an event reports, with its index in a table that starts at a multiple of its size.
fn entry_read(machine: &Machine, event: Event) -> Option<EntryRead> {
    let Event::EntryRead { level, addr, raw } = event else { return None };
    let index = match machine {
        Machine::Linear { .. } => (addr.raw() - LINEAR_TABLE.raw()) / Width::B4.bytes(),
        _ => addr.offset(SMALL_PAGE_BITS.into()),
    };
    Some(EntryRead { level, index, raw })
}

/// Returns the textbook's name of the fault.
fn fault(machine: &Machine, refused: &Refused) -> Fault {
    let level = refused.entry.map(|entry| entry.level);
    match (refused.cause, machine, level) {
        (Cause::Bounds, _, None) => Fault::Bounds,
        (Cause::Absent, Machine::Linear { .. }, Some(0)) => Fault::Invalid,
        (Cause::Absent, Machine::Multilevel { .. }, Some(1)) => Fault::Pde,
        (Cause::Absent, Machine::Multilevel { .. }, Some(0)) => Fault::Pte,
        (Cause::Bus(BusError::Unmapped { addr }), _, None) => Fault::NoMemory(addr),
        _ => Fault::Other(refused.to_string()),
    }
}

/// Log2 of the page size of [`Machine::Multilevel`].
const SMALL_PAGE_BITS: u8 = 5;

impl Units {
    fn build(&self, machine: &Machine) -> Result<Parts, Box<dyn Error>> {
        match machine {
            Machine::Relocation { memory, base, limit } => {
                let unit = BaseBounds::new(Convention::Size);
                let unit = unit.with_registers(*base, (*limit).into());
                Ok((Box::new(unit), Memory::ram(*memory)))
            }
            Machine::Segmentation { memory, space, segments } => {
                let unit = segmentation(*space, segments)?;
                Ok((Box::new(unit), Memory::ram(*memory)))
            }
            Machine::Linear { memory, space, page, table } => {
                let (space_bits, page_bits) = (space.checked_ilog2().unwrap_or(0), page.ilog2());
                self.linear(*memory, space_bits, page_bits, table)
            }
            Machine::Multilevel { pdbr, memory } => self.multilevel(*pdbr, memory),
        }
    }

    fn linear(
        &self,
        memory: u64,
        space_bits: u32,
        page_bits: u32,
        table: &[u32],
    ) -> Result<Parts, Box<dyn Error>> {
        let index_bits = u8::try_from(space_bits.saturating_sub(page_bits))?;
        let description = Description::new(Width::B4, u8::try_from(page_bits)?, &[index_bits]);
        let bytes: Vec<_> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let memory = Memory::ram(memory).with_ram(LINEAR_TABLE, bytes.len() as u64)?;
        self.paging(description.frame(0, 31).valid(31), LINEAR_TABLE, memory, &bytes, LINEAR_TABLE)
    }

    fn multilevel(&self, pdbr: u8, bytes: &[u8]) -> Result<Parts, Box<dyn Error>> {
        let description = Description::new(Width::B1, SMALL_PAGE_BITS, &[5, 5]);
        let directory = PhysAddr::new(u64::from(pdbr) << SMALL_PAGE_BITS);
        let memory = Memory::ram(bytes.len() as u64);
        self.paging(description.frame(0, 7).valid(7), directory, memory, bytes, PhysAddr::ZERO)
    }

    /// Makes a paging unit of the described format whose first table is at `root`, with `bytes` in memory from `at` on.
    fn paging(
        &self,
        description: Description,
        root: PhysAddr,
        mut memory: Memory,
        bytes: &[u8],
        at: PhysAddr,
    ) -> Result<Parts, Box<dyn Error>> {
        memory.load(at, bytes)?;
        let mut unit = Paging::new(Described::new(description)?, &self.config)?;
        unit.write_register(PTBR, root.raw(), &mut memory, &mut ())?;
        unit.write_register(MODE, 1, &mut memory, &mut ())?;
        Ok((Box::new(unit), memory))
    }
}

/// Makes a unit with one selector bit, the top one of the address.
fn segmentation(space: u32, [up, down]: &[Segment; 2]) -> Result<Segmentation, Box<dyn Error>> {
    let address_bits = space.checked_ilog2().unwrap_or(0);
    let descriptor = |segment: &Segment, direction| Descriptor {
        base: segment.base,
        bounds: segment.limit.into(),
        flags: SegmentFlags::READ | direction,
    };
    let selection = Selection::Explicit { selector_bits: 1, segments: 2 };
    Ok(Segmentation::new(address_bits, selection)?
        .with_segment(0, descriptor(up, SegmentFlags::empty()))?
        .with_segment(1, descriptor(down, SegmentFlags::GROWS_DOWN))?)
}
