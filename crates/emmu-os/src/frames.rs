//! Free frames.

use crate::{KernelPort, OsError, OutOfMemory};
use emmu_core::PhysAddr;

/// The free frames of the pool: frames that were returned, linked through their first words, and frames that
/// were never used, which all lie above a mark. So a pool of any size is ready at once, and frames that no
/// program needs are never touched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramePool {
    first: PhysAddr,
    total: u64,
    /// The first frame never used.
    unused: PhysAddr,
    /// The frame that was returned last.
    returned: Option<PhysAddr>,
    free: u64,
    /// Log2 of a frame's bytes.
    frame_bits: u32,
}

/// The link of the last frame of the list: no frame has this address.
const END: u64 = u64::MAX;

impl FramePool {
    /// Makes a pool of `total` free frames of 2^`frame_bits` bytes from `first` on.
    pub(crate) const fn new(first: PhysAddr, total: u64, frame_bits: u32) -> Self {
        Self { first, total, unused: first, returned: None, free: total, frame_bits }
    }

    /// Returns the number of bytes of a frame.
    pub(crate) const fn frame(&self) -> u64 {
        1 << self.frame_bits
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn free(&self) -> u64 {
        self.free
    }

    /// Checks that this number of frames can be taken.
    pub(crate) const fn check(&self, needed: u64) -> Result<(), OutOfMemory> {
        let Self { free, total, .. } = *self;
        if needed <= free { Ok(()) } else { Err(OutOfMemory::Frames { needed, free, total }) }
    }

    /// Takes a frame. Its content has no meaning.
    pub(crate) fn take(&mut self, kernel: &mut KernelPort<'_>) -> Result<PhysAddr, OsError> {
        self.check(1)?;
        let frame = match self.returned {
            Some(frame) => {
                self.returned = self.next(kernel, frame)?;
                frame
            }
            None => {
                let frame = self.unused;
                self.unused = frame.wrapping_add(self.frame());
                frame
            }
        };
        self.free -= 1;
        Ok(frame)
    }

    /// Returns a frame that [`take`](Self::take) gave out.
    pub(crate) fn give(
        &mut self,
        kernel: &mut KernelPort<'_>,
        frame: PhysAddr,
    ) -> Result<(), OsError> {
        kernel.store(frame, self.returned.map_or(END, PhysAddr::raw))?;
        self.returned = Some(frame);
        self.free += 1;
        Ok(())
    }

    /// Returns the frame that was returned before `frame`.
    fn next(
        &self,
        kernel: &mut KernelPort<'_>,
        frame: PhysAddr,
    ) -> Result<Option<PhysAddr>, OsError> {
        let found = kernel.load(frame)?;
        let next = PhysAddr::new(found);
        let used = self.first <= next && next < self.unused && next.offset(self.frame_bits) == 0;
        match found {
            END => Ok(None),
            _ if used => Ok(Some(next)),
            _ => Err(OsError::Damaged { addr: frame, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kernel;
    use emmu_base_bounds::BaseBounds;
    use emmu_core::VirtAddr;
    use emmu_cpu::Cpu;
    use emmu_memory::Memory;
    use std::vec::Vec;

    type Machine = Kernel<Cpu<BaseBounds, Memory>>;

    fn machine() -> (Machine, FramePool) {
        let mut cpu = Cpu::new(BaseBounds::default(), Memory::ram(0x5000));
        cpu.install_handler(VirtAddr::ZERO).unwrap();
        (Kernel::new(cpu), FramePool::new(PhysAddr::new(0x1000), 4, 12))
    }

    #[test]
    fn every_frame_is_given_out_once_and_can_be_given_back() {
        let (mut kernel, mut pool) = machine();
        for _ in 0..3 {
            let mut frames: Vec<_> = (0..4).map(|_| pool.take(&mut kernel).unwrap()).collect();
            let out = OutOfMemory::Frames { needed: 1, free: 0, total: 4 };
            assert_eq!(pool.take(&mut kernel), Err(OsError::OutOfMemory(out)));
            frames.sort_unstable();
            assert_eq!(frames, [0x1000, 0x2000, 0x3000, 0x4000].map(PhysAddr::new));
            for frame in frames {
                pool.give(&mut kernel, frame).unwrap();
            }
            assert_eq!(pool.free(), 4);
        }
    }

    #[test]
    fn the_frame_given_back_last_is_taken_first() {
        let (mut kernel, mut pool) = machine();
        let frames = [(); 2].map(|()| pool.take(&mut kernel).unwrap());
        frames.into_iter().for_each(|frame| pool.give(&mut kernel, frame).unwrap());
        assert_eq!(pool.take(&mut kernel), Ok(frames[1]));
        assert_eq!(pool.take(&mut kernel), Ok(frames[0]));
    }

    #[test]
    fn an_overwritten_link_is_reported() {
        for found in [0x1008, 0x0, 0x2000, 0x5000] {
            let (mut kernel, mut pool) = machine();
            let addr = pool.take(&mut kernel).unwrap();
            pool.give(&mut kernel, addr).unwrap();
            kernel.store(addr, found).unwrap();
            let refused = pool.take(&mut kernel);
            assert_eq!(refused, Err(OsError::Damaged { addr, found }), "{found:#x}");
        }
    }
}
