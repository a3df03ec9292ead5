//! Memory-management hardware, emulated: the crate that an embedder depends on.
//!
//! Models: a CPU's memory interface, interchangeable translation units behind it (base and bounds,
//! segmentation, multi-level paging with TLBs), physical memory, a minimal operating system that drives
//! them, memory managers in the memory they manage, prices in cycles, memory traces, and a sanitizer
//! that finds missing invalidations. This crate has no code of its own. It re-exports each part as a module,
//! and the vocabulary that they share at its root.
//!
//! Does not model: instructions. Bring a CPU emulator of your own, or a trace.
//!
//! Which module you want: [`cpu`] and a unit to translate; [`memory`] to have something to translate to;
//! `timing` to learn what it costs; [`prelude`] for the names that nearly everybody needs.
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
//! # Features
//!
//! | feature | module | default | standard library |
//! |---|---|---|---|
//! | `base-bounds` | `base_bounds`: base and bounds, and the machine without translation | yes | not needed |
//! | `segmentation` | `segmentation`: segments, tables of them, x86's descriptors | yes | not needed |
//! | `paging` | `paging`: page tables of RISC-V, x86, AArch64 and your own, TLBs, walk caches | yes | not needed |
//! | `cpu` | `cpu`: modes, privileged registers, traps, accesses | yes | not needed |
//! | `memory` | `memory`: RAM, ROM, devices, a disk | yes | not needed |
//! | `os` | `os`: a minimal operating system | no | not needed |
//! | `heap` | `heap`: memory managers | no | not needed |
//! | `sanitizer` | `sanitizer`: finds missing invalidations | no | not needed |
//! | `serde` | snapshots of units, memory and CPUs | no | needed, by the random sources of policies |
//! | `timing` | `timing`: machines, counters, cycles | no | needed |
//! | `trace` | `trace`: memory traces, and one in the box | no | needed |
//! | `sim` | `sim`: a trace through a machine, to a report | no | needed |
//! | `vectors` | `vectors`: translation vectors, for your own MMU too | no | needed |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "base-bounds")]
pub use emmu_base_bounds as base_bounds;
#[doc(inline)]
pub use emmu_core::*;
#[cfg(feature = "cpu")]
pub use emmu_cpu as cpu;
#[cfg(feature = "heap")]
pub use emmu_heap as heap;
#[cfg(feature = "memory")]
pub use emmu_memory as memory;
#[cfg(feature = "os")]
pub use emmu_os as os;
#[cfg(feature = "paging")]
pub use emmu_paging as paging;
#[cfg(feature = "sanitizer")]
pub use emmu_sanitizer as sanitizer;
#[cfg(feature = "segmentation")]
pub use emmu_segmentation as segmentation;
#[cfg(feature = "sim")]
pub use emmu_sim as sim;
#[cfg(feature = "timing")]
pub use emmu_timing as timing;
#[cfg(feature = "trace")]
pub use emmu_trace as trace;
#[cfg(feature = "vectors")]
pub use emmu_vectors as vectors;

/// The names that nearly everybody needs, as far as their features are on.
pub mod prelude {
    #[cfg(feature = "base-bounds")]
    pub use emmu_base_bounds::{BaseBounds, Convention};
    pub use emmu_core::{
        Access, AccessKind, Bus, BusError, Cause, Chain, Event, Fault, Invalidate, PhysAddr,
        Privilege, Probe, Registers, Translation, TranslationUnit, VirtAddr, Width,
    };
    #[cfg(feature = "cpu")]
    pub use emmu_cpu::{Cpu, Exception, Stop};
    #[cfg(feature = "memory")]
    pub use emmu_memory::{Device, Memory};
    #[cfg(feature = "paging")]
    pub use emmu_paging::{AArch64, Paging, PagingConfig, RiscV, X86};
    #[cfg(feature = "segmentation")]
    pub use emmu_segmentation::{Segment, SegmentFlags, Segmentation, Selection};
    #[cfg(feature = "timing")]
    pub use emmu_timing::{Counters, Cycles, Machine};
}

/// The programs of the README and of the book, so that they are compiled and run with the tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/src/guide/embed.md")]
    mod embed {}
    #[doc = include_str!("../../../docs/src/guide/invalidation.md")]
    mod invalidation {}
    #[doc = include_str!("../../../docs/src/guide/measure.md")]
    mod measure {}
    #[doc = include_str!("../../../docs/src/guide/own.md")]
    mod own {}
    #[doc = include_str!("../../../docs/src/guide/own-design.md")]
    mod own_design {}
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
