//! Page tables as a tree in emulated memory, whatever its entries look like.

use super::TableFormat;
use crate::frames::FramePool;
use crate::kernel::FRAME_LEN;
use crate::{KernelPort, OsError};
use alloc::vec::Vec;
use emmu_core::{PhysAddr, Privilege, VirtAddr, Width};
use emmu_cpu::Stop;

/// One tree.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a, F> {
    pub(super) format: &'a F,
    pub(super) root: PhysAddr,
    /// The privilege that uses the pages of the tree.
    pub(super) owner: Privilege,
}

/// The end of the way to a page: the page's own entry, or an entry above it that points to no table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The address of the entry.
    entry: PhysAddr,
    level: u8,
    /// The level that the page's own entry has.
    leaf: u8,
    /// True if the page is already mapped.
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
    pub(super) fn find(
        &self,
        kernel: &mut KernelPort<'_>,
        addr: VirtAddr,
        leaf: u8,
    ) -> Result<Slot, OsError> {
        let shape = self.format.shape();
        let mut level = shape.levels - 1;
        let mut table = self.root;
        loop {
            let entry = shape.entry_addr(table, addr, level);
            let target = self.format.target(kernel.load_word(entry, shape.entry)?);
            match target {
                Some(next) if level > leaf => (table, level) = (next, level - 1),
                _ => return Ok(Slot { entry, level, leaf, taken: target.is_some() }),
            }
        }
    }

    /// Hangs a page's entry in at `slot`, with the tables that lack, from the page up: what is not yet
    /// reached from the root is complete when it is. The frames for them must be there.
    pub(super) fn hang(
        &self,
        kernel: &mut KernelPort<'_>,
        pool: &mut FramePool,
        addr: VirtAddr,
        slot: Slot,
        page: u64,
    ) -> Result<(), OsError> {
        let shape = self.format.shape();
        let mut entry = page;
        for level in slot.leaf..slot.level {
            let table = pool.take(kernel)?;
            kernel.fill(table, shape.page(), &[])?;
            kernel.store_word(shape.entry_addr(table, addr, level), shape.entry, entry)?;
            entry = self.format.table(table, level + 1, self.owner);
        }
        kernel.store_word(slot.entry, shape.entry, entry)?;
        Ok(())
    }
}

/// Returns the addresses to which the entries in the first `len` bytes of a table point. It reads them with one
/// access for each frame of the table.
pub(super) fn targets<F: TableFormat>(
    format: &F,
    kernel: &mut KernelPort<'_>,
    table: PhysAddr,
    len: u64,
) -> Result<Vec<PhysAddr>, Stop> {
    let (mut bytes, width, mut found) = ([0; FRAME_LEN], format.shape().entry, Vec::new());
    for done in (0..len).step_by(FRAME_LEN) {
        let len = usize::try_from(len - done).map_or(FRAME_LEN, |len| len.min(FRAME_LEN));
        kernel.load_bytes(table.wrapping_add(done), &mut bytes[..len])?;
        found.extend(entries(&bytes[..len], width).filter_map(|entry| format.target(entry)));
    }
    Ok(found)
}

fn entries(bytes: &[u8], width: Width) -> impl Iterator<Item = u64> {
    let words = bytes.chunks_exact(usize::from(width as u8));
    words.map(|word| word.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
