//! Cycles: the price of each event, one access at a time and without overlap.

mod report;

pub use report::{CyclesReport, WalkLatency};

use crate::counters::{MAX_LEVELS, account, level_index, tlb_level_index};
use crate::hierarchy::{Asker, Hierarchy};
use crate::{
    Account, ByAccount, Histogram, InvalidatePrices, Machine, Prices, Served, StageModel, ratio,
};
use emmu_core::{Access, AccessKind, Event, Invalidate, Probe, Side, TlbId};
use serde::Serialize;

/// A probe that prices events in the cycles of one machine.
///
/// The model is *atomic*: each event takes place after the one before it. Events overlap only as far as the
/// prices of the machine already take overlap into account. `docs/src/timing.md` has the formulae.
///
/// The difference of [`Cycles::total`] before and after a translation is its cycles:
///
/// ```
/// use emmu_core::{Access, Event, PhysAddr, Probe, Side, TlbId, VirtAddr};
/// use emmu_timing::{Cycles, Machine};
///
/// let mut cycles = Cycles::new(&Machine::preset("textbook-sv39")?);
/// let access = Access::load(VirtAddr::new(0x1008), 8);
/// let before = cycles.total();
/// cycles.on(Event::Access(access));
/// cycles.on(Event::TlbHit { tlb: TlbId { level: 1, side: Side::Data }, access });
/// assert_eq!(cycles.total() - before, 1);
/// cycles.on(Event::Transfer { access, addr: PhysAddr::new(0x8008) });
/// assert_eq!(cycles.total() - before, 1 + 100);
/// # Ok::<(), emmu_timing::MachineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cycles {
    stage: Lookups,
    second_stage: Lookups,
    prices: Prices,
    invalidate_prices: InvalidatePrices,
    caches: Hierarchy,
    spent: ByAccount<Spent>,
    /// The cycles and the account of the walk under way.
    walk: (u64, Account),
    in_second_stage: bool,
    walk_latency: Histogram,
    entry_reads: EntryReads,
    second_stage_entry_reads: EntryReads,
}

/// Entry reads, by level of the table and by the level of cache that served them.
type EntryReads = [[u64; Served::ALL.len()]; MAX_LEVELS];

/// The prices of lookups in the TLBs and walk caches of one stage.
#[derive(Clone, Copy, Debug, Default)]
struct Lookups {
    tlb: [u64; MAX_LEVELS],
    walk_cache: u64,
}

impl Lookups {
    fn new(stage: &StageModel) -> Self {
        let mut tlb = [0; MAX_LEVELS];
        for (latency, level) in tlb.iter_mut().zip(&stage.tlb) {
            *latency = level.latency.value.into();
        }
        let walk_cache = stage.walk_cache.as_ref();
        Self { tlb, walk_cache: walk_cache.map_or(0, |caches| caches.latency.value.into()) }
    }
}

/// The cycles that one account has spent. The most frequent events are only counted, and priced when a caller
/// asks for the sum.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// TLB lookups, by level.
    lookups: [u64; MAX_LEVELS],
    /// Lines of instructions fetched, by the level that served them.
    fetched: [u64; Served::ALL.len()],
    /// Lines of data read or written, by the level that served them.
    data: [u64; Served::ALL.len()],
    /// The cycles of all other events.
    others: CyclesByCause,
}

/// Cycles by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CyclesByCause {
    /// Lookups in each level of TLB, hits and misses, the nearest level first.
    pub tlb: [u64; 8],
    /// Lookups in the walk caches.
    pub walk_cache: u64,
    /// Reads of entries by walks.
    pub entry_reads: u64,
    /// Updates of entries by walks.
    pub entry_updates: u64,
    /// Entries into the trap handler.
    pub trap_entries: u64,
    /// Returns from the trap handler.
    pub trap_returns: u64,
    /// Writes to registers of the translation unit.
    pub register_writes: u64,
    /// Invalidations.
    pub invalidations: u64,
    /// Transfers of instructions, by the level that served them: first-level, second-level, last-level cache,
    /// memory.
    pub fetches: [u64; 4],
    /// Transfers of data, by the level that served them, in the same order.
    pub data: [u64; 4],
    /// The part of the second stage in walks; all 0 if there is no second stage.
    #[serde(skip_serializing_if = "SecondStageCycles::is_nothing")]
    pub second_stage: SecondStageCycles,
}

/// The cycles of the second stage in walks of both stages, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecondStageCycles {
    /// Lookups in each level of its TLB, hits and misses, the nearest level first.
    pub tlb: [u64; 8],
    /// Lookups in its walk caches.
    pub walk_cache: u64,
    /// Reads of entries of its tables.
    pub entry_reads: u64,
    /// Updates of entries of its tables.
    pub entry_updates: u64,
}

impl SecondStageCycles {
    /// Returns the sum of all cycles.
    #[must_use]
    pub fn total(&self) -> u64 {
        let lookups: u64 = self.tlb.iter().sum();
        lookups + self.walk_cache + self.entry_reads + self.entry_updates
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl CyclesByCause {
    /// Returns the sum of all cycles.
    #[must_use]
    pub fn total(&self) -> u64 {
        let transfers: u64 = self.fetches.iter().chain(&self.data).sum();
        let kernel =
            self.trap_entries + self.trap_returns + self.register_writes + self.invalidations;
        self.tlb[0] + self.translation() + kernel + transfers
    }

    /// Returns the cycles that a perfect TLB would save: lookups beyond the first level, and walks.
    #[must_use]
    pub fn translation(&self) -> u64 {
        let lookups: u64 = self.tlb[1..].iter().sum();
        let own = lookups + self.walk_cache + self.entry_reads + self.entry_updates;
        own + self.second_stage.total()
    }
}

impl Probe for Cycles {
    // The events of an access that hits are inlined into the fast path of the CPU; the others are not.
    #[inline(always)]
    fn on(&mut self, event: Event) {
        match event {
            Event::Access(_) => {}
            Event::TlbHit { tlb, .. } | Event::TlbMiss { tlb, .. }
                if tlb.side == Side::SecondStage =>
            {
                self.second_stage_lookup(tlb);
            }
            Event::TlbHit { tlb, access } | Event::TlbMiss { tlb, access } => {
                self.spent[account(access)].lookups[tlb_level_index(tlb)] += 1;
            }
            Event::Transfer { access, addr } => self.transfer(access, addr.raw()),
            event => self.on_others(event),
        }
    }
}

impl Cycles {
    /// Makes a probe that has counted no cycles; all data caches are empty.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let second_stage = machine.second_stage.as_ref();
        Self {
            stage: Lookups::new(&machine.stage),
            second_stage: second_stage.map(Lookups::new).unwrap_or_default(),
            prices: machine.prices.value,
            invalidate_prices: machine.invalidate.value,
            caches: Hierarchy::new(machine),
            spent: ByAccount::default(),
            walk: (0, Account::Supervisor),
            in_second_stage: false,
            walk_latency: Histogram::default(),
            entry_reads: Default::default(),
            second_stage_entry_reads: Default::default(),
        }
    }

    /// Sets all cycles to 0 and keeps the content of the data caches. Call it after a warm-up.
    pub fn reset(&mut self) {
        self.spent = ByAccount::default();
        self.walk_latency = Histogram::default();
        self.entry_reads = Default::default();
        self.second_stage_entry_reads = Default::default();
    }

    /// Returns all cycles so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause().map(CyclesByCause::total).total()
    }

    /// Returns the cycles of each account, by cause.
    #[must_use]
    pub fn by_cause(&self) -> ByAccount<CyclesByCause> {
        self.spent.map(|spent| CyclesByCause {
            tlb: std::array::from_fn(|level| spent.lookups[level] * self.stage.tlb[level]),
            fetches: self.price_lines(Asker::Fetch, &spent.fetched),
            data: self.price_lines(Asker::Data, &spent.data),
            ..spent.others
        })
    }

    /// Returns the cycles that the same accesses would have cost with a perfect TLB, whose first level holds
    /// every translation. Lookups in further levels and walks then cost nothing. All else costs what it did
    /// cost: data accesses too, although without walks fewer of their lines would have been evicted.
    #[must_use]
    pub fn perfect(&self) -> ByAccount<u64> {
        self.by_cause().map(|spent| spent.total() - spent.translation())
    }

    /// Returns the cycles divided by the cycles with a perfect TLB: 1 if translation cost nothing, `None` if
    /// the divisor is 0.
    #[must_use]
    pub fn overhead(&self) -> Option<f64> {
        ratio::of(self.total(), self.perfect().total())
    }

    /// Returns the overhead for the cycles of one account alone.
    #[must_use]
    pub fn overhead_of(&self, account: Account) -> Option<f64> {
        ratio::of(self.by_cause()[account].total(), self.perfect()[account])
    }

    /// Returns the latencies of walks. The latency of a walk includes its lookups in walk caches, its entry
    /// reads and updates, and all that the second stage did for it. Walks that ended in a fault count too.
    #[must_use]
    pub const fn walk_latency(&self) -> &Histogram {
        &self.walk_latency
    }

    #[inline(never)]
    fn on_others(&mut self, event: Event) {
        match event {
            // A walk through both stages counts as one walk.
            Event::SecondStage(_) => self.in_second_stage = true,
            Event::SecondStageEnd => self.in_second_stage = false,
            Event::WalkBegin(_) | Event::WalkEnd { .. } if self.in_second_stage => {}
            Event::WalkBegin(access) => self.walk = (0, account(access)),
            Event::WalkCacheHit { .. } | Event::WalkCacheMiss => self.walk_cache_lookup(),
            Event::EntryRead { level, addr, .. } => self.entry_read(level, addr.raw()),
            Event::EntryUpdate { .. } => self.entry_update(),
            Event::WalkEnd { .. } => self.walk_end(),
            Event::TrapEnter => self.kernel().trap_entries += u64::from(self.prices.trap_entry),
            Event::TrapReturn => self.kernel().trap_returns += u64::from(self.prices.trap_return),
            Event::RegisterWrite(_) => {
                self.kernel().register_writes += u64::from(self.prices.register_write);
            }
            Event::Invalidate(scope) => {
                self.kernel().invalidations += u64::from(self.invalidate_prices.of(scope));
            }
            // `on` has priced these itself, or they cost nothing: `Access`, `Restart`, `TlbFill` and `Fault`.
            _ => {}
        }
    }

    #[inline(always)]
    fn transfer(&mut self, access: Access, addr: u64) {
        let step = self.caches.step_bits();
        let end = addr.saturating_add(u64::from(access.size.saturating_sub(1)));
        self.line(access, addr);
        if addr >> step != end >> step {
            self.further_lines(access, (addr >> step) + 1, end >> step);
        }
    }

    #[inline(never)]
    fn further_lines(&mut self, access: Access, first: u64, last: u64) {
        let step = self.caches.step_bits();
        for line in first..=last {
            self.line(access, line << step);
        }
    }

    #[inline(always)]
    fn line(&mut self, access: Access, addr: u64) {
        let spent = &mut self.spent[account(access)];
        if access.kind == AccessKind::Fetch {
            spent.fetched[self.caches.read(Asker::Fetch, addr) as usize] += 1;
        } else {
            spent.data[self.caches.read(Asker::Data, addr) as usize] += 1;
        }
    }

    fn price_lines(&self, asker: Asker, lines: &[u64; 4]) -> [u64; 4] {
        Served::ALL.map(|served| lines[served as usize] * self.caches.latency(asker, served))
    }

    #[inline(never)]
    fn second_stage_lookup(&mut self, tlb: TlbId) {
        let level = tlb_level_index(tlb);
        let cycles = self.second_stage.tlb[level];
        self.in_walk(cycles).second_stage.tlb[level] += cycles;
    }

    fn walk_cache_lookup(&mut self) {
        if self.in_second_stage {
            let cycles = self.second_stage.walk_cache;
            self.in_walk(cycles).second_stage.walk_cache += cycles;
        } else {
            let cycles = self.stage.walk_cache;
            self.in_walk(cycles).walk_cache += cycles;
        }
    }

    fn entry_read(&mut self, level: u8, addr: u64) {
        let served = self.caches.read(Asker::Walker, addr);
        let cycles = self.caches.latency(Asker::Walker, served);
        let (level, served) = (level_index(level), served as usize);
        if self.in_second_stage {
            self.second_stage_entry_reads[level][served] += 1;
            self.in_walk(cycles).second_stage.entry_reads += cycles;
        } else {
            self.entry_reads[level][served] += 1;
            self.in_walk(cycles).entry_reads += cycles;
        }
    }

    fn entry_update(&mut self) {
        let cycles = self.prices.entry_update.into();
        let is_second = self.in_second_stage;
        let spent = self.in_walk(cycles);
        if is_second {
            spent.second_stage.entry_updates += cycles;
        } else {
            spent.entry_updates += cycles;
        }
    }

    /// Adds cycles to the walk under way, and returns the causes of its account. Entries that units read
    /// outside of walks are on the account of the kernel.
    fn in_walk(&mut self, cycles: u64) -> &mut CyclesByCause {
        self.walk.0 += cycles;
        &mut self.spent[self.walk.1].others
    }

    fn walk_end(&mut self) {
        self.walk_latency.record(self.walk.0);
        self.walk = (0, Account::Supervisor);
    }

    fn kernel(&mut self) -> &mut CyclesByCause {
        &mut self.spent[Account::Supervisor].others
    }
}

impl InvalidatePrices {
    fn of(&self, scope: Invalidate) -> u32 {
        match scope {
            Invalidate::NonGlobal => self.non_global,
            Invalidate::Asid(_) => self.asid,
            Invalidate::Page(_) => self.page,
            Invalidate::PageInAsid { .. } => self.page_in_asid,
            Invalidate::Range { .. } => self.range,
            Invalidate::Guest { .. } => self.guest,
            Invalidate::SecondStage { .. } => self.second_stage,
            // Of everything, or of a scope that no description prices.
            _ => self.all,
        }
    }
}
