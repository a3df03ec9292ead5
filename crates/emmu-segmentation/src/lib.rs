//! Segmentation: every region of a program has a base, bounds, a direction to grow in and permissions.
//!
//! Models: a few segment registers in hardware (Arpaci-Dusseau, "Operating Systems: Three Easy Pieces",
//! ch. 16, "Segmentation"). The top bits of the address, or the use of the access, select the segment: see
//! [`Selection`]. A segment grows up or down from its base, and has rights to read, write and execute: see
//! [`Segment`]. A table in memory describes thousands of segments, as in Multics: see [`SegmentTable`]. The units
//! translate the addresses of programs. The operating system runs in physical memory, as in the book: the address
//! of a supervisor or machine access is physical. x86's segment registers, descriptors and exceptions are in [`x86`].
//!
//! Does not model: segments that are paged, used and modified bits of descriptors.
//!
//! Which type you want: [`Segmentation`], [`SegmentTable`] if there are more segments than registers, or
//! [`x86::X86Segments`] in front of x86 paging.
//!
//! The book's example of a stack: 16 bytes of address space, base 18, bounds 5, growing down.
//!
//! ```
//! use emmu_core::{Access, Cause, PhysAddr, Privilege, TranslationUnit, VirtAddr};
//! use emmu_segmentation::{Segment, SegmentFlags, Segmentation, Selection};
//!
//! let stack = SegmentFlags::READ | SegmentFlags::WRITE | SegmentFlags::GROWS_DOWN;
//! let mut unit = Segmentation::new(4, Selection::Explicit { selector_bits: 0, segments: 1 })?
//!     .with_segment(0, Segment { base: 18, bounds: 5, flags: stack })?;
//!
//! let mut load = |addr| {
//!     let access = Access::load(VirtAddr::new(addr), 1).with_privilege(Privilege::User);
//!     TranslationUnit::<(), ()>::translate(&mut unit, access, &mut (), &mut ())
//! };
//! assert_eq!(load(11)?.addr, PhysAddr::new(13));
//! assert_eq!(load(15)?.addr, PhysAddr::new(17));
//! assert_eq!(load(10).unwrap_err().cause, Cause::Bounds);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod refusal;
mod register;
mod segment;
mod selection;
mod table;
mod unit;
pub mod x86;

pub use refusal::Refusal;
pub use register::{base_register, bounds_register, flags_register};
pub use segment::{Segment, SegmentFlags};
pub use selection::{CODE, DATA, GeometryError, MAX_SEGMENTS, Parts, STACK, Selection};
pub use table::{DESCRIPTOR_BYTES, Descriptor, SegmentTable};
pub use unit::Segmentation;
