//! The tables as a bus, so that a unit of emmu can walk them.

use crate::reference::{Memory, SparseMemory};
use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};

/// RAM everywhere but in the holes. Addresses need not be aligned.
///
/// ```
/// use emmu_core::{Bus, PhysAddr, Width};
/// use emmu_oracle::reference::SparseMemory;
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
        for (number, byte) in (0..width.bytes()).zip(value.to_le_bytes()) {
            self.write_byte(addr.wrapping_add(number), byte);
        }
        Ok(())
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.check(addr, width.bytes(), Transfer::Read)?;
        let byte = |number| u64::from(self.byte(addr.wrapping_add(number)));
        Ok((0..width.bytes()).map(|number| byte(number) << (8 * number)).sum())
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

impl SparseMemory {
    fn byte(&self, addr: PhysAddr) -> u8 {
        let word = self.read32(addr.align_down(2)).unwrap_or(0);
        word.to_le_bytes()[lane(addr)]
    }

    fn write_byte(&mut self, addr: PhysAddr, byte: u8) {
        let mut word = self.read32(addr.align_down(2)).unwrap_or(0).to_le_bytes();
        word[lane(addr)] = byte;
        self.write32(addr.align_down(2), u32::from_le_bytes(word));
    }
}

/// Which byte of its 4-byte word an address names.
fn lane(addr: PhysAddr) -> usize {
    match addr.offset(2) {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    }
}
