//! Address spaces of pages: one tree of tables each, in emulated memory, built on demand.

mod aarch64;
mod asids;
mod riscv;
mod shape;
mod tree;
mod x86;

pub use aarch64::AArch64Tables;
pub use riscv::RiscVTables;
pub use shape::{Roots, TableShape};
pub use x86::X86Tables;

use super::{AddressSpaces, Mapped, MemoryUsage, PhysicalMemory};
use crate::frames::FramePool;
use crate::kernel::FRAME_BITS;
use crate::{
    CpuPort, Growth, KernelPort, Layout, LayoutError, MemoryError, OsError, Region, Rights,
};
use alloc::vec;
use asids::Asids;
use core::ops::RangeInclusive;
use emmu_core::{Asid, Invalidate, PhysAddr, Privilege, VirtAddr};
use tree::Tree;

/// The page tables of an architecture, and the operations that it demands when they change.
pub trait TableFormat {
    /// Returns the number of levels, and the sizes of pages and entries.
    fn shape(&self) -> TableShape;

    /// An entry of this level that points to a table which `user` entries, or only the kernel's, hang from.
    fn table(&self, table: PhysAddr, level: u8, owner: Privilege) -> u64;

    /// An entry of this level that maps a page with these rights, for user mode or for the kernel alone. The
    /// kernel's are in every address space alike.
    fn page(&self, page: PhysAddr, level: u8, rights: Rights, owner: Privilege) -> u64;

    /// Returns the address to which an entry points, if it points to anything.
    fn target(&self, entry: u64) -> Option<PhysAddr>;

    /// Turns translation on, with this root and ASID 0. Returns the largest ASID; `None` if there are no ASIDs, so that
    /// to [`enter`](Self::enter) an address space drops the entries of the last one. Of two roots, `root` is the
    /// kernel's.
    ///
    /// # Errors
    /// [`OsError`] if the machine cannot.
    fn start(&self, cpu: &mut dyn CpuPort, root: PhysAddr) -> Result<Option<Asid>, OsError>;

    /// Makes another root, of two the programs', and ASID those of the CPU. Nothing is invalidated.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn enter(&self, cpu: &mut dyn CpuPort, root: PhysAddr, asid: Asid) -> Result<(), OsError>;

    /// An entry was made valid, for the page at `addr` or for a table above it: does what the architecture
    /// asks for before the CPU may be relied upon to see it.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn made_valid(
        &self,
        cpu: &mut dyn CpuPort,
        addr: VirtAddr,
        asid: Asid,
        entry: Valid,
    ) -> Result<(), OsError>;
}

/// The kind of entry that was made valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// One that points to a table.
    Table,
    /// One that maps a page.
    Page,
}

/// Address spaces of pages. User mode has the lower half of the addresses; the upper half is the kernel's, the
/// same in every space: a window to all of physical memory (on 32-bit machines to what lies from the start of
/// memory on), through which it reads and writes tables and frames once translation is on.
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
    /// The root without anything for programs: the kernel's, or of two the programs' while there is none.
    idle: PhysAddr,
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
            idle: PhysAddr::ZERO,
            tables: 0,
            pages: 0,
        }
    }

    fn shape(&self) -> TableShape {
        self.format.shape()
    }

    /// Builds the kernel's tables, where translation is still off.
    fn build_window(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.check_pages(memory)?;
        self.check_window(memory)?;
        let shape = self.shape();
        let page_bits = u32::from(shape.page_bits);
        let mut own = FramePool::new(memory.start(), memory.kernel_size() >> page_bits, page_bits);
        self.root = empty_table(kernel, &mut own)?;
        self.idle = match shape.roots {
            Roots::Shared => self.root,
            Roots::Apart => empty_table(kernel, &mut own)?,
        };
        let tree = Tree { format: &self.format, root: self.root, owner: Privilege::Supervisor };
        for block in blocks(&shape, memory, shape.window_level) {
            let page = PhysAddr::new(block << shape.level_bits(shape.window_level));
            let addr = self.window(memory).wrapping_add(page.raw());
            let slot = tree.find(kernel, addr, shape.window_level)?;
            let (rights, owner) = (Rights::RW, Privilege::Supervisor);
            let entry = self.format.page(page, shape.window_level, rights, owner);
            tree.hang(kernel, &mut own, addr, slot, entry)?;
        }
        Ok(())
    }

    /// Memory is made of whole frames; here they are pages, which may be larger.
    fn check_pages(&self, memory: &PhysicalMemory) -> Result<(), MemoryError> {
        let parts = [
            ("the start of memory", memory.start().raw()),
            ("its end", memory.end().raw()),
            ("the kernel's part", memory.kernel_size()),
        ];
        let frame = self.shape().page();
        match parts.into_iter().find(|(_, value)| !value.is_multiple_of(frame)) {
            Some((what, value)) => Err(MemoryError::Unaligned { what, value, frame }),
            None => Ok(()),
        }
    }

    fn check_window(&self, memory: &PhysicalMemory) -> Result<(), MemoryError> {
        let shape = self.shape();
        let limit = 1 << shape.half_bits();
        if memory.end().raw() - shape.base(memory.start()).raw() > limit {
            return Err(MemoryError::BeyondWindow { end: memory.end(), limit });
        }
        let last = memory.end().wrapping_add(u64::MAX).align_down(shape.page_bits.into());
        let entry = self.format.page(last, 0, Rights::RW, Privilege::User) & shape.entry.mask();
        if self.format.target(entry) != Some(last) {
            return Err(MemoryError::BeyondEntries { end: memory.end() });
        }
        let tables_of = |level| blocks(&shape, memory, level + 1).count() as u64;
        let below_root: u64 = (shape.window_level..shape.levels - 1).map(tables_of).sum();
        let roots = match shape.roots {
            Roots::Shared => 1,
            Roots::Apart => 2,
        };
        let needed = (roots + below_root) << shape.page_bits;
        let kernel = memory.kernel_size();
        if kernel < needed { Err(MemoryError::KernelTooSmall { kernel, needed }) } else { Ok(()) }
    }

    fn check_layout(&self, layout: &Layout) -> Result<(), LayoutError> {
        let page = self.shape().page();
        layout.regions().iter().try_for_each(|region| {
            let (start, len, end, limit) =
                (region.start(), region.size(), region.end(), self.user_end());
            if end > limit {
                return Err(LayoutError::OutOfSpace { start, end, limit });
            }
            if !start.raw().is_multiple_of(page) || !len.is_multiple_of(page) {
                return Err(LayoutError::Unaligned { start, len, page });
            }
            Ok(())
        })
    }

    /// Writes a new root: nothing for programs, and for the kernel what every root has.
    fn write_root(&self, kernel: &mut KernelPort<'_>, root: PhysAddr) -> Result<(), OsError> {
        let (users, page) = (self.shape().users_part(), self.shape().page());
        if users == page {
            return Ok(kernel.fill(root, page, &[])?);
        }
        let mut shared = vec![0; usize::try_from(page - users).unwrap_or(0)];
        kernel.load_bytes(self.root.wrapping_add(users), &mut shared)?;
        kernel.fill(root, users, &[])?;
        kernel.store_bytes(root.wrapping_add(users), &shared)?;
        Ok(())
    }

    /// Frees what the entries in the first `len` bytes of a table of this level lead to.
    fn release(
        &mut self,
        kernel: &mut KernelPort<'_>,
        table: PhysAddr,
        level: u8,
        len: u64,
    ) -> Result<(), OsError> {
        for target in tree::targets(&self.format, kernel, table, len)? {
            if level > 0 {
                self.release(kernel, target, level - 1, self.shape().page())?;
                self.free_table(kernel, target)?;
            } else {
                self.pool.give(kernel, target)?;
                self.pages = self.pages.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn free_table(&mut self, kernel: &mut KernelPort<'_>, table: PhysAddr) -> Result<(), OsError> {
        self.tables = self.tables.saturating_sub(1);
        self.pool.give(kernel, table)
    }
}

/// Takes a frame for a table, and clears it.
fn empty_table(kernel: &mut KernelPort<'_>, pool: &mut FramePool) -> Result<PhysAddr, OsError> {
    let table = pool.take(kernel)?;
    kernel.fill(table, pool.frame(), &[])?;
    Ok(table)
}

/// The naturally aligned blocks that physical memory touches, of the size that an entry of this level maps.
fn blocks(shape: &TableShape, memory: &PhysicalMemory, level: u8) -> RangeInclusive<u64> {
    let bits = shape.level_bits(level);
    memory.start().block(bits)..=memory.end().wrapping_add(u64::MAX).block(bits)
}

impl<F: TableFormat> AddressSpaces for Paged<F> {
    type Space = PagedSpace;

    fn window(&self, memory: &PhysicalMemory) -> VirtAddr {
        self.shape().window(self.shape().base(memory.start()))
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(1 << self.shape().half_bits())
    }

    fn boot(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.build_window(kernel, memory)?;
        let last = self.format.start(kernel.cpu_mut(), self.root)?;
        kernel.move_window(self.window(memory));
        self.asids = Asids::up_to(last);
        let page_bits = u32::from(self.shape().page_bits);
        let pages = memory.pool_frames() << FRAME_BITS >> page_bits;
        self.pool = FramePool::new(memory.pool(), pages, page_bits);
        match self.shape().roots {
            Roots::Shared => Ok(()),
            Roots::Apart => self.leave(kernel),
        }
    }

    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
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
    fn map(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut PagedSpace,
        region: &Region,
        addr: VirtAddr,
    ) -> Result<Mapped, OsError> {
        let shape = self.shape();
        let page = addr.align_down(shape.page_bits.into());
        let tree = Tree { format: &self.format, root: space.root, owner: Privilege::User };
        let slot = tree.find(kernel, page, 0)?;
        if slot.taken {
            let asid = space.asid;
            let page = Invalidate::PageInAsid { addr, asid, global: false };
            kernel.cpu_mut().invalidate(page)?;
            return Ok(Mapped::Already);
        }
        self.pool.check(slot.missing() + 1)?;
        let frame = self.pool.take(kernel)?;
        kernel.fill(frame, shape.page(), region.image_from(page))?;
        let entry = self.format.page(frame, 0, region.rights(), Privilege::User);
        tree.hang(kernel, &mut self.pool, page, slot, entry)?;
        self.pages += 1;
        self.tables += slot.missing();
        let made = if slot.missing() > 0 { Valid::Table } else { Valid::Page };
        self.format.made_valid(kernel.cpu_mut(), page, space.asid, made)?;
        Ok(Mapped::Page { tables: slot.missing() })
    }

    /// Nothing is mapped before it is used.
    fn grow(
        &mut self,
        _: &mut KernelPort<'_>,
        _: &mut PagedSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        self.check_layout(growth.layout())?;
        Ok(0)
    }

    fn enter(&mut self, kernel: &mut KernelPort<'_>, space: &PagedSpace) -> Result<(), OsError> {
        self.format.enter(kernel.cpu_mut(), space.root, space.asid)
    }

    /// The kernel's own tables have nothing for programs, and neither has the empty one beside them.
    fn leave(&mut self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.format.enter(kernel.cpu_mut(), self.idle, Asid(0))
    }

    /// Invalidates the entries of the space before the first of its frames is free for others.
    fn destroy(&mut self, kernel: &mut KernelPort<'_>, space: PagedSpace) -> Result<(), OsError> {
        kernel.cpu_mut().invalidate(Invalidate::Asid(space.asid))?;
        let shape = self.shape();
        self.release(kernel, space.root, shape.levels - 1, shape.users_part())?;
        self.free_table(kernel, space.root)?;
        self.asids.give(space.asid);
        Ok(())
    }

    fn usage(&self) -> MemoryUsage {
        let page = self.shape().page();
        MemoryUsage {
            total: self.pool.total() * page,
            free: self.pool.free() * page,
            tables: self.tables * page,
            programs: self.pages * page,
        }
    }
}
