//! The driver of the disk.

use crate::KernelPort;
use emmu_core::PhysAddr;
use emmu_cpu::Stop;
use emmu_memory::Disk;

/// A driver for a disk whose controller is at some address: see [`Disk`] for its registers. The kernel moves
/// every byte itself, as one access from and to the controller's buffer for each block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskDriver {
    controller: PhysAddr,
}

impl DiskDriver {
    pub(crate) const fn new(controller: PhysAddr) -> Self {
        Self { controller }
    }

    /// Returns the number of blocks of the disk.
    pub(crate) fn blocks(self, kernel: &mut KernelPort<'_>) -> Result<u64, Stop> {
        kernel.load(self.register(Disk::BLOCKS))
    }

    /// Writes `count` blocks of memory from `addr` on to the disk.
    pub(crate) fn save(
        self,
        kernel: &mut KernelPort<'_>,
        addr: PhysAddr,
        first: u64,
        count: u64,
    ) -> Result<(), Stop> {
        self.each(addr, first, count, |memory, block| {
            copy_block(kernel, memory, self.register(Disk::BUFFER))?;
            self.command(kernel, block, Disk::WRITE)
        })
    }

    /// Reads `count` blocks of the disk to memory from `addr` on.
    pub(crate) fn restore(
        self,
        kernel: &mut KernelPort<'_>,
        addr: PhysAddr,
        first: u64,
        count: u64,
    ) -> Result<(), Stop> {
        self.each(addr, first, count, |memory, block| {
            self.command(kernel, block, Disk::READ)?;
            copy_block(kernel, self.register(Disk::BUFFER), memory)
        })
    }

    fn each(
        self,
        addr: PhysAddr,
        first: u64,
        count: u64,
        mut each: impl FnMut(PhysAddr, u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let at = |index| addr.wrapping_add(index * Disk::BLOCK_SIZE);
        (0..count).try_for_each(|index| each(at(index), first + index))
    }

    fn command(self, kernel: &mut KernelPort<'_>, block: u64, command: u64) -> Result<(), Stop> {
        kernel.store(self.register(Disk::BLOCK), block)?;
        kernel.store(self.register(Disk::COMMAND), command)
    }

    const fn register(self, offset: u64) -> PhysAddr {
        self.controller.wrapping_add(offset)
    }
}

fn copy_block(kernel: &mut KernelPort<'_>, from: PhysAddr, to: PhysAddr) -> Result<(), Stop> {
    let mut bytes = [0; Disk::BLOCK_LEN];
    kernel.load_bytes(from, &mut bytes)?;
    kernel.store_bytes(to, &bytes)
}
