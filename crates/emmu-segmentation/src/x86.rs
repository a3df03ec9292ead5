//! x86's segmentation in protected mode and IA-32e mode, to stand in front of paging.
//!
//! Models (Intel SDM Vol. 3A, chapter 3 "Protected-Mode Memory Management", and the segment half of the chapter
//! "Protection", which is the 5th in editions before 2023 and the 6th since): the six segment registers with
//! their hidden parts; descriptors in the GDT and LDT, read at linear addresses, so through the paging unit
//! behind; every check of MOV to a segment register, of a far jump to a code segment and of LLDT; limits in both
//! directions, with granularity and the B flag; types; null selectors; the accessed bit; 64-bit mode, where bases
//! other than those of FS and GS are 0 and nothing is checked; and the exceptions of all that, with their error
//! codes: [`X86Segments::exception`], [`SegmentException::of_write`].
//!
//! Does not model: real-address and virtual-8086 mode; gates, tasks and the IDT, so no change of privilege (an
//! embedder that plays IRET or the delivery of an exception puts its outcome into the registers with
//! [`X86Segments::set_segment`]); the limit check of a jump's target, which the next fetch meets; alignment
//! checks. What the manual leaves to the implementation is decided so: an access that passes offset FFFFFFFFH
//! faults; a null selector clears the base of FS and GS.
//!
//! Which type you want: [`X86Segments`], as the first half of an [`emmu_core::Chain`].
//!
//! Logical to linear to physical, with 32-bit paging behind:
//!
//! ```
//! use emmu_core::{AccessFlags, Access, Bus, Chain, PhysAddr, TranslationUnit, VirtAddr, Width};
//! use emmu_memory::Memory;
//! use emmu_paging::{Paging, X86, format::x86::{CR0, CR3, Cr0}};
//! use emmu_segmentation::x86::{FS, GDTR_BASE, GDTR_LIMIT, X86Segments};
//!
//! let mut memory = Memory::ram(1 << 20);
//! let mut unit = Chain::new(X86Segments::flat(), Paging::uncached(X86::default()))?;
//!
//! // One page table: linear page 1, with the GDT, is page 1; linear page 5 is physical page 9.
//! for (entry, value) in [(0x2000, 0x3003), (0x3004, 0x1003), (0x3014, 0x9003)] {
//!     memory.write(PhysAddr::new(entry), Width::B4, value)?;
//! }
//! unit.write_register(CR3, 0x2000, &mut memory, &mut ())?;
//! unit.write_register(CR0, (Cr0::PE | Cr0::PG).bits(), &mut memory, &mut ())?;
//!
//! // Descriptor 3: writable data of 256 bytes from linear 0x5100 on, in byte units, present, DPL 0.
//! memory.write(PhysAddr::new(0x1018), Width::B8, 0x0040_9200_5100_00ff)?;
//! unit.write_register(GDTR_BASE, 0x1000, &mut memory, &mut ())?;
//! unit.write_register(GDTR_LIMIT, 0x1f, &mut memory, &mut ())?;
//! unit.write_register(FS, 0x18, &mut memory, &mut ())?;          // mov fs, 0x18
//!
//! let load = |offset, size| Access::load(VirtAddr::new(offset), size).with_flags(AccessFlags::FS);
//! let found = unit.translate(load(0x20, 4), &mut memory, &mut ())?;
//! assert_eq!((found.addr, found.span), (PhysAddr::new(0x9120), 0xe0));
//!
//! // Four bytes from offset 0xfd on: the limit is 0xff, and the processor raises #GP(0).
//! let fault = unit.translate(load(0xfd, 4), &mut memory, &mut ()).unwrap_err();
//! assert_eq!(fault.addr, VirtAddr::new(0x100));
//! assert_eq!(unit.first().exception(&fault).expect("its own").to_string(), "#GP(0x0)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod descriptor;
mod exception;
mod hidden;
mod linear;
mod load;
mod register;
mod selector;
mod unit;

pub use check::Violation;
pub use descriptor::X86Descriptor;
pub use exception::{SegmentException, Vector};
pub use hidden::SegmentState;
pub use load::Rule;
pub use register::{
    CS, DS, ES, FS, FS_BASE, GDTR_BASE, GDTR_LIMIT, GS, GS_BASE, LDTR, LMA, SS, SegmentRegister,
};
pub use selector::Selector;
pub use unit::X86Segments;
