//! Counts how often the cases of a property reach the behaviour that it tests.

use super::trace::{Source, Trace};
use core::{fmt, iter::Sum, ops::AddAssign};
use emmu_core::Event;
use emmu_oracle::two_stage::Stage;
use std::collections::BTreeMap;

/// Counts of the results of the accesses in scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Number of accesses, without those that a ticket repeated.
    pub accesses: u64,
    /// Number of accesses that were allowed.
    pub allowed: u64,
    /// Number of hits by stage and level of TLB. A hit on a translation of both stages counts for the first stage.
    pub hits: BTreeMap<(Stage, u8), u64>,
    /// Number of walks of the first stage, or the only one, and of the second.
    pub walks: [u64; 2],
    /// Number of these walks that a walk cache shortened.
    pub shortened: [u64; 2],
    /// Number of entries outside the scope of an invalidation that stayed cached.
    pub kept: u64,
}

impl Coverage {
    /// Counts one access by the events that the unit reports.
    pub(super) fn count(&mut self, events: &[Event], trace: &Trace, allowed: bool) {
        self.accesses += 1;
        self.allowed += u64::from(allowed);
        self.count_walk(0, &trace.whole.source());
        trace.parts.iter().for_each(|part| self.count_walk(1, &part.source()));
        let mut stage = Stage::First;
        for event in events {
            match *event {
                Event::SecondStage(_) => stage = Stage::Second,
                Event::SecondStageEnd => stage = Stage::First,
                Event::TlbHit { tlb, .. } => *self.hits.entry((stage, tlb.level)).or_default() += 1,
                _ => {}
            }
        }
    }

    fn count_walk(&mut self, stage: usize, source: &Source) {
        let (walks, shortened) = match source {
            Source::Untranslated | Source::Hit => (0, 0),
            Source::FromRoot { .. } => (1, 0),
            Source::Shortened { .. } => (1, 1),
        };
        self.walks[stage] += walks;
        self.shortened[stage] += shortened;
    }

    /// Returns the number of hits in TLBs of this stage.
    #[must_use]
    pub fn hits_of(&self, stage: Stage) -> u64 {
        self.hits.iter().filter(|((of, _), _)| *of == stage).map(|(_, hits)| hits).sum()
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.accesses += other.accesses;
        self.allowed += other.allowed;
        self.kept += other.kept;
        for (tlb, hits) in other.hits {
            *self.hits.entry(tlb).or_default() += hits;
        }
        for stage in 0..2 {
            self.walks[stage] += other.walks[stage];
            self.shortened[stage] += other.shortened[stage];
        }
    }
}

impl Sum for Coverage {
    fn sum<I: Iterator<Item = Self>>(coverages: I) -> Self {
        coverages.fold(Self::default(), |mut sum, coverage| {
            sum += coverage;
            sum
        })
    }
}

/// Shows all counts in one line.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accesses, allowed, hits, walks, shortened, kept } = self;
        write!(f, "{accesses} accesses, {allowed} allowed; hits")?;
        for ((stage, level), hits) in hits {
            write!(f, " {stage:?} L{level} {hits}")?;
        }
        write!(f, "; walks {walks:?}, shortened {shortened:?}; kept {kept}")
    }
}
