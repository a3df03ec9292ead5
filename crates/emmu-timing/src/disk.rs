//! What a disk costs.

use emmu_core::{AccessKind, Event, PhysAddr, Probe};

/// Prices the commands that a CPU gives to a disk's controller: a probe. A command is a store to the
/// controller's command register, whoever makes it and however it is translated.
///
/// What moves between memory and the controller's buffer is priced with all other accesses, by
/// [`Cycles`](crate::Cycles).
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
    /// A disk whose command register is there, and which takes so many cycles for each block.
    #[must_use]
    pub const fn new(command: PhysAddr, per_block: u64) -> Self {
        Self { command, per_block, blocks: 0 }
    }

    /// Blocks read and written.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// All cycles so far; as many as a number can have, if they are more.
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
