//! The tables as a bus, so that a unit of emmu can walk them.

use super::{Hole, Memory, SparseMemory, Write};
use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};

/// RAM everywhere but in the holes. Addresses need not be aligned.
///
/// ```
/// use emmu_core::{Bus, PhysAddr, Width};
/// use emmu_vectors::SparseMemory;
/// let mut memory = SparseMemory::default();
/// memory.write(PhysAddr::new(0x1006), Width::B4, 0x1122_3344)?;
/// assert_eq!(memory.read(PhysAddr::new(0x1008), Width::B2)?, 0x1122);
/// memory.punch(PhysAddr::new(0x2000));
/// assert!(memory.read(PhysAddr::new(0x1ffc), Width::B8).is_err());
/// # Ok::<(), emmu_core::BusError>(())
/// ```
impl Bus for SparseMemory {
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.peek(addr, width)
    }

    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        self.check(addr, width.bytes(), Transfer::Write)?;
        self.apply(Write { addr, size: width as u8, value });
        Ok(())
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.check(addr, width.bytes(), Transfer::Read)?;
        self.read_entry(addr, width as u8).map_err(|Hole| BusError::Unmapped { addr })
    }

    fn check(&self, addr: PhysAddr, len: u64, _: Transfer) -> Result<(), BusError> {
        let Some(last) = len.checked_sub(1) else { return Ok(()) };
        // Past the last address there is nothing.
        let end = addr.raw().checked_add(last);
        match self.first_hole(addr, PhysAddr::new(end.unwrap_or(u64::MAX))) {
            Some(hole) => Err(BusError::Unmapped { addr: hole }),
            None if end.is_none() => Err(BusError::Unmapped { addr: PhysAddr::new(u64::MAX) }),
            None => Ok(()),
        }
    }
}
