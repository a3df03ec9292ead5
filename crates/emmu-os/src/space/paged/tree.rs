//! Page tables as a tree in emulated memory, whatever its entries look like.

use super::TableFormat;
use crate::frames::FramePool;
use crate::kernel::{FRAME, FRAME_BITS};
use crate::{CpuPort, Kernel, OsError};
use emmu_core::{PhysAddr, Privilege, VirtAddr};
use emmu_cpu::Stop;

/// Entries of a table.
pub(super) const ENTRIES: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 9;
const ENTRY: usize = 8;

/// Log2 of the bytes that an entry of this level maps.
pub(super) const fn level_bits(level: u8) -> u32 {
    FRAME_BITS + INDEX_BITS * level as u32
}

/// One tree.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a, F> {
    pub(super) format: &'a F,
    pub(super) root: PhysAddr,
    /// Who uses what is hung into it.
    pub(super) owner: Privilege,
}

/// Where the way to a page ends: at the page's own entry, or at one above it that points to no table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Where the entry is.
    entry: PhysAddr,
    level: u8,
    /// The level that the page's own entry has.
    leaf: u8,
    /// Whether the page is there already.
    pub(super) taken: bool,
}

impl Slot {
    /// Tables that lack on the way to the page.
    pub(super) fn missing(&self) -> u64 {
        u64::from(self.level - self.leaf)
    }
}

impl<F: TableFormat> Tree<'_, F> {
    /// Follows the tables to the entry of level `leaf` for `addr`, as far as they go.
    pub(super) fn find<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
        addr: VirtAddr,
        leaf: u8,
    ) -> Result<Slot, OsError> {
        let mut level = self.format.levels() - 1;
        let mut table = self.root;
        loop {
            let entry = entry_addr(table, addr, level);
            let target = self.format.target(kernel.load(entry)?);
            match target {
                Some(next) if level > leaf => (table, level) = (next, level - 1),
                _ => return Ok(Slot { entry, level, leaf, taken: target.is_some() }),
            }
        }
    }

    /// Hangs a page's entry in at `slot`, with the tables that lack, from the page up: what is not yet
    /// reached from the root is complete when it is. The frames for them must be there.
    pub(super) fn hang<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
        pool: &mut FramePool,
        addr: VirtAddr,
        slot: Slot,
        page: u64,
    ) -> Result<(), OsError> {
        let mut entry = page;
        for level in slot.leaf..slot.level {
            let table = pool.take(kernel)?;
            kernel.fill(table, FRAME, &[])?;
            kernel.store(entry_addr(table, addr, level), entry)?;
            entry = self.format.table(table, self.owner);
        }
        kernel.store(slot.entry, entry)?;
        Ok(())
    }
}

fn entry_addr(table: PhysAddr, addr: VirtAddr, level: u8) -> PhysAddr {
    table.wrapping_add(addr.bits(level_bits(level), INDEX_BITS) * ENTRY as u64)
}

/// The first `entries` entries of a table, read as one access.
pub(super) fn read_table<C: CpuPort>(
    kernel: &mut Kernel<C>,
    table: PhysAddr,
    entries: usize,
) -> Result<impl Iterator<Item = u64> + use<C>, Stop> {
    let mut bytes = [0; ENTRIES * ENTRY];
    let len = entries.min(ENTRIES) * ENTRY;
    kernel.load_bytes(table, &mut bytes[..len])?;
    // What was not read is zeros, which point to nothing.
    Ok((0..ENTRIES).map(move |index| word(&bytes, index)))
}

fn word(bytes: &[u8], index: usize) -> u64 {
    bytes.as_chunks().0.get(index).map_or(0, |&word| u64::from_le_bytes(word))
}
