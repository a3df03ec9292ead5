//! Page tables that the crate `aarch64-paging` makes, as a boot loader has it make them, and emmu walks: the address
//! and the rights of every range are those that were asked for.
//!
//! The crate's `TargetAllocator` makes tables for another machine and gives them out as bytes, all of it safe, so
//! that not one bit of them is written by emmu. The crate decides by itself where a range can be blocks of 2 MiB
//! or 1 GiB, and splits them where a later range wants something else.

use aarch64_paging::descriptor::{El1Attributes as Flags, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion, RootTable, VaRange};
use aarch64_paging::target::TargetAllocator;
use emmu_core::{
    Access, AccessKind, Attributes, Cause, PhysAddr, Privilege, TranslationUnit, VirtAddr,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Paging,
    format::aarch64::{MAIR_EL1, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1},
};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// Where the tables are on the target.
const TABLES: u64 = 0x10_0000;

/// The flags that a range may have. `DBM` has no meaning without hardware management of dirty state, which is
/// off.
const RANGE_FLAGS: Flags = Flags::ATTRIBUTE_INDEX_7
    .union(Flags::INNER_SHAREABLE)
    .union(Flags::USER)
    .union(Flags::READ_ONLY)
    .union(Flags::ACCESSED)
    .union(Flags::NON_GLOBAL)
    .union(Flags::DBM)
    .union(Flags::PXN)
    .union(Flags::UXN)
    .union(Flags::SWFLAG_0)
    .union(Flags::SWFLAG_3);

/// A range to map: offsets from the start of the half, and bytes.
#[derive(Clone, Debug)]
struct Asked {
    start: u64,
    len: u64,
    frame: u64,
    flags: Flags,
}

impl Arbitrary for Asked {
    /// Some pages, 2 MiB blocks or 1 GiB blocks, at the start or the end of few larger blocks, so that ranges meet.
    /// Frames are as aligned as the range, or only as the next smaller block, so that no larger one is possible.
    fn arbitrary(g: &mut Gen) -> Self {
        let bits = *g.choose(&[12, 12, 21, 30]).unwrap();
        let mut index = |choices: &[u64]| *g.choose(choices).unwrap();
        let start = index(&[0, 1]) << 30 | index(&[0, 1, 511]) << 21 | index(&[0, 1, 511]) << 12;
        let len = index(&[1, 2, 3]) << bits;
        let aligned = index(&[bits, bits, bits.max(21) - 9]);
        // Of 48 bits, from 1 GiB on: the crate subtracts offsets in a block from it.
        let frame = u64::arbitrary(g) >> 17 | 1 << 30;
        Self {
            start: start >> bits << bits,
            len,
            frame: frame >> aligned << aligned,
            flags: Flags::from_bits_retain(usize::arbitrary(g)) & RANGE_FLAGS,
        }
    }
}

/// Which half of the address space, and at which level its tables begin.
#[derive(Clone, Copy, Debug)]
struct Half {
    root_level: u32,
    upper: bool,
}

impl Arbitrary for Half {
    fn arbitrary(g: &mut Gen) -> Self {
        Self { root_level: *g.choose(&[0, 1]).unwrap(), upper: bool::arbitrary(g) }
    }
}

impl Half {
    /// Bits of address that the tables translate: 48 or 39.
    fn bits(self) -> u32 {
        48 - 9 * self.root_level
    }

    fn first(self) -> u64 {
        if self.upper { u64::MAX << self.bits() } else { 0 }
    }
}

/// Tables as the crate makes them, and the ranges that are in them, last one first.
struct Tables {
    half: Half,
    bytes: Vec<u8>,
    root: u64,
    mapped: Vec<Asked>,
}

impl Tables {
    fn of(half: Half, ranges: &[Asked]) -> Self {
        let range = if half.upper { VaRange::Upper } else { VaRange::Lower };
        let level = usize::try_from(half.root_level).unwrap();
        let allocator = TargetAllocator::new(TABLES);
        let mut root = RootTable::with_va_range(allocator, level, El1And0, range);
        for asked in ranges {
            let start = usize::try_from(half.first() + asked.start).unwrap();
            let region = MemoryRegion::new(start, start + usize::try_from(asked.len).unwrap());
            let frame = PhysicalAddress(usize::try_from(asked.frame).unwrap());
            root.map_range(&region, frame, asked.flags | Flags::VALID, Constraints::empty())
                .unwrap();
        }
        Self {
            half,
            bytes: root.translation().as_bytes(),
            root: root.to_physical().0 as u64,
            mapped: ranges.iter().rev().cloned().collect(),
        }
    }

    /// The tables in emulated memory.
    fn memory(&self) -> Memory {
        let mut memory = Memory::ram(1 << 48);
        memory.load(PhysAddr::new(TABLES), &self.bytes).unwrap();
        memory
    }

    /// Returns the answer that is expected at EL0 or EL1, with SCTLR_EL1.WXN and PSTATE.PAN clear: the last
    /// range that has the address decides.
    fn expected(&self, access: Access) -> Result<(PhysAddr, Attributes), Cause> {
        let offset = access.addr.raw() - self.half.first();
        let has = |asked: &&Asked| (asked.start..asked.start + asked.len).contains(&offset);
        let asked = self.mapped.iter().find(has).ok_or(Cause::Absent)?;
        if !asked.flags.contains(Flags::ACCESSED) {
            return Err(Cause::AccessFlag);
        }
        let at_el0 = access.privilege == Privilege::User;
        let user = asked.flags.contains(Flags::USER);
        let writable = !asked.flags.contains(Flags::READ_ONLY);
        let readable = user || !at_el0;
        let never = asked.flags.contains(if at_el0 { Flags::UXN } else { Flags::PXN })
            // What EL0 can write, EL1 does not execute.
            || !at_el0 && user && writable;
        match access.kind {
            AccessKind::Fetch if never => Err(Cause::Permission),
            AccessKind::Fetch => Ok(()),
            _ if !readable => Err(Cause::Permission),
            kind if kind.writes() && !writable => Err(Cause::ReadOnly),
            _ => Ok(()),
        }?;
        let index = u8::try_from((asked.flags & Flags::ATTRIBUTE_INDEX_7).bits() >> 2).unwrap();
        Ok((PhysAddr::new(asked.frame + (offset - asked.start)), Attributes(index)))
    }
}

/// A processing element at whose TTBR the first table is, with 4 KiB granules and 48 bits of physical address.
fn processing_element(tables: &Tables, memory: &mut Memory) -> Paging<AArch64> {
    let size = u64::from(64 - tables.half.bits());
    let tcr = 5 << 32 | 0b10 << 30 | size << 16 | size;
    let ttbr = if tables.half.upper { TTBR1_EL1 } else { TTBR0_EL1 };
    let mut unit = Paging::uncached(AArch64::new());
    for (register, value) in [(ttbr, tables.root), (TCR_EL1, tcr), (MAIR_EL1, 0), (SCTLR_EL1, 1)] {
        unit.write_register(register, value, memory, &mut ()).unwrap();
    }
    unit
}

fn agrees(tables: &Tables, unit: &mut Paging<AArch64>, memory: &mut Memory, offset: u64) {
    let addr = VirtAddr::new(tables.half.first() + offset);
    for kind in AccessKind::ALL {
        for privilege in [Privilege::User, Privilege::Supervisor] {
            let access = Access::new(kind, addr, 1).with_privilege(privilege);
            let found = unit.translate(access, memory, &mut ());
            let got =
                found.map(|found| (found.addr, found.attributes)).map_err(|fault| fault.cause);
            assert_eq!(got, tables.expected(access), "{access} in {:#x?}", tables.mapped);
        }
    }
}

quickcheck! {
    fn emmu_translates_what_was_mapped(half: Half, ranges: Vec<Asked>, within: u64) -> bool {
        let tables = Tables::of(half, &ranges);
        let mut memory = tables.memory();
        let mut unit = processing_element(&tables, &mut memory);
        for asked in &ranges {
            // The bytes at both ends, those before and after, and one within.
            let end = asked.start + asked.len;
            let offsets = [asked.start, asked.start + within % asked.len, end - 1, end];
            for offset in offsets.into_iter().chain(asked.start.checked_sub(1)) {
                agrees(&tables, &mut unit, &mut memory, offset);
            }
        }
        true
    }

    fn a_range_of_whole_blocks_is_blocks(half: Half, block: bool, count: u8) -> bool {
        let bits = if block { 30 } else { 21 };
        let len = u64::from(count % 3 + 1) << bits;
        let asked = Asked { start: 1 << bits, len, frame: 4 << 30, flags: Flags::ACCESSED };
        let tables = Tables::of(half, &[asked]);
        let mut memory = tables.memory();
        let mut unit = processing_element(&tables, &mut memory);
        let addr = VirtAddr::new(half.first() + (1 << bits));
        let found = unit.translate(Access::load(addr, 1), &mut memory, &mut ());
        found.is_ok_and(|found| found.span == 1 << bits)
    }
}
