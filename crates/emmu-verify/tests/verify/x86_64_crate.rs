//! Page tables written with the crate `x86_64`, as an OS would write them, and walked by emmu: the address and
//! the rights of every mapping are those that were asked for.
//!
//! The crate's mappers (`MappedPageTable`, `OffsetPageTable`) write through pointers made from frame numbers, so
//! both their constructors and `Mapper::map_to` are `unsafe`, and no part of emmu may be. The tables here
//! are the crate's safe parts instead: `PageTable`s indexed by the crate's `page_table_index`, with entries
//! that its `set_frame` and `set_addr` make of its flags, in the order in which `map_to_with_table_flags` does.

use emmu_core::{
    Access, AccessKind, Attributes, Bus, Cause, PhysAddr, Privilege, TranslationUnit, VirtAddr,
    Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Paging, X86,
    format::x86::{CR0, CR3, CR4, Cr0, Cr4, EFER, Efer},
};
use emmu_property::{Arbitrary, Gen, quickcheck};
use x86_64::structures::paging::page_table::PageTableLevel;
use x86_64::structures::paging::{PageTable, PageTableFlags as Flags, PhysFrame};

/// The frame of the first table; the others follow it.
const ROOT: u64 = 0x10_0000;

/// The flags that a page may have: all that the processor uses or ignores, except `PRESENT` and `HUGE_PAGE`,
/// which follow. The accessed and dirty flags, which the walk sets, may be set or clear.
const PAGE_FLAGS: Flags = Flags::all().difference(Flags::PRESENT.union(Flags::HUGE_PAGE));
/// The flags that the tables on the way may have.
const TABLE_FLAGS: Flags = Flags::WRITABLE
    .union(Flags::USER_ACCESSIBLE)
    .union(Flags::NO_EXECUTE)
    .union(Flags::WRITE_THROUGH)
    .union(Flags::NO_CACHE)
    .union(Flags::ACCESSED)
    .union(Flags::BIT_9)
    .union(Flags::BIT_52);

/// A page to map.
#[derive(Clone, Debug)]
struct Asked {
    page: u64,
    frame: u64,
    /// The level whose entry maps it: 4 KiB, 2 MiB or 1 GiB.
    level: PageTableLevel,
    flags: Flags,
    table_flags: Flags,
}

impl Asked {
    /// Log2 of the bytes that an entry of this level maps.
    fn bits(level: PageTableLevel) -> u32 {
        12 + 9 * (level as u32 - 1)
    }

    fn size(&self) -> u64 {
        1 << Self::bits(self.level)
    }

    fn has(&self, addr: u64) -> bool {
        addr & !(self.size() - 1) == self.page
    }
}

impl Arbitrary for Asked {
    /// Indices of few values, so that tables are shared; frames anywhere in 52 bits.
    fn arbitrary(g: &mut Gen) -> Self {
        let levels = [PageTableLevel::One, PageTableLevel::Two, PageTableLevel::Three];
        let level = *g.choose(&levels).unwrap();
        let mut index = |choices: &[u64]| *g.choose(choices).unwrap();
        let page = index(&[0, 1, 255, 256, 511]) << 39
            | index(&[0, 7, 511]) << 30
            | index(&[0, 1, 511]) << 21
            | index(&[0, 1, 2, 510, 511]) << 12;
        let aligned = !((1 << Self::bits(level)) - 1);
        Self {
            page: x86_64::VirtAddr::new_truncate(page & aligned).as_u64(),
            frame: x86_64::PhysAddr::new_truncate(u64::arbitrary(g) & aligned).as_u64(),
            level,
            flags: Flags::from_bits_retain(u64::arbitrary(g)) & PAGE_FLAGS,
            table_flags: Flags::from_bits_retain(u64::arbitrary(g)) & TABLE_FLAGS,
        }
    }
}

/// A 4-level hierarchy, and the pages that are in it.
struct Tables {
    tables: Vec<PageTable>,
    mapped: Vec<Asked>,
}

impl Tables {
    /// Maps all pages but those that overlap an earlier one.
    fn of(pages: &[Asked]) -> Self {
        let mut tables = Self { tables: vec![PageTable::new()], mapped: Vec::new() };
        for asked in pages {
            let overlaps = |other: &Asked| other.has(asked.page) || asked.has(other.page);
            if !tables.mapped.iter().any(overlaps) {
                tables.map(asked);
                tables.mapped.push(asked.clone());
            }
        }
        tables
    }

    fn map(&mut self, asked: &Asked) {
        let addr = x86_64::VirtAddr::new(asked.page);
        let mut level = PageTableLevel::Four;
        let mut table = 0;
        while level != asked.level {
            table = self.table_below(table, addr, level, asked.table_flags);
            level = level.next_lower_level().unwrap();
        }
        let large = if level == PageTableLevel::One { Flags::empty() } else { Flags::HUGE_PAGE };
        let entry = &mut self.tables[table][addr.page_table_index(level)];
        assert!(entry.is_unused());
        entry.set_addr(x86_64::PhysAddr::new(asked.frame), asked.flags | Flags::PRESENT | large);
    }

    /// The table that the entry for `addr` names, made if there is none, with these flags added to the entry.
    fn table_below(
        &mut self,
        table: usize,
        addr: x86_64::VirtAddr,
        level: PageTableLevel,
        flags: Flags,
    ) -> usize {
        let new = self.tables.len();
        let entry = &mut self.tables[table][addr.page_table_index(level)];
        if !entry.is_unused() {
            entry.set_flags(entry.flags() | flags);
            return usize::try_from(
                (entry.frame().unwrap().start_address().as_u64() - ROOT) / 4096,
            )
            .unwrap();
        }
        let frame = x86_64::PhysAddr::new(ROOT + new as u64 * 4096);
        entry.set_frame(PhysFrame::from_start_address(frame).unwrap(), flags | Flags::PRESENT);
        self.tables.push(PageTable::new());
        new
    }

    /// The tables in emulated memory.
    fn memory(&self) -> Memory {
        let mut memory = Memory::ram(1 << 52);
        let entries = self.tables.iter().flat_map(PageTable::iter);
        for (addr, entry) in (ROOT..).step_by(8).zip(entries) {
            let raw = entry.addr().as_u64() | entry.flags().bits();
            if raw != 0 {
                memory.write(PhysAddr::new(addr), Width::B8, raw).unwrap();
            }
        }
        memory
    }

    /// The flags of the page at `addr` with what its tables leave of them: a right that each level must grant,
    /// and a prohibition that each may add. A table has the flags of all pages below it.
    fn rights(&self, asked: &Asked) -> Flags {
        let mut rights = asked.flags;
        for level in [PageTableLevel::Two, PageTableLevel::Three, PageTableLevel::Four] {
            if level as u8 <= asked.level as u8 {
                continue;
            }
            let shift = Asked::bits(level);
            let shares = |other: &&Asked| {
                other.page >> shift == asked.page >> shift && (other.level as u8) < level as u8
            };
            let sharing = self.mapped.iter().filter(shares).map(|other| other.table_flags);
            let table = sharing.fold(Flags::empty(), Flags::union);
            rights &= table | !(Flags::WRITABLE | Flags::USER_ACCESSIBLE);
            rights |= table & Flags::NO_EXECUTE;
        }
        rights
    }

    /// Returns the answer that the processor is to give, with CR0.WP and EFER.NXE, and without SMEP, SMAP and PKE.
    fn expected(&self, access: Access) -> Result<(PhysAddr, u64, Attributes), Cause> {
        let addr = access.addr.raw();
        let asked = self.mapped.iter().find(|asked| asked.has(addr)).ok_or(Cause::Absent)?;
        let rights = self.rights(asked);
        let user = access.privilege == Privilege::User;
        if user && !rights.contains(Flags::USER_ACCESSIBLE) {
            return Err(Cause::Permission);
        }
        match access.kind {
            AccessKind::Fetch if rights.contains(Flags::NO_EXECUTE) => Err(Cause::Permission),
            AccessKind::Store | AccessKind::Amo if !rights.contains(Flags::WRITABLE) => {
                Err(Cause::ReadOnly)
            }
            _ => {
                let offset = addr - asked.page;
                let index = u8::from(rights.contains(Flags::WRITE_THROUGH))
                    | u8::from(rights.contains(Flags::NO_CACHE)) << 1;
                let found = PhysAddr::new(asked.frame + offset);
                Ok((found, asked.size() - offset, Attributes(index)))
            }
        }
    }
}

/// A processor in 4-level paging whose CR3 names the first table.
fn processor(memory: &mut Memory) -> Paging<X86> {
    let mut unit = Paging::uncached(X86::new(52));
    for (register, value) in [
        (EFER, (Efer::LME | Efer::NXE).bits()),
        (CR4, (Cr4::PAE | Cr4::PGE).bits()),
        (CR3, ROOT),
        (CR0, (Cr0::PE | Cr0::PG | Cr0::WP).bits()),
    ] {
        unit.write_register(register, value, memory, &mut ()).unwrap();
    }
    unit
}

fn agrees(tables: &Tables, unit: &mut Paging<X86>, memory: &mut Memory, addr: u64) {
    for kind in AccessKind::ALL {
        for privilege in [Privilege::User, Privilege::Supervisor] {
            let access = Access::new(kind, VirtAddr::new(addr), 1).with_privilege(privilege);
            let found = unit.translate(access, memory, &mut ());
            let got = found
                .map(|found| (found.addr, found.span, found.attributes))
                .map_err(|fault| fault.cause);
            assert_eq!(got, tables.expected(access), "{access} in {:#x?}", tables.mapped);
        }
    }
}

quickcheck! {
    fn emmu_translates_what_was_mapped(pages: Vec<Asked>, others: Vec<Asked>, within: u64) -> bool {
        let tables = Tables::of(&pages);
        let mut memory = tables.memory();
        let mut unit = processor(&mut memory);
        for asked in pages.iter().chain(&others) {
            let last = asked.size() - 1;
            for offset in [0, within & last, last] {
                agrees(&tables, &mut unit, &mut memory, asked.page + offset);
            }
        }
        true
    }
}
