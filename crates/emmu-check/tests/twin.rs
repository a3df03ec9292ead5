//! A second TLB, as naive as can be: a plain list of pages per set. On the bundled trace it hits and misses
//! exactly where the paging unit's TLBs do, access by access.
#![expect(clippy::unwrap_used, reason = "a test")]

use emmu_core::{
    Access, AccessKind, Bus, Event, PhysAddr, Probe, Side, TlbId, TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, format::riscv::Pte,
};
use emmu_trace::{RecordSource, bundled, open};
use std::collections::{BTreeMap, BTreeSet};

/// One set: pages in the order of the ways, and what the policy needs to know of each way.
#[derive(Clone)]
struct Set {
    pages: Vec<Option<u64>>,
    /// LRU: ways, least recently used first. FIFO: ways, first filled first.
    order: Vec<usize>,
    /// Tree-PLRU: for each half, quarter, … (as a range of ways), whether its upper part is older.
    upper_is_older: BTreeMap<(usize, usize), bool>,
    /// SRRIP: how distant the next use is thought to be.
    distance: Vec<u8>,
}

impl Set {
    fn new(ways: usize) -> Self {
        Self {
            pages: vec![None; ways],
            order: Vec::new(),
            upper_is_older: BTreeMap::new(),
            distance: vec![3; ways],
        }
    }

    fn lookup(&mut self, page: u64, policy: Policy) -> bool {
        let Some(way) = self.pages.iter().position(|&held| held == Some(page)) else {
            return false;
        };
        if policy == Policy::Lru {
            self.renew(way);
        }
        self.protect(way);
        self.distance[way] = 0;
        true
    }

    fn fill(&mut self, page: u64, policy: Policy) {
        let vacant = self.pages.iter().position(Option::is_none);
        let way = vacant.unwrap_or_else(|| self.victim(policy));
        self.pages[way] = Some(page);
        self.renew(way);
        self.protect(way);
        self.distance[way] = 2;
    }

    /// Makes the way the last one to go.
    fn renew(&mut self, way: usize) {
        self.order.retain(|&other| other != way);
        self.order.push(way);
    }

    /// Makes the other half of each range that holds the way the older one.
    fn protect(&mut self, way: usize) {
        let (mut low, mut high) = (0, self.pages.len());
        while high - low > 1 {
            let middle = (low + high) / 2;
            self.upper_is_older.insert((low, high), way < middle);
            if way < middle { high = middle } else { low = middle }
        }
    }

    fn victim(&mut self, policy: Policy) -> usize {
        match policy {
            Policy::Lru | Policy::Fifo => self.order[0],
            Policy::TreePlru => {
                let (mut low, mut high) = (0, self.pages.len());
                while high - low > 1 {
                    let middle = (low + high) / 2;
                    let upper = self.upper_is_older.get(&(low, high)).copied().unwrap_or(false);
                    if upper { low = middle } else { high = middle }
                }
                low
            }
            Policy::Srrip => loop {
                match self.distance.iter().position(|&distance| distance == 3) {
                    Some(way) => return way,
                    None => self.distance.iter_mut().for_each(|distance| *distance += 1),
                }
            },
            Policy::Random { .. } | Policy::Own(_) => unreachable!("not modelled here"),
        }
    }
}

#[derive(Clone)]
struct NaiveTlb {
    sets: Vec<Set>,
    policy: Policy,
}

impl NaiveTlb {
    fn new((sets, ways): (u32, u32), policy: Policy) -> Self {
        Self { sets: vec![Set::new(ways as usize); sets as usize], policy }
    }

    fn set(&mut self, page: u64) -> &mut Set {
        let index = usize::try_from(page).unwrap() % self.sets.len();
        &mut self.sets[index]
    }

    fn lookup(&mut self, page: u64) -> bool {
        let policy = self.policy;
        self.set(page).lookup(page, policy)
    }

    fn fill(&mut self, page: u64) {
        let policy = self.policy;
        self.set(page).fill(page, policy);
    }
}

/// Sets and ways: first level for instructions, for data, and second level.
#[derive(Clone, Copy, Debug)]
struct Shape {
    instruction: (u32, u32),
    data: (u32, u32),
    second: Option<(u32, u32)>,
}

const SHAPES: [Shape; 3] = [
    Shape { instruction: (16, 8), data: (16, 4), second: Some((128, 8)) },
    Shape { instruction: (1, 8), data: (1, 16), second: Some((32, 1)) },
    Shape { instruction: (4, 2), data: (8, 2), second: None },
];

const POLICIES: [Policy; 4] = [Policy::Lru, Policy::Fifo, Policy::TreePlru, Policy::Srrip];

struct NaiveTlbs {
    instruction: NaiveTlb,
    data: NaiveTlb,
    second: Option<NaiveTlb>,
}

impl NaiveTlbs {
    fn new(shape: Shape, policy: Policy) -> Self {
        Self {
            instruction: NaiveTlb::new(shape.instruction, policy),
            data: NaiveTlb::new(shape.data, policy),
            second: shape.second.map(|second| NaiveTlb::new(second, policy)),
        }
    }

    /// Which levels were asked, in order, and whether they had the page.
    fn reference(&mut self, kind: AccessKind, page: u64) -> Lookups {
        let (first, side) = match kind {
            AccessKind::Fetch => (&mut self.instruction, Side::Instruction),
            _ => (&mut self.data, Side::Data),
        };
        let mut lookups = Lookups::default();
        let hit = first.lookup(page);
        lookups.push(TlbId { level: 1, side }, hit);
        if hit {
            return lookups;
        }
        if let Some(second) = &mut self.second {
            let hit = second.lookup(page);
            lookups.push(TlbId { level: 2, side: Side::Unified }, hit);
            if !hit {
                second.fill(page);
            }
        }
        first.fill(page);
        lookups
    }
}

/// The lookups of one access: two at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lookups([Option<(TlbId, bool)>; 2]);

impl Lookups {
    fn push(&mut self, tlb: TlbId, hit: bool) {
        let free = self.0.iter_mut().find(|lookup| lookup.is_none());
        *free.unwrap() = Some((tlb, hit));
    }
}

impl Probe for Lookups {
    fn on(&mut self, event: Event) {
        match event {
            Event::TlbHit { tlb, .. } => self.push(tlb, true),
            Event::TlbMiss { tlb, .. } => self.push(tlb, false),
            _ => {}
        }
    }
}

/// Every page-sized piece of every access of the bundled trace.
fn pieces() -> Vec<(AccessKind, u64)> {
    let mut pieces = Vec::new();
    for record in open(bundled()).unwrap().records() {
        let record = record.unwrap();
        let first = record.addr.block(12);
        let last = record.addr.wrapping_add(u64::from(record.size) - 1).block(12);
        for &kind in record.kind.accesses() {
            pieces.extend((first..=last).map(|page| (kind, page)));
        }
    }
    pieces
}

/// Sv39 tables that map these pages to themselves, clean of nothing: accessed and dirty.
fn memory(pages: &BTreeSet<u64>) -> Memory {
    let mut memory = Memory::ram(1 << 40);
    let mut next = 0x2000;
    for page in pages {
        let mut table = 0x1000;
        for level in (0..3).rev() {
            let entry = PhysAddr::new(table + (page >> (9 * level) & 511) * 8);
            let raw = memory.peek(entry, Width::B8).unwrap();
            let leaf = Pte::V | Pte::R | Pte::W | Pte::X | Pte::A | Pte::D;
            let new = match (level, raw) {
                (0, _) => Pte::to(PhysAddr::new(page << 12), leaf),
                (_, 0) => {
                    next += 0x1000;
                    Pte::to(PhysAddr::new(next - 0x1000), Pte::V)
                }
                (_, raw) => raw,
            };
            memory.write(entry, Width::B8, new).unwrap();
            table = new >> 10 << 12;
        }
    }
    memory
}

fn config(shape: Shape, policy: Policy) -> PagingConfig {
    let bank = |(sets, ways)| {
        let geometry = Geometry::new(sets, ways, policy).unwrap();
        vec![TlbTable { geometry, page_bits: vec![12] }]
    };
    let first = TlbLevel::split(bank(shape.instruction), bank(shape.data));
    let second = shape.second.map(|second| TlbLevel::unified(bank(second)));
    let tlb = [first].into_iter().chain(second).collect();
    PagingConfig { tlb, ..PagingConfig::default() }
}

#[test]
fn a_plain_list_hits_and_misses_where_the_tlbs_do_on_the_bundled_trace() {
    let pieces = pieces();
    let pages: BTreeSet<u64> = pieces.iter().map(|&(_, page)| page).collect();
    let memory = memory(&pages);
    for shape in SHAPES {
        for policy in POLICIES {
            let misses = compare(&pieces, memory.clone(), shape, policy);
            assert!(misses > pages.len() as u64 / 2, "the trace puts {shape:?} to work");
        }
    }
}

/// Runs both on the trace, and counts the misses of the first level.
fn compare(pieces: &[(AccessKind, u64)], mut memory: Memory, shape: Shape, policy: Policy) -> u64 {
    let format = RiscV::rv64().with_satp(8 << 60 | 1);
    let mut unit = Paging::new(format, &config(shape, policy)).unwrap();
    let mut naive = NaiveTlbs::new(shape, policy);
    let mut misses = 0;
    for (number, &(kind, page)) in pieces.iter().enumerate() {
        let mut lookups = Lookups::default();
        let access = Access::new(kind, VirtAddr::new(page << 12), 1);
        unit.translate(access, &mut memory, &mut lookups).unwrap();
        let expected = naive.reference(kind, page);
        assert_eq!(lookups, expected, "access {number}, page {page:#x}, {shape:?}, {policy:?}");
        misses += u64::from(lookups.0[0].is_some_and(|(_, hit)| !hit));
    }
    misses
}
