//! The textbook's paging machines as descriptions, which answer what its simulators do.

use core::cell::RefCell;
use emmu_core::{Access, PhysAddr, VirtAddr};
use emmu_oracle::described::{self, Description, EntryPlace, Registers};
use emmu_oracle::reference::SparseMemory;
use emmu_oracle::{Hole, Memory, Reference, Write};
use emmu_property::{VectorFile, vector_files_named};
use emmu_vectors::Report;
use emmu_vectors::textbook::{Answer, EntryRead, Fault, Loaded, Machine, Reader, Subject, run};

/// Memory that takes note of the entries read.
struct Noted(SparseMemory, RefCell<Vec<(u64, u64)>>);

impl Memory for Noted {
    fn read32(&self, addr: PhysAddr) -> Result<u32, Hole> {
        self.0.read32(addr)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        self.0.read64(addr)
    }

    fn read_entry(&self, addr: PhysAddr, size: u8) -> Result<u64, Hole> {
        let raw = self.0.read_entry(addr, size)?;
        self.1.borrow_mut().push((addr.raw(), raw));
        Ok(raw)
    }
}

/// Where a linear table is: out of the reach of its own frame numbers.
const LINEAR_TABLE: u64 = 1 << 60;

/// The textbook's paging machines as descriptions.
struct Textbook;

/// A machine, its tables, and how many bytes of memory it has.
fn machine(machine: &Machine) -> Option<(Registers, SparseMemory, u64)> {
    let mut memory = SparseMemory::default();
    let (description, ptbr, end) = match machine {
        Machine::Linear { memory: end, space, page, table } => {
            for (entry, addr) in table.iter().zip((LINEAR_TABLE..).step_by(4)) {
                memory.write32(PhysAddr::new(addr), *entry);
            }
            let index_bits = space.ilog2() - page.ilog2();
            (Description::new(4, page.ilog2(), &[index_bits], (0, 31), 31), LINEAR_TABLE, *end)
        }
        Machine::Multilevel { pdbr, memory: bytes } => {
            for (byte, addr) in bytes.iter().zip(0..) {
                memory.apply(Write { addr: PhysAddr::new(addr), size: 1, value: (*byte).into() });
            }
            let description = Description::new(1, 5, &[5, 5], (0, 7), 7);
            (description, u64::from(*pdbr) * 32, bytes.len() as u64)
        }
        _ => return None,
    };
    Some((Registers { description, ptbr, mode: 1, asid: 0 }, memory, end))
}

impl Subject for Textbook {
    fn takes(&self, record: &Machine) -> bool {
        machine(record).is_some()
    }

    fn load(&mut self, record: &Machine, va: VirtAddr) -> Answer {
        let (registers, memory, end) = machine(record).unwrap();
        let noted = Noted(memory, RefCell::default());
        let outcome = match registers.translate(Access::load(va, 1), &noted) {
            Ok(found) if found.pa.raw() >= end => Err(Fault::NoMemory(found.pa)),
            Ok(found) => Ok(Loaded { pa: found.pa, value: byte(record, found.pa) }),
            Err(refused) => Err(fault(record, refused)),
        };
        let levels = (0..registers.description.index_bits.len()).rev();
        let read = levels.zip(noted.1.into_inner()).map(|(level, (addr, raw))| {
            let level = u8::try_from(level).unwrap();
            EntryRead { level, index: index(record, addr), raw }
        });
        Answer { entries: read.collect(), outcome }
    }
}

/// The index of an entry, by where it is.
fn index(record: &Machine, addr: u64) -> u64 {
    match record {
        Machine::Linear { .. } => (addr - LINEAR_TABLE) / 4,
        _ => addr % 32,
    }
}

/// Returns the byte there, if it is known.
fn byte(record: &Machine, pa: PhysAddr) -> Option<u8> {
    match record {
        Machine::Multilevel { memory, .. } => memory.get(usize::try_from(pa.raw()).ok()?).copied(),
        _ => None,
    }
}

fn fault(record: &Machine, refused: described::Fault) -> Fault {
    match (record, refused.entry) {
        (Machine::Linear { .. }, Some(_)) => Fault::Invalid,
        (_, Some(EntryPlace { level: 1, .. })) => Fault::Pde,
        (_, Some(EntryPlace { level: 0, .. })) => Fault::Pte,
        _ => Fault::Other(format!("{refused:?}")),
    }
}

#[test]
fn the_textbooks_paging_machines_are_descriptions() {
    let files = [("linear_paging", 1665), ("multilevel_paging", 1000)];
    let files = files.into_iter().flat_map(|(name, steps)| {
        vector_files_named("textbook", name).into_iter().map(move |file| (file, steps))
    });
    for (VectorFile { path, name, is_sample }, steps) in files {
        let mut mismatches = Vec::new();
        let records = Reader::open(path).unwrap();
        let report =
            run(records, &mut Textbook, &mut |mismatch| mismatches.push(mismatch.to_string()));
        assert_eq!(mismatches, Vec::<String>::new(), "{name}");
        let Report { passed, failed, skipped } = report.unwrap();
        assert!(if is_sample { passed > 0 } else { passed == steps }, "{name}: {passed} passed");
        assert_eq!((failed, skipped), (0, 0), "{name}");
    }
}
