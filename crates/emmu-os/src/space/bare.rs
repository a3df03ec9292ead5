//! Machines that do not translate: a program's addresses are physical, and nothing keeps it to its own.
//!
//! The operating system lies at the start of memory, and programs behind it. None is made for the place where
//! it comes to lie, so each is relocated when it is loaded.

mod relocation;
mod time_sharing;
mod uniprogramming;

pub use relocation::StaticRelocation;
pub use time_sharing::{DiskSpace, TimeSharing};
pub use uniprogramming::Uniprogramming;

use super::PhysicalMemory;
use super::whole;
use crate::kernel::{FRAME, FRAME_LEN};
use crate::{KernelPort, Layout, OsError};
use emmu_core::PhysAddr;

/// The operating system's own bytes, which programs here can overwrite: a pattern that stands for its code.
#[derive(Clone, Copy, Debug, Default)]
struct Resident {
    start: PhysAddr,
    size: u64,
}

impl Resident {
    /// Writes the kernel's part of memory, but for its first `tables` bytes, which it changes itself.
    fn install(
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
        tables: u64,
    ) -> Result<Self, OsError> {
        let start = memory.start().wrapping_add(tables);
        let own = Self { start, size: memory.kernel_size().saturating_sub(tables) };
        own.each_piece(|addr, len| Ok(kernel.store_bytes(addr, &pattern(addr)[..len])?))?;
        Ok(own)
    }

    /// Finds the first byte that is no longer what was written.
    fn inspect(self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.each_piece(|addr, len| {
            let mut held = [0; FRAME_LEN];
            kernel.load_bytes(addr, &mut held[..len])?;
            let damaged = held[..len].iter().zip(pattern(addr)).zip(0..);
            let mut damaged = damaged.filter(|((held, meant), _)| *held != meant);
            damaged.next().map_or(Ok(()), |((&found, _), offset)| {
                Err(OsError::Damaged { addr: addr.wrapping_add(offset), found: found.into() })
            })
        })
    }

    fn each_piece(
        self,
        mut each: impl FnMut(PhysAddr, usize) -> Result<(), OsError>,
    ) -> Result<(), OsError> {
        (0..self.size).step_by(FRAME_LEN).try_for_each(|done| {
            let len = usize::try_from((self.size - done).min(FRAME)).unwrap_or(FRAME_LEN);
            each(self.start.wrapping_add(done), len)
        })
    }
}

/// Returns the bytes of the operating system in a frame from `addr` on: a pattern that does not repeat soon.
fn pattern(addr: PhysAddr) -> [u8; FRAME_LEN] {
    core::array::from_fn(|index| {
        let mixed = addr.wrapping_add(index as u64).raw().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.to_be_bytes()[0] | 1
    })
}

/// Puts a program where its byte 0 is to be at `origin`, which its references have room for.
fn load(kernel: &mut KernelPort<'_>, origin: PhysAddr, layout: &Layout) -> Result<(), OsError> {
    whole::write(kernel, origin, layout)?;
    Ok(whole::patch(kernel, origin, layout)?)
}
