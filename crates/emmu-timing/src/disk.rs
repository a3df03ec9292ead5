//! The cost of a disk.

use emmu_core::{AccessKind, Event, PhysAddr, Probe};

/// A probe that prices the commands that a CPU gives to the controller of a disk. A command is a store to the
/// command register of the controller, whoever makes the store and however its address is translated.
///
/// [`Cycles`](crate::Cycles) prices the accesses to the buffer of the controller, like all other accesses.
///
/// ```
/// use emmu_core::{Access, Event, PhysAddr, Probe, VirtAddr};
/// use emmu_timing::DiskCycles;
///
/// let command = PhysAddr::new(0x1000_0010);
/// let mut disk = DiskCycles::new(command, 100_000);
/// let access = Access::store(VirtAddr::new(0x1000_0010), 8);
/// disk.on(Event::Transfer { access, addr: command });
/// disk.on(Event::Transfer { access, addr: PhysAddr::new(0x1000_0008) });
/// assert_eq!((disk.blocks(), disk.total()), (1, 100_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskCycles {
    command: PhysAddr,
    per_block: u64,
    blocks: u64,
}

impl DiskCycles {
    /// Makes a probe for a disk with its command register at `command`. Each block costs `per_block` cycles.
    #[must_use]
    pub const fn new(command: PhysAddr, per_block: u64) -> Self {
        Self { command, per_block, blocks: 0 }
    }

    /// Returns the number of blocks that were read or written.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Returns all cycles so far. The sum saturates at the largest `u64`.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.blocks.saturating_mul(self.per_block)
    }
}

impl Probe for DiskCycles {
    #[inline]
    fn on(&mut self, event: Event) {
        if let Event::Transfer { access, addr } = event
            && addr == self.command
            && access.kind == AccessKind::Store
        {
            self.blocks += 1;
        }
    }
}
