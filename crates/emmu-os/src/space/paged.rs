//! Address spaces of pages: one tree of tables each, in emulated memory, built on demand.

mod asids;
mod riscv;
mod tree;
mod x86;

pub use riscv::RiscVTables;
pub use x86::X86Tables;

use super::{AddressSpaces, Mapped, MemoryUsage, PhysicalMemory};
use crate::frames::FramePool;
use crate::kernel::{FRAME, FRAME_BITS, FRAME_LEN};
use crate::{CpuPort, Growth, Kernel, Layout, LayoutError, MemoryError, OsError, Region, Rights};
use asids::Asids;
use core::ops::RangeInclusive;
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege, VirtAddr, low_mask};
use tree::{ENTRIES, Tree};

/// How an architecture writes page tables, and what it wants to be told of them. Tables have 512 entries of
/// 8 bytes and pages 4 KiB; level 0 is the level of the smallest pages.
pub trait TableFormat {
    /// Levels of tables, at least 3.
    fn levels(&self) -> u8;

    /// An entry that points to a table which `user` entries, or only the kernel's, hang from.
    fn table(&self, table: PhysAddr, owner: Privilege) -> u64;

    /// An entry of this level that maps a page with these rights, for user mode or for the kernel alone. The
    /// kernel's are in every address space alike.
    fn page(&self, page: PhysAddr, level: u8, rights: Rights, owner: Privilege) -> u64;

    /// What an entry points to, if it points to anything.
    fn target(&self, entry: u64) -> Option<PhysAddr>;

    /// Turns translation on, with this root and ASID 0, and returns the largest ASID.
    ///
    /// # Errors
    /// [`OsError`] if the machine cannot.
    fn start<C: CpuPort>(&self, cpu: &mut C, root: PhysAddr) -> Result<Asid, OsError>;

    /// Makes another root and ASID those of the CPU. Nothing is invalidated.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn enter<C: CpuPort>(&self, cpu: &mut C, root: PhysAddr, asid: Asid) -> Result<(), OsError>;

    /// An entry was made valid, for the page at `addr` or for a table above it: does what the architecture
    /// asks for before the CPU may be relied upon to see it.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn made_valid<C: CpuPort>(
        &self,
        cpu: &mut C,
        addr: VirtAddr,
        asid: Asid,
        entry: Valid,
    ) -> Result<(), OsError>;
}

/// Which kind of entry was made valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// One that points to a table.
    Table,
    /// One that maps a page.
    Page,
}

/// The level whose pages, 1 GiB each, make up the kernel's window.
const WINDOW_LEVEL: u8 = 2;

/// Address spaces of pages. User mode has the lower half of the addresses; the upper half is the kernel's, the
/// same in every space: a window to all of physical memory, through which it reads and writes tables and
/// frames once translation is on.
///
/// Pages are mapped one at a time, when they are first used. The kernel's own tables are in its part of the
/// memory, which must be where the machine can reach it without translation.
#[derive(Clone, Debug)]
pub struct Paged<F> {
    format: F,
    pool: FramePool,
    asids: Asids,
    /// The kernel's own root.
    root: PhysAddr,
    tables: u64,
    pages: u64,
}

/// The root of one space's tables, and its ASID.
#[derive(Debug, PartialEq, Eq)]
pub struct PagedSpace {
    root: PhysAddr,
    asid: Asid,
}

impl PagedSpace {
    /// Where the root table is.
    #[must_use]
    pub const fn root(&self) -> PhysAddr {
        self.root
    }

    /// The address-space identifier.
    #[must_use]
    pub const fn asid(&self) -> Asid {
        self.asid
    }
}

impl<F: TableFormat> Paged<F> {
    /// Address spaces with tables of this format.
    #[must_use]
    pub fn new(format: F) -> Self {
        Self {
            format,
            pool: FramePool::default(),
            asids: Asids::default(),
            root: PhysAddr::ZERO,
            tables: 0,
            pages: 0,
        }
    }

    /// Log2 of the bytes of one half of the address space.
    fn half_bits(&self) -> u32 {
        tree::level_bits(self.format.levels()) - 1
    }

    /// Builds the kernel's tables, where translation is still off.
    fn build_window<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.check_window(memory)?;
        let mut own = FramePool::new(memory.start(), memory.kernel_size() >> FRAME_BITS);
        self.root = own.take(kernel)?;
        kernel.fill(self.root, FRAME, &[])?;
        let tree = Tree { format: &self.format, root: self.root, owner: Privilege::Supervisor };
        for block in blocks(memory, WINDOW_LEVEL) {
            let page = PhysAddr::new(block << tree::level_bits(WINDOW_LEVEL));
            let addr = self.window().wrapping_add(page.raw());
            let slot = tree.find(kernel, addr, WINDOW_LEVEL)?;
            let entry = self.format.page(page, WINDOW_LEVEL, Rights::RW, Privilege::Supervisor);
            tree.hang(kernel, &mut own, addr, slot, entry)?;
        }
        Ok(())
    }

    fn check_window(&self, memory: &PhysicalMemory) -> Result<(), MemoryError> {
        let limit = 1 << self.half_bits();
        if memory.end().raw() > limit {
            return Err(MemoryError::BeyondWindow { end: memory.end(), limit });
        }
        let tables_of = |level| blocks(memory, level + 1).count() as u64;
        let below_root: u64 = (WINDOW_LEVEL..self.format.levels() - 1).map(tables_of).sum();
        let needed = (1 + below_root) << FRAME_BITS;
        let kernel = memory.kernel_size();
        if kernel < needed { Err(MemoryError::KernelTooSmall { kernel, needed }) } else { Ok(()) }
    }

    fn check_layout(&self, layout: &Layout) -> Result<(), LayoutError> {
        layout.regions().iter().try_for_each(|region| {
            let (start, len, end, limit) =
                (region.start(), region.size(), region.end(), self.user_end());
            if end > limit {
                return Err(LayoutError::OutOfSpace { start, end, limit });
            }
            if start.offset(FRAME_BITS) != 0 || len & low_mask(FRAME_BITS) != 0 {
                return Err(LayoutError::Unaligned { start, len, page: FRAME });
            }
            Ok(())
        })
    }

    /// Writes a new root: nothing in the lower half, and in the upper what every root has.
    fn write_root<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
        root: PhysAddr,
    ) -> Result<(), OsError> {
        let mut shared = [0; FRAME_LEN / 2];
        kernel.load_bytes(self.root.wrapping_add(FRAME / 2), &mut shared)?;
        kernel.fill(root, FRAME / 2, &[])?;
        kernel.store_bytes(root.wrapping_add(FRAME / 2), &shared)?;
        Ok(())
    }

    /// Frees what the first `entries` entries of a table of this level lead to.
    fn release<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        table: PhysAddr,
        level: u8,
        entries: usize,
    ) -> Result<(), OsError> {
        for entry in tree::read_table(kernel, table, entries)? {
            let Some(target) = self.format.target(entry) else { continue };
            if level > 0 {
                self.release(kernel, target, level - 1, ENTRIES)?;
                self.free_table(kernel, target)?;
            } else {
                self.pool.give(kernel, target)?;
                self.pages = self.pages.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn free_table<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        table: PhysAddr,
    ) -> Result<(), OsError> {
        self.tables = self.tables.saturating_sub(1);
        self.pool.give(kernel, table)
    }
}

/// The naturally aligned blocks that physical memory touches, of the size that an entry of this level maps.
fn blocks(memory: &PhysicalMemory, level: u8) -> RangeInclusive<u64> {
    let bits = tree::level_bits(level);
    memory.start().block(bits)..=memory.end().wrapping_add(u64::MAX).block(bits)
}

impl<F: TableFormat> AddressSpaces for Paged<F> {
    type Space = PagedSpace;

    fn window(&self) -> VirtAddr {
        VirtAddr::new(!low_mask(self.half_bits()))
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(1 << self.half_bits())
    }

    fn boot<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.build_window(kernel, memory)?;
        let last = self.format.start(kernel.cpu_mut(), self.root)?;
        kernel.move_window(self.window());
        self.asids = Asids::up_to(last);
        self.pool = FramePool::new(memory.pool(), memory.pool_frames());
        Ok(())
    }

    fn create<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        layout: &Layout,
    ) -> Result<PagedSpace, OsError> {
        self.check_layout(layout)?;
        self.pool.check(1)?;
        let asid = self.asids.take()?;
        let root = self.pool.take(kernel)?;
        self.tables += 1;
        self.write_root(kernel, root)?;
        Ok(PagedSpace { root, asid })
    }

    /// The page is complete before its entry is, and a new table before the entry that points to it: a walk
    /// at any moment finds nothing or the whole.
    fn map<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: &mut PagedSpace,
        region: &Region,
        addr: VirtAddr,
    ) -> Result<Mapped, OsError> {
        let page = addr.align_down(FRAME_BITS);
        let tree = Tree { format: &self.format, root: space.root, owner: Privilege::User };
        let slot = tree.find(kernel, page, 0)?;
        if slot.taken {
            kernel.cpu_mut().invalidate(Invalidate::PageInAsid { addr, asid: space.asid })?;
            return Ok(Mapped::Already);
        }
        self.pool.check(slot.missing() + 1)?;
        let frame = self.pool.take(kernel)?;
        kernel.fill(frame, FRAME, region.image_from(page))?;
        let entry = self.format.page(frame, 0, region.rights(), Privilege::User);
        tree.hang(kernel, &mut self.pool, page, slot, entry)?;
        self.pages += 1;
        self.tables += slot.missing();
        let made = if slot.missing() > 0 { Valid::Table } else { Valid::Page };
        self.format.made_valid(kernel.cpu_mut(), page, space.asid, made)?;
        Ok(Mapped::Page { tables: slot.missing() })
    }

    /// Nothing is mapped before it is used.
    fn grow<C: CpuPort>(
        &mut self,
        _: &mut Kernel<C>,
        _: &mut PagedSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        self.check_layout(growth.layout())?;
        Ok(0)
    }

    fn enter<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: &PagedSpace,
    ) -> Result<(), OsError> {
        self.format.enter(kernel.cpu_mut(), space.root, space.asid)
    }

    /// The kernel's own tables have no user half.
    fn leave<C: CpuPort>(&mut self, kernel: &mut Kernel<C>) -> Result<(), OsError> {
        self.format.enter(kernel.cpu_mut(), self.root, Asid(0))
    }

    /// The hardware forgets the space before the first of its frames is free for others.
    fn destroy<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: PagedSpace,
    ) -> Result<(), OsError> {
        kernel.cpu_mut().invalidate(Invalidate::Asid(space.asid))?;
        self.release(kernel, space.root, self.format.levels() - 1, ENTRIES / 2)?;
        self.free_table(kernel, space.root)?;
        self.asids.give(space.asid);
        Ok(())
    }

    fn usage(&self) -> MemoryUsage {
        MemoryUsage {
            total: self.pool.total() << FRAME_BITS,
            free: self.pool.free() << FRAME_BITS,
            tables: self.tables << FRAME_BITS,
            programs: self.pages << FRAME_BITS,
        }
    }
}
