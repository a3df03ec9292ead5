//! The vectors' page-table memory as a bus.

use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};
use emmu_oracle::{Memory, reference::SparseMemory};

/// RAM everywhere but in the holes; what a walk updates lands in the vectors' memory.
pub(crate) struct VectorBus<'a>(pub(crate) &'a mut SparseMemory);

impl Bus for VectorBus<'_> {
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.peek(addr, width)
    }

    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        self.check(addr, width.bytes(), Transfer::Write)?;
        match width {
            Width::B8 => self.0.write64(addr, value),
            Width::B4 => self.0.write32(addr, u32::try_from(value & Width::B4.mask()).unwrap_or(0)),
            Width::B1 | Width::B2 => return Err(BusError::Refused { addr }),
        }
        Ok(())
    }

    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        let word = match width {
            Width::B8 => self.0.read64(addr),
            Width::B4 => self.0.read32(addr).map(u64::from),
            Width::B1 | Width::B2 => return Err(BusError::Refused { addr }),
        };
        word.map_err(|_| BusError::Unmapped { addr })
    }

    fn check(&self, addr: PhysAddr, len: u64, _: Transfer) -> Result<(), BusError> {
        let width = Width::from_bytes(len).ok_or(BusError::Refused { addr })?;
        self.peek(addr, width).map(drop)
    }
}
