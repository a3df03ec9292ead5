//! The vocabulary of emmu and its seams: the types and traits that translation units, buses, CPUs and probes
//! share.
//!
//! Models: addresses, accesses, faults, registers, invalidation scopes, physical buses, events. An
//! [`Access`] goes down; a [`Translation`] or a typed [`Fault`] comes back as a value.
//!
//! Does not model: any particular machine. See `emmu-base-bounds`, `emmu-segmentation` and `emmu-paging`
//! for units, `emmu-memory` for a bus, `emmu-cpu` for the CPU's memory interface.
//!
//! Which type you want: to write a translation unit, implement [`TranslationUnit`]; to put your own memory
//! behind one, implement [`Bus`]; to listen to what happens, implement [`Probe`].
//!
//! A translation unit of your own takes a few lines. This one adds a constant to every address:
//!
//! ```
//! use emmu_core::*;
//!
//! struct Shift(u64);
//!
//! impl Registers for Shift {
//!     fn registers(&self) -> &'static [RegisterInfo] { &[] }
//!     fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
//!         Err(RegisterError::Unknown { id })
//!     }
//! }
//!
//! impl<B: ?Sized, P: ?Sized> TranslationUnit<B, P> for Shift {
//!     fn translate(&mut self, access: Access, bus: &mut B, _: &mut P) -> Result<Translation, Fault> {
//!         TranslationUnit::<B, P>::peek(self, access, bus)
//!     }
//!     fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
//!         match access.addr.raw().checked_add(self.0) {
//!             Some(addr) => Ok(Translation::new(PhysAddr::new(addr), u64::MAX - addr + 1)),
//!             None => Err(Fault::new(access, Cause::Bounds)),
//!         }
//!     }
//!     fn write_register(&mut self, id: RegisterId, _: u64, _: &mut B, _: &mut P)
//!         -> Result<(), RegisterError> {
//!         Err(RegisterError::Unknown { id })
//!     }
//!     fn invalidate(&mut self, _: Invalidate) {}
//! }
//!
//! let mut unit: Box<dyn TranslationUnit<(), ()>> = Box::new(Shift(100));
//! let found = unit.translate(Access::load(VirtAddr::new(10), 1), &mut (), &mut ())?;
//! assert_eq!(found.addr, PhysAddr::new(110));
//! # Ok::<(), Fault>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod access;
mod addr;
pub mod anatomy;
mod bus;
mod chain;
mod fault;
mod invalidate;
mod probe;
mod register;
mod unit;
mod watch;

pub use access::{Access, AccessFlags, AccessKind, Privilege};
pub use addr::{PhysAddr, VirtAddr, bit_range, is_sign_extended, low_mask};
pub use bus::{Bus, BusError, RAM_PAGE_BITS, Transfer, Width};
pub use chain::{Chain, ChainError};
pub use fault::{Cause, Fault, FaultEntry, GuestAccess};
pub use invalidate::{Asid, Invalidate, Vmid};
pub use probe::{Event, Probe, Side, TlbId};
pub use register::{RegisterError, RegisterId, RegisterInfo, find_register};
pub use unit::{Attributes, Registers, Ticket, Translation, TranslationUnit};
pub use watch::{DirtyPages, WatchHit, Watched, Watchpoint, Watchpoints};
