//! The cost of address translation, in counts and in cycles.
//!
//! Models: machines, described in TOML, with their TLBs, walk caches, data caches and prices; the number of
//! events of each kind ([`Counters`]); and the cycles that they take, one access at a time ([`Cycles`]). Data
//! accesses and the entry reads of page walks share the data caches.
//!
//! Does not model: overlap. Accesses, walks and instructions do not run in parallel. Data caches have no
//! bandwidth limit and write nothing back. Instructions take no time besides their memory accesses.
//!
//! Which type you want: [`Machine`] to describe or load a machine; [`Machine::paging_config`] to build its
//! paging unit; `(Counters, Cycles)` as the probe of the CPU that runs on it; [`Counters::report`] and
//! [`Cycles::report`] for the results.
//!
//! ```
//! use emmu_core::{Access, Event, PhysAddr, Privilege, Probe, Side, TlbId, VirtAddr};
//! use emmu_timing::{Account, Counters, Cycles, Machine};
//!
//! let machine = Machine::preset("textbook-sv39")?;
//! let mut probe = (Counters::default(), Cycles::new(&machine));
//!
//! // What a paging unit tells of a load that misses both TLBs and walks three levels.
//! let access = Access::load(VirtAddr::new(0x1000), 8).with_privilege(Privilege::User);
//! probe.on(Event::Access(access));
//! probe.on(Event::TlbMiss { tlb: TlbId { level: 1, side: Side::Data }, access });
//! probe.on(Event::TlbMiss { tlb: TlbId { level: 2, side: Side::Unified }, access });
//! probe.on(Event::WalkBegin(access));
//! probe.on(Event::WalkCacheMiss);
//! for (level, table) in [(2, 0x1000), (1, 0x2000), (0, 0x3000)] {
//!     probe.on(Event::EntryRead { level, addr: PhysAddr::new(table), raw: 1 });
//! }
//! probe.on(Event::WalkEnd { faulted: false });
//! probe.on(Event::Transfer { access, addr: PhysAddr::new(0x8000) });
//!
//! let (counters, cycles) = probe;
//! assert_eq!(counters.references_per_walk(), Some(3.0));
//! assert_eq!(cycles.walk_latency().max(), Some(2 + 3 * 100));
//! assert_eq!(cycles.total(), 1 + 10 + 302 + 100);
//! assert_eq!(cycles.perfect()[Account::User], 1 + 100);
//! # Ok::<(), emmu_timing::MachineError>(())
//! ```

mod account;
mod counters;
mod cycles;
mod disk;
mod hierarchy;
mod histogram;
mod machine;
mod ratio;

pub use account::{Account, ByAccount};
pub use counters::{
    Counters, CountersReport, KindCounts, PerThousand, SecondStageReport, TlbCounts, TlbReport,
    TransferReport, WalkCacheReport, WalkReport,
};
pub use cycles::{Cycles, CyclesByCause, CyclesReport, SecondStageCycles, WalkLatency};
pub use disk::DiskCycles;
pub use hierarchy::{ByServed, Served};
pub use histogram::Histogram;
pub use machine::{
    Banks, CacheError, CacheLevel, CacheModel, Caches, Confidence, InvalidatePrices, Machine,
    MachineError, Memory, PagingFormat, Place, Prices, Provenance, Sourced, StageModel, TlbModel,
    WalkCacheModel, Walker,
};
