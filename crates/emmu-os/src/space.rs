//! The seam between the operating system and a machine's way of translating, or of doing without:
//! address spaces.

pub(crate) mod bare;
pub(crate) mod contiguous;
pub(crate) mod paged;
pub(crate) mod segmented;
pub(crate) mod whole;

use crate::kernel::{FRAME, FRAME_BITS};
use crate::{Growth, KernelPort, Layout, MemoryError, OsError, Region};
use alloc::vec::Vec;
use emmu_core::{PhysAddr, VirtAddr};

/// Address spaces on one kind of machine: with page tables, segment registers, or base and bounds.
///
/// A back end decides where programs are in physical memory and how the hardware is told; it owns the free
/// memory, and keeps nothing but the free list's head on this side of the CPU. All methods are called in
/// supervisor mode.
///
/// Later operations of the seam (protect, unmap, fork) have their place beside [`map`](Self::map).
pub trait AddressSpaces {
    /// One address space: the part of the process control block with the values of the translation registers.
    type Space;

    /// Where the kernel sees physical address 0 of a machine with this memory once translation is on, or would see it if
    /// it saw memory alone. Exceptions are handled in memory's part of the window, too.
    fn window(&self, memory: &PhysicalMemory) -> VirtAddr;

    /// One past the last address that a program can have.
    fn user_end(&self) -> VirtAddr;

    /// Takes charge of `memory`, and turns translation on if the kernel needs that. Called once, when the
    /// handler is installed and before any other method.
    ///
    /// # Errors
    /// [`OsError`] if memory or machine are unfit.
    fn boot(&mut self, kernel: &mut KernelPort<'_>, memory: &PhysicalMemory)
    -> Result<(), OsError>;

    /// Makes an address space for this layout.
    ///
    /// # Errors
    /// [`OsError`] if it does not fit; everything is as it was then.
    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<Self::Space, OsError>;

    /// Brings the bytes around `addr`, which is in `region`, into the address space: the hardware said
    /// that nothing is there. The default does nothing, and is for machines on which all that a program has is
    /// there from the start.
    ///
    /// # Errors
    /// [`OsError`] if there is no memory; everything is as it was then.
    fn map(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut Self::Space,
        region: &Region,
        addr: VirtAddr,
    ) -> Result<Mapped, OsError> {
        let _ = (kernel, space, region, addr);
        Ok(Mapped::Nothing)
    }

    /// Makes room for a region that has grown, and returns the number of bytes that had to move for it. The
    /// program keeps its bytes, at the same addresses; the new bytes are zeros. If the CPU has the space, it is
    /// entered again afterwards.
    ///
    /// # Errors
    /// [`OsError`] if there is no room; everything is as it was then.
    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut Self::Space,
        growth: &Growth,
    ) -> Result<u64, OsError>;

    /// Moves a space to other places in physical memory, and returns how many bytes that were. If it is the
    /// CPU's, it is entered again afterwards.
    ///
    /// # Errors
    /// [`OsError::Immovable`] where that cannot be done, [`OsError::OutOfMemory`] if there is no other place;
    /// everything is as it was then.
    fn relocate(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut Self::Space,
    ) -> Result<u64, OsError> {
        let _ = (kernel, space);
        Err(OsError::Immovable)
    }

    /// Moves all spaces there are, so that what is free is in one piece; returns how many bytes that were.
    /// The one that the CPU has is entered again afterwards. The default does nothing, and is for memory
    /// that is never in pieces that matter.
    ///
    /// # Errors
    /// [`OsError::Immovable`] where that cannot be done; everything is as it was then.
    fn compact(
        &mut self,
        kernel: &mut KernelPort<'_>,
        spaces: Vec<&mut Self::Space>,
    ) -> Result<u64, OsError> {
        let _ = (kernel, spaces);
        Ok(0)
    }

    /// Makes this the address space of the CPU's user mode.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn enter(&mut self, kernel: &mut KernelPort<'_>, space: &Self::Space) -> Result<(), OsError>;

    /// Leaves the CPU's user mode without an address space.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn leave(&mut self, kernel: &mut KernelPort<'_>) -> Result<(), OsError>;

    /// Frees all that an address space has. The CPU is not in it.
    ///
    /// # Errors
    /// [`OsError::Kernel`] if the CPU refuses.
    fn destroy(&mut self, kernel: &mut KernelPort<'_>, space: Self::Space) -> Result<(), OsError>;

    /// Returns the owners of the memory.
    fn usage(&self) -> MemoryUsage;

    /// Returns true if a space that was entered is still there. Where memory has room for one space only,
    /// making or growing another may have taken its place; then it is entered again before its process
    /// continues.
    fn is_loaded(&self, space: &Self::Space) -> bool {
        let _ = space;
        true
    }

    /// Returns the number that a program must add to its own addresses: 0 on machines that translate, and
    /// otherwise the address at which its byte 0 was loaded.
    fn origin(&self, space: &Self::Space) -> u64 {
        let _ = space;
        0
    }

    /// Checks that the operating system's own bytes are unchanged, on a machine on which programs can reach
    /// them.
    ///
    /// # Errors
    /// [`OsError::Damaged`], which names the first word that has changed.
    fn inspect(&self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        let _ = kernel;
        Ok(())
    }
}

/// The result of [`AddressSpaces::map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mapped {
    /// A page was mapped.
    Page {
        /// The number of tables that were made for the page.
        tables: u64,
    },
    /// The page was there: the hardware had an older view, which was invalidated.
    Already,
    /// Nothing was mapped: on this machine all memory of a program is there from the start.
    Nothing,
}

/// The physical memory that an operating system manages: the kernel's own bytes, then the pool from which
/// processes and their tables are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhysicalMemory {
    start: PhysAddr,
    size: u64,
    kernel: u64,
}

impl PhysicalMemory {
    /// `size` bytes from `start` on, of which the first `kernel` are the kernel's own.
    ///
    /// # Errors
    /// [`MemoryError`] if there is no such memory, if it is not made of whole frames, or if nothing is left
    /// for processes.
    pub const fn new(start: PhysAddr, size: u64, kernel: u64) -> Result<Self, MemoryError> {
        let frames = [
            ("the start of memory", start.raw()),
            ("its size", size),
            ("the kernel's part", kernel),
        ];
        let mut index = 0;
        while index < frames.len() {
            let (what, value) = frames[index];
            if value % FRAME != 0 {
                return Err(MemoryError::Unaligned { what, value, frame: FRAME });
            }
            index += 1;
        }
        if start.checked_add(size).is_none() {
            return Err(MemoryError::TooLong { start, size });
        }
        if kernel >= size {
            return Err(MemoryError::NoPool { kernel, size });
        }
        Ok(Self { start, size, kernel })
    }

    /// First address.
    #[must_use]
    pub const fn start(&self) -> PhysAddr {
        self.start
    }

    /// One past the last address.
    #[must_use]
    pub const fn end(&self) -> PhysAddr {
        self.start.wrapping_add(self.size)
    }

    /// First address of the pool.
    #[must_use]
    pub const fn pool(&self) -> PhysAddr {
        self.start.wrapping_add(self.kernel)
    }

    /// Frames of the pool.
    #[must_use]
    pub const fn pool_frames(&self) -> u64 {
        (self.size - self.kernel) >> FRAME_BITS
    }

    /// Bytes of the kernel's part.
    #[must_use]
    pub const fn kernel_size(&self) -> u64 {
        self.kernel
    }
}

/// The owners of the pool. Each part of it is free, a table, or a process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryUsage {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that nobody has.
    pub free: u64,
    /// Bytes of page tables.
    pub tables: u64,
    /// Bytes that programs can reach.
    pub programs: u64,
}
