//! The TLBs that are compared.

use emmu_paging::{Bank, Geometry, Inclusion, PagingConfig, Policy, Replace, TlbLevel, TlbTable};

/// TLBs, and whether half of memory is mapped by large pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description<'a> {
    pub(crate) name: &'static str,
    pub(crate) large: bool,
    pub(crate) levels: &'a [Level],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) sides: Sides,
    pub(crate) inclusion: Inclusion,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Sides {
    /// For fetches, and for data.
    Split(&'static [TlbShape], &'static [TlbShape]),
    Unified(&'static [TlbShape]),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TlbShape {
    pub(crate) sets: u32,
    pub(crate) ways: u32,
    pub(crate) policy: Policy,
    pub(crate) sizes: &'static [u8],
}

impl Description<'_> {
    /// Returns true if some level includes or excludes the levels above it.
    pub(crate) fn is_bound(&self) -> bool {
        self.levels.iter().any(|level| level.inclusion != Inclusion::NonInclusive)
    }
}

impl Level {
    /// Returns this level with another inclusion.
    pub(crate) const fn of(self, inclusion: Inclusion) -> Self {
        Self { inclusion, ..self }
    }

    const fn inclusive(self) -> Self {
        self.of(Inclusion::Inclusive)
    }

    const fn exclusive(self) -> Self {
        self.of(Inclusion::Exclusive)
    }
}

/// The most recently used way goes: a policy of one's own.
#[derive(Clone, Debug)]
pub(crate) struct Mru(Vec<usize>);

impl Replace for Mru {
    fn new(sets: usize, _: usize) -> Self {
        Self(vec![0; sets])
    }
    fn hit(&mut self, set: usize, way: usize) {
        self.0[set] = way;
    }
    fn filled(&mut self, set: usize, way: usize) {
        self.0[set] = way;
    }
    fn victim(&mut self, set: usize) -> usize {
        self.0[set]
    }
}

const LRU: Policy = Policy::Lru;
const FIFO: Policy = Policy::Fifo;
const TREE: Policy = Policy::TreePlru;
const SRRIP: Policy = Policy::Srrip;
const NRU: Policy = Policy::Nru;
const DRRIP: Policy = Policy::Drrip { seed: None };
const MRU: Policy = Policy::own::<Mru>();

const SMALL: &[u8] = &[12];
const LARGE: &[u8] = &[21];
const BOTH: &[u8] = &[12, 21];

const fn table(sets: u32, ways: u32, policy: Policy, sizes: &'static [u8]) -> TlbShape {
    TlbShape { sets, ways, policy, sizes }
}

/// A table for small pages only.
const fn small(sets: u32, ways: u32, policy: Policy) -> TlbShape {
    table(sets, ways, policy, SMALL)
}

const fn split(instruction: &'static [TlbShape], data: &'static [TlbShape]) -> Level {
    Level { sides: Sides::Split(instruction, data), inclusion: Inclusion::NonInclusive }
}

const fn unified(tables: &'static [TlbShape]) -> Level {
    Level { sides: Sides::Unified(tables), inclusion: Inclusion::NonInclusive }
}

/// TLBs over small pages only.
const fn over_small(name: &'static str, levels: &'static [Level]) -> Description<'static> {
    Description { name, large: false, levels }
}

/// TLBs over pages of two sizes.
const fn over_both(name: &'static str, levels: &'static [Level]) -> Description<'static> {
    Description { name, large: true, levels }
}

/// All that are compared.
pub(crate) const ALL: &[Description<'static>] = &[
    over_small(
        "sets of several ways, LRU",
        &[split(&[small(16, 8, LRU)], &[small(16, 4, LRU)]), unified(&[small(128, 8, LRU)])],
    ),
    over_small(
        "sets of several ways, FIFO",
        &[split(&[small(16, 8, FIFO)], &[small(16, 4, FIFO)]), unified(&[small(128, 8, FIFO)])],
    ),
    over_small(
        "sets of several ways, TREE",
        &[split(&[small(16, 8, TREE)], &[small(16, 4, TREE)]), unified(&[small(128, 8, TREE)])],
    ),
    over_small(
        "sets of several ways, SRRIP",
        &[split(&[small(16, 8, SRRIP)], &[small(16, 4, SRRIP)]), unified(&[small(128, 8, SRRIP)])],
    ),
    over_small(
        "fully associative above direct-mapped, LRU",
        &[split(&[small(1, 8, LRU)], &[small(1, 16, LRU)]), unified(&[small(32, 1, LRU)])],
    ),
    over_small(
        "fully associative above direct-mapped, FIFO",
        &[split(&[small(1, 8, FIFO)], &[small(1, 16, FIFO)]), unified(&[small(32, 1, FIFO)])],
    ),
    over_small(
        "fully associative above direct-mapped, TREE",
        &[split(&[small(1, 8, TREE)], &[small(1, 16, TREE)]), unified(&[small(32, 1, TREE)])],
    ),
    over_small(
        "fully associative above direct-mapped, SRRIP",
        &[split(&[small(1, 8, SRRIP)], &[small(1, 16, SRRIP)]), unified(&[small(32, 1, SRRIP)])],
    ),
    over_small("one split level, LRU", &[split(&[small(4, 2, LRU)], &[small(8, 2, LRU)])]),
    over_small("one split level, FIFO", &[split(&[small(4, 2, FIFO)], &[small(8, 2, FIFO)])]),
    over_small("one split level, TREE", &[split(&[small(4, 2, TREE)], &[small(8, 2, TREE)])]),
    over_small("one split level, SRRIP", &[split(&[small(4, 2, SRRIP)], &[small(8, 2, SRRIP)])]),
    over_small("one split level, NRU", &[split(&[small(4, 2, NRU)], &[small(8, 2, NRU)])]),
    over_small(
        "sets of several ways, NRU",
        &[split(&[small(16, 8, NRU)], &[small(16, 4, NRU)]), unified(&[small(128, 8, NRU)])],
    ),
    over_small(
        "fully associative of odd ways above direct-mapped, NRU",
        &[split(&[small(1, 7, NRU)], &[small(1, 13, NRU)]), unified(&[small(32, 1, NRU)])],
    ),
    over_small("one split level, DRRIP", &[split(&[small(2, 2, DRRIP)], &[small(8, 2, DRRIP)])]),
    over_small("sets that all lead, DRRIP", &[unified(&[small(2, 4, DRRIP)])]),
    over_small(
        "sets of several ways, DRRIP",
        &[split(&[small(16, 8, DRRIP)], &[small(16, 4, DRRIP)]), unified(&[small(128, 8, DRRIP)])],
    ),
    over_small(
        "sets of few ways, DRRIP",
        &[split(&[small(16, 3, DRRIP)], &[small(16, 2, DRRIP)]), unified(&[small(128, 1, DRRIP)])],
    ),
    over_small(
        "exclusive, DRRIP below NRU",
        &[unified(&[small(2, 4, NRU)]), unified(&[small(8, 3, DRRIP)]).exclusive()],
    ),
    over_small("one unified level, MRU", &[unified(&[small(1, 16, MRU)])]),
    over_small("one unified level of odd ways", &[unified(&[small(4, 5, LRU)])]),
    over_small(
        "two unified levels, tree-PLRU below LRU",
        &[unified(&[small(8, 3, LRU)]), unified(&[small(8, 8, TREE)])],
    ),
    over_small(
        "two split levels",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 4, LRU)]),
            split(&[small(8, 2, SRRIP)], &[small(8, 4, SRRIP)]),
        ],
    ),
    over_small(
        "three levels, LRU",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 4, LRU)]),
            unified(&[small(4, 4, LRU)]),
            unified(&[small(16, 4, LRU)]),
        ],
    ),
    over_small(
        "three levels of three policies",
        &[
            unified(&[small(1, 8, TREE)]),
            split(&[small(4, 4, FIFO)], &[small(4, 4, FIFO)]),
            unified(&[small(16, 4, SRRIP)]),
        ],
    ),
    over_small(
        "exclusive below a split level, LRU",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 4, LRU)]),
            unified(&[small(4, 4, LRU)]).exclusive(),
        ],
    ),
    over_small(
        "exclusive, FIFO below tree-PLRU",
        &[unified(&[small(2, 4, TREE)]), unified(&[small(8, 4, FIFO)]).exclusive()],
    ),
    over_small(
        "exclusive and split, SRRIP",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 8, FIFO)]),
            split(&[small(4, 4, SRRIP)], &[small(4, 4, SRRIP)]).exclusive(),
        ],
    ),
    over_small(
        "exclusive of one entry",
        &[unified(&[small(4, 2, LRU)]), unified(&[small(1, 1, LRU)]).exclusive()],
    ),
    over_small(
        "inclusive and smaller than what it includes",
        &[
            split(&[small(4, 4, LRU)], &[small(4, 4, LRU)]),
            unified(&[small(8, 2, LRU)]).inclusive(),
        ],
    ),
    over_small(
        "inclusive, SRRIP below FIFO",
        &[unified(&[small(2, 8, FIFO)]), unified(&[small(8, 3, SRRIP)]).inclusive()],
    ),
    over_small(
        "inclusive and split, tree-PLRU",
        &[
            split(&[small(1, 8, LRU)], &[small(1, 8, LRU)]),
            split(&[small(4, 2, TREE)], &[small(4, 4, TREE)]).inclusive(),
        ],
    ),
    over_small(
        "inclusive below exclusive",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 4, LRU)]),
            unified(&[small(2, 4, LRU)]).exclusive(),
            unified(&[small(8, 4, LRU)]).inclusive(),
        ],
    ),
    over_small(
        "exclusive below inclusive",
        &[
            split(&[small(1, 8, LRU)], &[small(1, 8, LRU)]),
            unified(&[small(4, 4, LRU)]).inclusive(),
            unified(&[small(4, 4, FIFO)]).exclusive(),
        ],
    ),
    over_small(
        "two exclusive levels",
        &[
            unified(&[small(1, 4, FIFO)]),
            unified(&[small(2, 4, LRU)]).exclusive(),
            unified(&[small(4, 4, SRRIP)]).exclusive(),
        ],
    ),
    over_small(
        "two inclusive levels",
        &[
            unified(&[small(2, 8, LRU)]),
            unified(&[small(4, 4, LRU)]).inclusive(),
            unified(&[small(4, 6, FIFO)]).inclusive(),
        ],
    ),
    over_both(
        "two sizes in one table at both levels",
        &[
            split(&[table(1, 4, LRU, BOTH)], &[table(4, 2, LRU, BOTH)]),
            unified(&[table(8, 4, LRU, BOTH)]),
        ],
    ),
    over_both(
        "a Cortex-A53's micro TLBs above its main TLB",
        &[
            split(&[table(1, 10, LRU, BOTH)], &[table(1, 10, LRU, BOTH)]),
            unified(&[table(128, 4, LRU, BOTH)]),
        ],
    ),
    over_both(
        "sizes apart above one table",
        &[
            split(
                &[small(4, 2, LRU), table(1, 2, LRU, LARGE)],
                &[small(4, 2, TREE), table(1, 2, FIFO, LARGE)],
            ),
            unified(&[table(8, 3, SRRIP, BOTH)]),
        ],
    ),
    over_both(
        "large pages by parts",
        &[split(&[small(1, 8, LRU)], &[small(1, 8, LRU)]), unified(&[small(16, 4, LRU)])],
    ),
    over_both(
        "large pages whole above and by parts below",
        &[unified(&[table(2, 2, LRU, BOTH)]), unified(&[small(16, 4, LRU)])],
    ),
    over_both(
        "large pages by parts above and whole below",
        &[unified(&[small(2, 4, FIFO)]), unified(&[table(4, 4, LRU, BOTH)])],
    ),
    over_both(
        "small pages below alone",
        &[unified(&[table(1, 2, LRU, LARGE)]), unified(&[small(4, 4, LRU)])],
    ),
    over_both(
        "exclusive, two sizes in one table",
        &[
            split(&[table(1, 4, LRU, BOTH)], &[table(1, 4, LRU, BOTH)]),
            unified(&[table(4, 4, LRU, BOTH)]).exclusive(),
        ],
    ),
    over_both(
        "exclusive, parts above and whole below",
        &[
            split(&[small(1, 4, LRU)], &[small(1, 4, LRU)]),
            unified(&[small(4, 2, LRU), table(1, 4, LRU, LARGE)]).exclusive(),
        ],
    ),
    over_both(
        "exclusive, whole above and small pages below",
        &[unified(&[table(1, 4, TREE, BOTH)]), unified(&[small(4, 4, LRU)]).exclusive()],
    ),
    over_both(
        "exclusive, what the level above cannot hold",
        &[unified(&[table(1, 2, LRU, LARGE)]), unified(&[table(4, 4, SRRIP, BOTH)]).exclusive()],
    ),
    over_both(
        "inclusive, sizes apart above one table",
        &[
            split(
                &[small(4, 2, LRU), table(1, 2, LRU, LARGE)],
                &[small(4, 2, LRU), table(1, 2, LRU, LARGE)],
            ),
            unified(&[table(2, 4, LRU, BOTH)]).inclusive(),
        ],
    ),
    over_both(
        "inclusive, parts above and whole below",
        &[
            split(&[small(4, 4, LRU)], &[small(4, 4, LRU)]),
            unified(&[small(4, 2, LRU), table(1, 2, LRU, LARGE)]).inclusive(),
        ],
    ),
    over_both(
        "inclusive, two sizes in one table, DRRIP and NRU",
        &[
            split(&[table(1, 4, NRU, BOTH)], &[table(2, 4, DRRIP, BOTH)]),
            unified(&[table(8, 3, DRRIP, BOTH)]).inclusive(),
        ],
    ),
    over_both(
        "three levels, sizes apart, exclusive above inclusive",
        &[
            unified(&[small(1, 4, LRU), table(1, 1, LRU, LARGE)]),
            unified(&[small(2, 4, FIFO), table(1, 2, LRU, LARGE)]).exclusive(),
            unified(&[table(8, 4, TREE, BOTH)]).inclusive(),
        ],
    ),
];

/// The unit's configuration for a description.
pub(crate) fn config(description: &Description<'_>) -> PagingConfig {
    let tlb = description.levels.iter().map(|level| {
        let sides = match level.sides {
            Sides::Split(instruction, data) => TlbLevel::split(bank(instruction), bank(data)),
            Sides::Unified(tables) => TlbLevel::unified(bank(tables)),
        };
        TlbLevel { inclusion: level.inclusion, ..sides }
    });
    PagingConfig { tlb: tlb.collect(), ..PagingConfig::default() }
}

fn bank(tables: &[TlbShape]) -> Bank {
    let table = |table: &TlbShape| TlbTable {
        geometry: Geometry::new(table.sets, table.ways, table.policy).unwrap(),
        page_bits: table.sizes.to_vec(),
    };
    tables.iter().map(table).collect()
}
