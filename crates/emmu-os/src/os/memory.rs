//! Processes that grow and move.

use super::Os;
use crate::{AddressSpaces, CpuPort, Direction, OsError, Pid};
use alloc::vec::Vec;
use emmu_core::VirtAddr;

impl<C: CpuPort, S: AddressSpaces> Os<C, S> {
    /// Grows the region of a process that has the address `at` by `by` bytes, all zeros; returns how many bytes
    /// had to move for it.
    ///
    /// # Errors
    /// [`OsError`] if there is no such process or region, or no room; nothing has changed then.
    pub fn grow(
        &mut self,
        pid: Pid,
        at: VirtAddr,
        by: u64,
        direction: Direction,
    ) -> Result<u64, OsError> {
        let process = self.processes.get_mut(&pid).ok_or(OsError::NoProcess(pid))?;
        let growth = process.layout.grow(at, by, direction)?;
        let moved = self.spaces.grow(&mut self.kernel, &mut process.space, &growth)?;
        process.layout = growth.into_layout();
        self.moved(moved)
    }

    /// Moves a process to another place in physical memory, and returns the number of bytes moved. The process
    /// does not run meanwhile, and does not notice.
    ///
    /// # Errors
    /// [`OsError::Immovable`] on machines on which that cannot be, or is of no use; [`OsError::OutOfMemory`] if
    /// there is no other place; nothing has changed then.
    pub fn relocate(&mut self, pid: Pid) -> Result<u64, OsError> {
        let process = self.processes.get_mut(&pid).ok_or(OsError::NoProcess(pid))?;
        let moved = self.spaces.relocate(&mut self.kernel, &mut process.space)?;
        self.moved(moved)
    }

    /// Compaction: moves processes together, so that the free memory is in one piece, and returns the number of
    /// bytes moved. No process runs meanwhile.
    ///
    /// # Errors
    /// [`OsError::Immovable`] on machines on which that cannot be; nothing has changed then.
    pub fn compact(&mut self) -> Result<u64, OsError> {
        let spaces: Vec<_> =
            self.processes.values_mut().map(|process| &mut process.space).collect();
        let moved = self.spaces.compact(&mut self.kernel, spaces)?;
        self.moved(moved)
    }

    /// Tells the hardware the new place of the present process.
    fn moved(&mut self, bytes: u64) -> Result<u64, OsError> {
        self.stats.bytes_moved += bytes;
        if let Some(process) = self.current.and_then(|pid| self.processes.get(&pid)) {
            self.spaces.enter(&mut self.kernel, &process.space)?;
        }
        Ok(bytes)
    }
}
