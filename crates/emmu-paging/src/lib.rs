//! Multi-level paging: page-table formats, the page walk, TLBs and walk caches.
//!
//! Models: RISC-V Bare, Sv32, Sv39, Sv48 and Sv57 with PMP; x86 32-bit, PAE, 4-level and 5-level paging;
//! AArch64 stage 1 with 4, 16 and 64 KiB granules; hashed page tables, one for each address space
//! ([`format::hashed`]); formats described at run time, or by implementing [`format::Format`]. One algorithm,
//! [`walk::Walk`], serves all formats. There may be any number of TLB levels and walk caches; each of their tables is
//! set-associative, with LRU, tree-PLRU, NRU, FIFO, random, SRRIP or DRRIP replacement or a policy of your own. A level
//! of TLB may include or exclude the level above it; invalidations may reach further than they must; on RISC-V,
//! invalid entries may be cached.
//!
//! Models two stages as well: RISC-V H, x86 EPT, AArch64 stage 2 and hashed tables, as a [`Paging`] with
//! another [`Paging`] behind it.
//!
//! Does not model: time, or several accesses at once; TLBs that software refills; inverted and cuckoo page
//! tables. If a register write asks for a feature that is missing, it is refused as "not modelled".
//!
//! Which type you want: [`Paging`], with [`RiscV`], [`X86`], [`AArch64`], [`format::hashed::Hashed`] or
//! [`format::described::Described`] as its format and a [`PagingConfig`] for its caches; [`walk::Walk`] to
//! drive a walk yourself.
//!
//! ```
//! use emmu_core::{Access, Bus, PhysAddr, TranslationUnit, VirtAddr, Width};
//! use emmu_memory::Memory;
//! use emmu_paging::{Paging, RiscV, format::riscv::{Pte, SATP}};
//!
//! let mut memory = Memory::ram(1 << 30);
//! let mut unit = Paging::uncached(RiscV::rv64());
//! unit.write_register(SATP, 8 << 60 | 1, &mut memory, &mut ())?;        // Sv39, root table at 0x1000
//!
//! // A gigabyte page: virtual 0x4000_0000 is physical 0.
//! let leaf = Pte::to(PhysAddr::new(0), Pte::V | Pte::R | Pte::A);
//! memory.write(PhysAddr::new(0x1008), Width::B8, leaf)?;
//! let found = unit.translate(Access::load(VirtAddr::new(0x4012_3456), 4), &mut memory, &mut ())?;
//! assert_eq!(found.addr, PhysAddr::new(0x12_3456));
//! assert_eq!(found.span, 0x4000_0000 - 0x12_3456);                     // bytes to the end of the page
//!
//! let refused = unit.translate(Access::store(VirtAddr::new(0x4012_3456), 4), &mut memory, &mut ());
//! assert_eq!(
//!     refused.unwrap_err().to_string(),
//!     "supervisor store of 4 bytes at 0x40123456: the mapping is read-only \
//!      (level 2 entry at 0x1008 holds 0x43)"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod drive;
pub mod format;
mod inspect;
mod invalid;
mod invalidate;
mod nested;
mod owner;
mod reach;
mod second;
#[cfg(feature = "serde")]
mod snapshot;
mod tlb;
mod unit;
pub mod walk;
mod walk_cache;

pub use config::{
    Bank, Banks, ConfigError, Inclusion, PagingConfig, TlbLevel, TlbTable, WalkCacheTable,
};
use emmu_assoc::{Assoc, AssocHit, Evicted, Live, Owner};
pub use emmu_assoc::{Geometry, GeometryError, Limit, Own, Parameter, Policy, Replace};
pub use format::{aarch64::AArch64, riscv::RiscV, x86::X86};
pub use reach::{InvalidationReach, Reach, WalkCacheReach};
pub use second::{SecondStage, SecondStageFormat};
pub use unit::Paging;
