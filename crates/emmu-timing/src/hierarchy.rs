//! The state of the data caches: it decides which level serves an address.

use crate::machine::{CacheLevel, CacheModel, Machine};
use emmu_assoc::{Assoc, Forever, Owner};
use serde::Serialize;

/// The part that served a read: the first level of cache that had the line, or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Served {
    /// The first-level cache, instruction or data.
    L1,
    /// The second-level cache.
    L2,
    /// The last-level cache.
    Llc,
    /// Memory, because no cache had the line.
    Memory,
}

impl Served {
    /// All of them, the nearest first.
    pub const ALL: [Self; 4] = [Self::L1, Self::L2, Self::Llc, Self::Memory];

    /// Returns the name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Llc => "llc",
            Self::Memory => "memory",
        }
    }
}

/// A number for each level that can serve a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByServed {
    /// First-level caches.
    pub l1: u64,
    /// Second-level cache.
    pub l2: u64,
    /// Last-level cache.
    pub llc: u64,
    /// Memory.
    pub memory: u64,
}

impl From<[u64; 4]> for ByServed {
    fn from([l1, l2, llc, memory]: [u64; 4]) -> Self {
        Self { l1, l2, llc, memory }
    }
}

/// The part of the machine that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Fetch,
    Data,
    Walker,
}

/// One cache. Its tags are physical line numbers.
#[derive(Clone, Debug)]
struct Cache {
    lines: Assoc<()>,
    /// For each set, the line of the last access if that access was a hit: see [`Cache::repeats`].
    repeats: Vec<u64>,
    line_bits: u8,
    latency: u64,
}

/// A number that no line has, because a line has at least 8 bytes.
const NO_LINE: u64 = u64::MAX;

impl Cache {
    fn new(model: &CacheModel) -> Self {
        Self {
            lines: Assoc::new(model.geometry()),
            repeats: vec![NO_LINE; model.geometry().sets() as usize],
            line_bits: model.line_bits(),
            latency: model.latency.into(),
        }
    }

    /// Returns true if this access hits the line that the last access to the same set hit. Such a hit can skip
    /// the table and change no result: a replacement policy uses only the order of hits within one set, and of
    /// several successive hits on one way only the last one counts.
    #[inline(always)]
    fn repeats(&self, addr: u64) -> bool {
        let line = addr >> self.line_bits;
        self.repeats.get(self.set_of(line)) == Some(&line)
    }

    /// Looks up a line and fills it on a miss. Returns true on a hit.
    fn look_up(&mut self, addr: u64) -> bool {
        let line = addr >> self.line_bits;
        let set = self.set_of(line);
        let found = self.lines.lookup(line, |_, ()| true).map(|found| found.slot);
        match found {
            Some(slot) => {
                self.lines.hit(slot);
                self.repeats[set] = line;
            }
            None => {
                self.lines.fill(line, Owner::ONLY, (), &Forever);
                self.repeats[set] = NO_LINE;
            }
        }
        found.is_some()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to fewer than 2^24 sets")]
    fn set_of(&self, line: u64) -> usize {
        line as usize & (self.repeats.len() - 1)
    }
}

/// The caches of a machine. They are physically addressed, and neither inclusive nor exclusive. A miss fills
/// every level that was looked up. Stores allocate lines as loads do. Writing back costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    l1i: Option<Cache>,
    l1d: Option<Cache>,
    l2: Option<Cache>,
    llc: Option<Cache>,
    memory_latency: u64,
    walks_from: Option<CacheLevel>,
    /// Log2 of the bytes that one read covers at most. It is the size of the smallest line.
    step_bits: u8,
}

/// Log2 of the bytes into which transfers are cut if there are no caches.
const DEFAULT_STEP_BITS: u8 = 6;

impl Hierarchy {
    pub(crate) fn new(machine: &Machine) -> Self {
        let caches = &machine.caches;
        let lines = caches.levels().map(|(_, cache)| cache.value.line_bits());
        let step_bits = lines.min().unwrap_or(DEFAULT_STEP_BITS);
        let cache = |model: &Option<crate::Sourced<CacheModel>>| {
            model.as_ref().map(|model| Cache::new(&model.value))
        };
        Self {
            l1i: cache(&caches.l1i),
            l1d: cache(&caches.l1d),
            l2: cache(&caches.l2),
            llc: cache(&caches.llc),
            memory_latency: machine.memory.value.latency.into(),
            walks_from: machine.walker.value.cache,
            step_bits,
        }
    }

    /// Returns log2 of the bytes that one [`Hierarchy::read`] covers at most.
    #[inline]
    pub(crate) fn step_bits(&self) -> u8 {
        self.step_bits
    }

    /// Returns the level that serves the line at `addr`. Every cache that was looked up holds the line
    /// afterwards.
    #[inline(always)]
    pub(crate) fn read(&mut self, asker: Asker, addr: u64) -> Served {
        match self.first(asker) {
            Some(cache) if cache.repeats(addr) => Served::L1,
            _ => self.read_anywhere(asker, addr),
        }
    }

    /// Returns the latency of a read that this level serves, in cycles.
    pub(crate) fn latency(&self, asker: Asker, served: Served) -> u64 {
        let cache = match served {
            Served::L1 if asker == Asker::Fetch => &self.l1i,
            Served::L1 => &self.l1d,
            Served::L2 => &self.l2,
            Served::Llc => &self.llc,
            Served::Memory => &None,
        };
        cache.as_ref().map_or(self.memory_latency, |cache| cache.latency)
    }

    #[inline(always)]
    fn first(&self, asker: Asker) -> Option<&Cache> {
        match asker {
            Asker::Fetch => self.l1i.as_ref(),
            Asker::Data => self.l1d.as_ref(),
            Asker::Walker => self.l1d.as_ref().filter(|_| self.walks_from == Some(CacheLevel::L1d)),
        }
    }

    #[inline(never)]
    fn read_anywhere(&mut self, asker: Asker, addr: u64) -> Served {
        let from = self.walks_from;
        let asks = |level| asker != Asker::Walker || from.is_some_and(|from| from <= level);
        let first = if asker == Asker::Fetch { &mut self.l1i } else { &mut self.l1d };
        if asks(CacheLevel::L1d) && look_up(first, addr) {
            Served::L1
        } else if asks(CacheLevel::L2) && look_up(&mut self.l2, addr) {
            Served::L2
        } else if asks(CacheLevel::Llc) && look_up(&mut self.llc, addr) {
            Served::Llc
        } else {
            Served::Memory
        }
    }
}

/// Looks up a line in a cache that may be missing. Returns true on a hit.
fn look_up(cache: &mut Option<Cache>, addr: u64) -> bool {
    cache.as_mut().is_some_and(|cache| cache.look_up(addr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_paging::Policy;
    use emmu_property::quickcheck;

    fn small(policy: Policy) -> CacheModel {
        CacheModel::new(512, 4, 64, policy, 1).unwrap()
    }

    #[test]
    fn a_line_is_there_after_its_first_use() {
        let mut cache = Cache::new(&small(Policy::Lru));
        assert_eq!([0x100, 0x13f, 0x140].map(|addr| cache.look_up(addr)), [false, true, false]);
    }

    #[test]
    fn the_highest_address_is_a_line_like_any_other() {
        let mut cache = Cache::new(&CacheModel::new(512, 4, 8, Policy::Lru, 1).unwrap());
        assert_eq!([u64::MAX, u64::MAX].map(|addr| cache.look_up(addr)), [false, true]);
    }

    quickcheck! {
        /// Compares a cache with one that has no filter of repeated hits, under any policy.
        fn a_cache_without_the_filter_hits_and_misses_alike(policy: u8, lines: Vec<u8>) -> bool {
            let model = small(Policy::BUILT_IN[usize::from(policy) % Policy::BUILT_IN.len()]);
            let (mut filtered, mut plain) = (Cache::new(&model), Cache::new(&model));
            let runs = lines.iter().map(|&line| (u64::from(line % 16), usize::from(line / 64) + 1));
            runs.flat_map(|(line, times)| std::iter::repeat_n(line, times)).all(|line| {
                let addr = line << 6;
                (filtered.repeats(addr) || filtered.look_up(addr)) == plain.look_up(addr)
            })
        }
    }
}
