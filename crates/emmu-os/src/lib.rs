//! The minimal operating system: it boots, runs programs, and gives them their memory, on any translation
//! unit, or on none.
//!
//! Models: boot (the handler of exceptions first, then the kernel's page tables in emulated memory, then translation
//! on); processes with address spaces of their own, on base and bounds, segmentation, RISC-V, x86 and AArch64
//! paging; machines without translation that run one process, that move several processes to and from a disk in
//! turn, or that run several processes which a loader has patched with their addresses; pages that are mapped on the
//! first access, filled with zeros or with their part of the image; the restart of that access; processes that exit,
//! or that the kernel ends because of an error; the release of all their memory. The hardware is reached through
//! [`CpuPort`] and in no other way: page tables and free lists lie in emulated memory, and every access of the
//! kernel is translated, cached in TLBs and told to probes as any other. It can be told apart by its privilege.
//!
//! Does not model: the kernel's own instructions. Its loads, stores and privileged operations are real
//! accesses of the machine; its fetches and computations are not there. Not yet: fork, files, swapping,
//! several CPUs, interrupts.
//!
//! Which type you want: [`Os`], booted with [`Paged`], [`Segmented`] or [`Contiguous`] address spaces, or
//! without translation ([`Uniprogramming`], [`TimeSharing`], [`StaticRelocation`]); and a [`Program`] to run on
//! it: a closure, a [`Script`] of [`Op`]s, or an [`Image`] that a [`toy::Core`] executes. For another machine implement
//! [`AddressSpaces`], or only [`TableFormat`] for another format of page tables.
//!
//! ```
//! use emmu_core::{PhysAddr, VirtAddr};
//! use emmu_cpu::Cpu;
//! use emmu_memory::Memory;
//! use emmu_os::{Exit, Layout, Op, Os, Paged, PhysicalMemory, Region, Reply, Rights, RiscVTables};
//! use emmu_paging::{Paging, RiscV};
//!
//! let start = PhysAddr::new(0x8000_0000);
//! let ram = Memory::new().with_ram(start, 64 << 20)?;
//! let cpu = Cpu::new(Paging::uncached(RiscV::rv64()), ram);
//! let memory = PhysicalMemory::new(start, 64 << 20, 1 << 20)?;
//! let mut os = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory)?;
//!
//! let heap = Region::new(VirtAddr::new(0x10_0000), 0x10_0000, Rights::RW)?;
//! let layout = Layout::new([heap])?;
//! let addr = VirtAddr::new(0x10_0ffc);
//! let mut steps = 0;
//! let mut program = |reply: Reply<'_>| {
//!     steps += 1;
//!     match (steps, reply) {
//!         (1, _) => Op::Store { addr, size: 8, value: 42 },
//!         (2, _) => Op::Load { addr, size: 8 },
//!         (_, Reply::Value(value)) => Op::exit(value),
//!         _ => Op::exit(0),
//!     }
//! };
//! assert_eq!(os.run(&layout, &mut program)?, Exit::Code(42));
//! assert_eq!(os.stats().pages_mapped, 2);
//! assert_eq!(os.usage().free, os.usage().total);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod areas;
mod bitmap;
mod disk;
mod error;
mod frames;
mod grow;
mod image;
mod judge;
mod kernel;
mod layout;
mod os;
mod port;
mod process;
mod program;
mod region;
mod space;
mod stats;
pub mod toy;

pub use error::{Exit, Kill, MemoryError, OsError, OutOfMemory};
pub use grow::{Direction, Growth};
pub use image::{Image, ImageError};
pub use kernel::{FRAME, FRAME_BITS, Kernel, KernelPort};
pub use layout::{Layout, LayoutError};
pub use os::{Os, Turn};
pub use port::CpuPort;
pub use process::Pid;
pub use program::{MAX_ACCESS, Op, Program, Reply, Script, SystemCall};
pub use region::{Reference, Region, Rights};
pub use space::bare::{DiskSpace, StaticRelocation, TimeSharing, Uniprogramming};
pub use space::contiguous::Contiguous;
pub use space::paged::{
    AArch64Tables, Paged, PagedSpace, RiscVTables, Roots, TableFormat, TableShape, Valid, X86Tables,
};
pub use space::segmented::{Segmented, SegmentedSpace};
pub use space::whole::ContiguousSpace;
pub use space::{AddressSpaces, Mapped, MemoryUsage, PhysicalMemory};
pub use stats::OsStats;
