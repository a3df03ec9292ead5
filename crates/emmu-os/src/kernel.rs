//! `Kernel`: the kernel's access to physical memory.

use crate::CpuPort;
use emmu_core::{PhysAddr, VirtAddr, Width};
use emmu_cpu::Stop;

/// Log2 of the frame size in bytes.
pub const FRAME_BITS: u32 = 12;
/// Bytes of a frame.
pub const FRAME: u64 = 1 << FRAME_BITS;

/// The number of bytes of a frame, as a `usize` for arrays of the host.
pub(crate) const FRAME_LEN: usize = 1 << FRAME_BITS;

const ZEROS: [u8; FRAME_LEN] = [0; FRAME_LEN];

/// The CPU in supervisor mode, and the window in the kernel's address space through which it sees physical
/// memory. The distance between the window and physical memory is constant. It is 0 while translation is off,
/// and on machines that do not translate the supervisor.
#[derive(Clone, Debug)]
pub struct Kernel<C: ?Sized> {
    window: VirtAddr,
    cpu: C,
}

/// The kernel on a CPU of any type. Address spaces work with this one, so that they are compiled once and not once for
/// each CPU; a reference to any [`Kernel`] becomes a reference to it by itself.
pub type KernelPort<'c> = Kernel<dyn CpuPort + 'c>;

impl<C> Kernel<C> {
    /// Makes a kernel that sees physical memory at its own addresses.
    #[must_use]
    pub const fn new(cpu: C) -> Self {
        Self { window: VirtAddr::ZERO, cpu }
    }

    /// Returns the CPU.
    #[must_use]
    pub fn into_cpu(self) -> C {
        self.cpu
    }
}

impl<C: ?Sized> Kernel<C> {
    /// Returns the CPU.
    #[must_use]
    pub const fn cpu(&self) -> &C {
        &self.cpu
    }

    /// Returns the CPU, to be operated.
    #[inline]
    pub const fn cpu_mut(&mut self) -> &mut C {
        &mut self.cpu
    }

    /// Moves the window, so that physical address 0 is seen at `window`.
    pub const fn move_window(&mut self, window: VirtAddr) {
        self.window = window;
    }

    const fn virt(&self, addr: PhysAddr) -> VirtAddr {
        self.window.wrapping_add(addr.raw())
    }
}

impl<C: CpuPort + ?Sized> Kernel<C> {
    /// Reads 8 bytes.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn load(&mut self, addr: PhysAddr) -> Result<u64, Stop> {
        self.cpu.load(self.virt(addr), Width::B8)
    }

    /// Writes 8 bytes.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn store(&mut self, addr: PhysAddr, value: u64) -> Result<(), Stop> {
        self.cpu.store(self.virt(addr), Width::B8, value)
    }

    /// Reads a number.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn load_word(&mut self, addr: PhysAddr, width: Width) -> Result<u64, Stop> {
        self.cpu.load(self.virt(addr), width)
    }

    /// Writes a number.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn store_word(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), Stop> {
        self.cpu.store(self.virt(addr), width, value)
    }

    /// Reads bytes, as one access.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn load_bytes(&mut self, addr: PhysAddr, bytes: &mut [u8]) -> Result<(), Stop> {
        self.cpu.load_bytes(self.virt(addr), bytes)
    }

    /// Writes bytes, as one access.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn store_bytes(&mut self, addr: PhysAddr, bytes: &[u8]) -> Result<(), Stop> {
        self.cpu.store_bytes(self.virt(addr), bytes)
    }

    /// Writes `content` and then zeros, `len` bytes in all, with one access for each frame.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn fill(&mut self, addr: PhysAddr, len: u64, mut content: &[u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < len {
            let at = addr.wrapping_add(done);
            let size = (FRAME - at.offset(FRAME_BITS)).min(len - done);
            content = self.fill_within_frame(at, size, content)?;
            done += size;
        }
        Ok(())
    }

    /// Copies `len` bytes between areas that may overlap. It copies pieces of at most a frame, in the order in
    /// which no byte is overwritten before it is read.
    ///
    /// # Errors
    /// [`Stop`] if the CPU refuses.
    pub fn copy(&mut self, from: PhysAddr, to: PhysAddr, len: u64) -> Result<(), Stop> {
        let pieces = len.div_ceil(FRAME);
        (0..pieces).try_for_each(|piece| {
            let upwards = if to <= from { piece } else { pieces - 1 - piece };
            let done = upwards * FRAME;
            self.copy_piece(from.wrapping_add(done), to.wrapping_add(done), (len - done).min(FRAME))
        })
    }

    fn copy_piece(&mut self, from: PhysAddr, to: PhysAddr, len: u64) -> Result<(), Stop> {
        let len = usize::try_from(len).map_or(FRAME_LEN, |len| len.min(FRAME_LEN));
        let mut bytes = [0; FRAME_LEN];
        self.load_bytes(from, &mut bytes[..len])?;
        self.store_bytes(to, &bytes[..len])
    }

    /// Fills at most a frame, and returns the content that is left.
    fn fill_within_frame<'a>(
        &mut self,
        addr: PhysAddr,
        size: u64,
        content: &'a [u8],
    ) -> Result<&'a [u8], Stop> {
        let size = usize::try_from(size).map_or(FRAME_LEN, |size| size.min(FRAME_LEN));
        if content.is_empty() {
            self.store_bytes(addr, &ZEROS[..size])?;
            return Ok(content);
        }
        let (now, later) = content.split_at(size.min(content.len()));
        let mut bytes = ZEROS;
        bytes[..now.len()].copy_from_slice(now);
        self.store_bytes(addr, &bytes[..size])?;
        Ok(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_base_bounds::Bare;
    use emmu_cpu::Cpu;
    use emmu_memory::Memory;
    use emmu_property::quickcheck;
    use std::vec;
    use std::vec::Vec;

    quickcheck! {
        fn a_copy_that_overlaps_itself_is_whole(from: u16, to: u16, len: u16) -> bool {
            let [from, to, len] = [from, to, len].map(|number| usize::from(number % 0x3000));
            let mut cpu = Cpu::new(Bare, Memory::ram(0x6000));
            cpu.install_handler(VirtAddr::ZERO).unwrap();
            let mut kernel = Kernel::new(cpu);
            let mut model: Vec<u8> =
                (0..0x6000u32).map(|index| (index * index / 7).to_le_bytes()[0]).collect();
            kernel.store_bytes(PhysAddr::ZERO, &model).unwrap();
            let addr = |at| PhysAddr::new(at as u64);
            kernel.copy(addr(from), addr(to), len as u64).unwrap();
            model.copy_within(from..from + len, to);
            let mut held = vec![0; 0x6000];
            kernel.load_bytes(PhysAddr::ZERO, &mut held).unwrap();
            held == model
        }
    }
}
