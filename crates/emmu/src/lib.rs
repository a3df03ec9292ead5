//! Memory-management hardware, emulated: what an embedder depends on.
//!
//! Models: a CPU's memory interface, interchangeable translation units behind it (base and bounds,
//! segmentation, multi-level paging with TLBs), physical memory, a minimal operating system that drives
//! them, memory managers in the memory they manage, prices in cycles, memory traces, and a sanitizer
//! that finds missing invalidations. This crate has no
//! code of its own: each part is a crate, re-exported here as a module.
//!
//! Does not model: instructions. Bring a CPU emulator of your own, or a trace.
//!
//! Which module you want: [`cpu`] and a unit to translate; [`memory`] to have something to translate to;
//! [`timing`] to learn what it costs; [`prelude`] for the names that nearly everybody needs.
//!
//! ```
//! use emmu::prelude::*;
//!
//! // 64 KiB of RAM, seen by programs through base and bounds.
//! let unit = BaseBounds::new(Convention::Size).with_registers(0x4000, 0x1000);
//! let mut cpu = Cpu::new(unit, Memory::ram(64 << 10));
//! cpu.store(VirtAddr::new(0x4010), Width::B8, 42)?;            // the supervisor stores at 0x4010
//! cpu.set_privilege(Privilege::User);
//! assert_eq!(cpu.load(VirtAddr::new(0x10), Width::B8)?, 42);   // and the program finds it at 0x10
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With paging, TLBs and cycles, from the README:
#![doc = include_str!("../../../README.md")]

pub use emmu_base_bounds as base_bounds;
pub use emmu_core as core;
pub use emmu_cpu as cpu;
pub use emmu_heap as heap;
pub use emmu_memory as memory;
pub use emmu_os as os;
pub use emmu_paging as paging;
pub use emmu_sanitizer as sanitizer;
pub use emmu_segmentation as segmentation;
pub use emmu_timing as timing;
pub use emmu_trace as trace;

/// The names that nearly everybody needs.
pub mod prelude {
    pub use emmu_base_bounds::{BaseBounds, Convention};
    pub use emmu_core::{
        Access, AccessKind, Bus, BusError, Cause, Chain, Event, Fault, Invalidate, PhysAddr,
        Privilege, Probe, Registers, Translation, TranslationUnit, VirtAddr, Width,
    };
    pub use emmu_cpu::{Cpu, Exception, Stop};
    pub use emmu_memory::{Device, Memory};
    pub use emmu_paging::{AArch64, Paging, PagingConfig, RiscV, X86};
    pub use emmu_segmentation::{Segment, SegmentFlags, Segmentation, Selection};
    pub use emmu_timing::{Counters, Cycles, Machine};
}

/// The book's programs, so that they are compiled and run with the tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/guide/embed.md")]
    mod embed {}
    #[doc = include_str!("../../../docs/src/guide/invalidation.md")]
    mod invalidation {}
    #[doc = include_str!("../../../docs/src/guide/measure.md")]
    mod measure {}
    #[doc = include_str!("../../../docs/src/guide/own.md")]
    mod own {}
    #[cfg(feature = "serde")]
    #[doc = include_str!("../../../docs/src/guide/snapshots.md")]
    mod snapshots {}
    #[doc = include_str!("../../../docs/src/guide/segments.md")]
    mod segments {}
    #[doc = include_str!("../../../docs/src/guide/systems.md")]
    mod systems {}
    #[doc = include_str!("../../../docs/src/guide/test.md")]
    mod test {}
    #[doc = include_str!("../../../docs/src/guide/virtual-machines.md")]
    mod virtual_machines {}
    #[doc = include_str!("../../../docs/src/own-format.md")]
    mod own_format {}
}
