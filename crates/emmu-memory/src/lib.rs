//! Physical memory: sparse RAM, ROM and devices on a bus map with holes.
//!
//! Models: the 64-bit physical address space. RAM may have any size, and only frames that were written take
//! memory of the host. The host loads ROM, and the machine cannot write it. Devices are memory-mapped; one of
//! them is a disk. Holes refuse every transfer, and name the first byte at which nothing answers.
//!
//! Does not model: time, caches, and the content of untouched RAM in a real machine. Here untouched RAM reads
//! as zeros.
//!
//! Which type you want: [`Memory`], which is an [`emmu_core::Bus`]. For a device of your own implement
//! [`Device`]. [`Disk`] is a device.
//!
//! ```
//! use emmu_core::{Bus, BusError, PhysAddr, Width};
//! use emmu_memory::Memory;
//!
//! let mut memory = Memory::new()
//!     .with_rom(PhysAddr::new(0x1000), 0x1000)?
//!     .with_ram(PhysAddr::new(0x8000_0000), 1 << 52)?;
//! memory.load(PhysAddr::new(0x1000), b"boot")?;
//!
//! let top = PhysAddr::new(0x8000_0000 + (1 << 52) - 8);
//! memory.write(top, Width::B8, 42)?;
//! assert_eq!(memory.read(top, Width::B8), Ok(42));
//! assert_eq!(memory.touched_frames(), 2);
//!
//! let hole = PhysAddr::new(0x2000);
//! assert_eq!(memory.read(PhysAddr::new(0x1ffc), Width::B8), Err(BusError::Unmapped { addr: hole }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod device;
mod disk;
mod frames;
mod map;
mod memory;

pub use device::{CloneDevice, Device, Refused};
pub use disk::Disk;
pub use map::{MapError, Region, RegionKind};
pub use memory::Memory;
