//! A bitmap in emulated memory: a bit for each of several equal slots, which is set if the slot is taken.

use crate::{KernelPort, OsError};
use emmu_core::PhysAddr;

/// `count` bits in words of 8 bytes. A bit is 1 if its slot is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    at: PhysAddr,
    count: u64,
    free: u64,
}

const WORD: u64 = 8;
const BITS: u64 = 64;

impl Bitmap {
    /// Returns the number of bytes that this number of bits takes.
    pub(crate) const fn bytes(count: u64) -> u64 {
        count.div_ceil(BITS) * WORD
    }

    /// Writes a bitmap of free slots to `at`.
    pub(crate) fn new(
        kernel: &mut KernelPort<'_>,
        at: PhysAddr,
        count: u64,
    ) -> Result<Self, OsError> {
        kernel.fill(at, Self::bytes(count), &[])?;
        Ok(Self { at, count, free: count })
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) const fn taken(&self) -> u64 {
        self.count - self.free
    }

    /// Takes the first free slot, if there is one.
    pub(crate) fn take(&mut self, kernel: &mut KernelPort<'_>) -> Result<Option<u64>, OsError> {
        if self.free == 0 {
            return Ok(None);
        }
        for first in (0..self.count.div_ceil(BITS)).map(|word| word * BITS) {
            let addr = self.word(first);
            let held = kernel.load(addr)?;
            let index = first + u64::from(held.trailing_ones());
            if index < self.count.min(first + BITS) {
                kernel.store(addr, held | 1 << (index - first))?;
                self.free -= 1;
                return Ok(Some(index));
            }
        }
        let found = kernel.load(self.at)?;
        Err(OsError::Damaged { addr: self.at, found })
    }

    /// Returns a slot that [`take`](Self::take) gave out.
    pub(crate) fn give(&mut self, kernel: &mut KernelPort<'_>, index: u64) -> Result<(), OsError> {
        let (addr, bit) = (self.word(index), 1 << (index % BITS));
        let found = kernel.load(addr)?;
        if found & bit == 0 {
            return Err(OsError::Damaged { addr, found });
        }
        kernel.store(addr, found & !bit)?;
        self.free += 1;
        Ok(())
    }

    const fn word(&self, index: u64) -> PhysAddr {
        self.at.wrapping_add(index / BITS * WORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kernel;
    use emmu_base_bounds::Bare;
    use emmu_core::VirtAddr;
    use emmu_cpu::Cpu;
    use emmu_memory::Memory;
    use emmu_property::quickcheck;
    use std::vec;
    use std::vec::Vec;

    const AT: PhysAddr = PhysAddr::new(0x100);

    fn kernel() -> Kernel<Cpu<Bare, Memory>> {
        let mut cpu = Cpu::new(Bare, Memory::ram(0x1000));
        cpu.install_handler(VirtAddr::ZERO).unwrap();
        Kernel::new(cpu)
    }

    quickcheck! {
        fn the_first_free_one_is_taken(count: u8, choices: Vec<(bool, u8)>) -> bool {
            let mut kernel = kernel();
            let count = usize::from(count) + 1;
            let mut bits = Bitmap::new(&mut kernel, AT, count as u64).unwrap();
            let mut model = vec![false; count];
            for (gives, number) in choices {
                let index = usize::from(number) % count;
                if gives && model[index] {
                    bits.give(&mut kernel, index as u64).unwrap();
                    model[index] = false;
                } else {
                    let first = model.iter().position(|&taken| !taken);
                    let taken = bits.take(&mut kernel).unwrap();
                    assert_eq!(taken, first.map(|first| first as u64));
                    first.into_iter().for_each(|first| model[first] = true);
                }
                assert_eq!(bits.free, model.iter().filter(|&&taken| !taken).count() as u64);
            }
            true
        }
    }

    #[test]
    fn overwritten_bits_are_reported() {
        let mut kernel = kernel();
        let mut bits = Bitmap::new(&mut kernel, AT, 3).unwrap();
        bits.take(&mut kernel).unwrap();
        kernel.store(AT, 0).unwrap();
        let damaged = |found| OsError::Damaged { addr: AT, found };
        assert_eq!(bits.give(&mut kernel, 0), Err(damaged(0)));
        kernel.store(AT, 7).unwrap();
        assert_eq!(bits.take(&mut kernel), Err(damaged(7)));
    }
}
