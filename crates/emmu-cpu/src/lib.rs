//! The CPU's memory interface: privilege, traps, and every fetch, load, store and atomic through a
//! translation unit to the bus.
//!
//! Models: user, supervisor and machine mode; privileged registers and invalidations, which are illegal
//! instructions in other modes; trap entry, which saves cause, address, `pc` and mode, and the return from a
//! trap; a double fault if no handler is installed; accesses of 1, 2, 4, 8 and 16 bytes and of slices, aligned
//! or not, across any number of translations, and never performed in part; atomics, and load-reserved with
//! store-conditional.
//!
//! Does not model: instructions, general registers, interrupts, several CPUs on one bus, big-endian
//! accesses, memory ordering.
//!
//! Which type you want: [`Cpu`]. Its operations end with a [`Stop`] if they do not complete; a `Stop` carries
//! an [`Exception`].
//!
//! Each operation stands for these instructions and registers:
//!
//! | emmu | RISC-V | x86 | AArch64 |
//! |---|---|---|---|
//! | [`Cpu::system_call`] | `ecall` | `syscall` | `svc` |
//! | [`Cpu::install_handler`] | `stvec` | `lidt` | `VBAR_EL1` |
//! | [`Trap`] | `sepc`, `sstatus.SPP`, `scause`, `stval` | interrupt frame, CR2 | `ELR_EL1`, `SPSR_EL1`, `ESR_EL1`, `FAR_EL1` |
//! | [`Cpu::return_from_trap`] | `sret` | `iret` | `eret` |
//! | [`Cpu::invalidate`] | `sfence.vma` | `invlpg` | `tlbi` |
//! | [`Cpu::load_reserved`], [`Cpu::store_conditional`] | `lr`, `sc` | | `ldxr`, `stxr` |
//! | accesses with another privilege | `hlv`, `hsv` | implicit supervisor accesses | `ldtr`, `sttr` |
//!
//! In this example, base 100 and virtual address 10 make physical address 110. An access past the bounds enters
//! the operating system:
//!
//! ```
//! use emmu_base_bounds::{BaseBounds, Convention};
//! use emmu_core::{Bus, PhysAddr, Privilege, VirtAddr, Width};
//! use emmu_cpu::{Cpu, Stop, Trap};
//! use emmu_memory::Memory;
//!
//! let (handler, program) = (VirtAddr::new(0x4000), VirtAddr::new(0));
//! let mut cpu = Cpu::new(BaseBounds::new(Convention::Size), Memory::ram(1 << 20));
//!
//! // The operating system boots in supervisor mode, and starts a program of 16 bytes.
//! cpu.install_handler(handler)?;
//! cpu.write_register(BaseBounds::BASE, 100)?;
//! cpu.write_register(BaseBounds::BOUNDS, 16)?;
//! cpu.set_trap(Trap::start(program, Privilege::User))?;
//! cpu.return_from_trap()?;
//!
//! cpu.store(VirtAddr::new(10), Width::B4, 7)?;
//! assert_eq!(cpu.bus().peek(PhysAddr::new(110), Width::B4), Ok(7));
//!
//! // Bytes 14 and 15 are the program's, byte 16 is not: a trap.
//! let stop = cpu.load(VirtAddr::new(14), Width::B4).unwrap_err();
//! assert_eq!(stop.to_string(), "user load of 4 bytes at 0xe: the address is out of bounds, first at 0x10");
//! assert_eq!((cpu.privilege(), cpu.pc()), (Privilege::Supervisor, handler));
//!
//! // The handler grows the program and returns; the access is repeated.
//! cpu.write_register(BaseBounds::BOUNDS, 32)?;
//! cpu.return_from_trap()?;
//! assert_eq!(cpu.load(VirtAddr::new(14), Width::B4), Ok(0));
//! # Ok::<(), Stop>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod atomic;
mod cpu;
mod exception;
mod hot;
mod path;
mod pieces;
mod port;
mod privileged;
#[cfg(feature = "serde")]
mod snapshot;

pub use cpu::Cpu;
pub use exception::{Exception, Illegal, Operation, Stop, Trap};
