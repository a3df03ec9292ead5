//! One set of a table, as a plain list.

use emmu_paging::Policy;
use std::collections::BTreeMap;

/// A block of 2^`bits` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) first: u64,
    pub(crate) bits: u8,
}

impl Page {
    /// The one that holds this address.
    pub(crate) fn around(addr: u64, bits: u8) -> Self {
        Self { first: addr >> bits << bits, bits }
    }

    /// Whether the other is a part of it.
    pub(crate) fn has(self, other: Self) -> bool {
        self.first <= other.first
            && other.first + (1 << other.bits) <= self.first + (1 << self.bits)
    }
}

/// Pages in the order of the ways, and what the policy needs to know of each way.
#[derive(Clone)]
pub(crate) struct Set {
    policy: Policy,
    pages: Vec<Option<Page>>,
    /// LRU and MRU: ways, least recently used first. FIFO: ways, first filled first.
    order: Vec<usize>,
    /// Tree-PLRU: for each half, quarter, … (as a range of ways), whether its upper part is older.
    upper_is_older: BTreeMap<(usize, usize), bool>,
    /// SRRIP: how distant the next use is thought to be.
    distance: Vec<u8>,
}

impl Set {
    pub(crate) fn new(ways: usize, policy: Policy) -> Self {
        Self {
            policy,
            pages: vec![None; ways],
            order: Vec::new(),
            upper_is_older: BTreeMap::new(),
            distance: vec![3; ways],
        }
    }

    pub(crate) fn holds(&self, page: Page) -> bool {
        self.pages.contains(&Some(page))
    }

    pub(crate) fn lookup(&mut self, page: Page) -> bool {
        let Some(way) = self.pages.iter().position(|&held| held == Some(page)) else {
            return false;
        };
        if matches!(self.policy, Policy::Lru | Policy::Own(_)) {
            self.renew(way);
        }
        if self.policy == Policy::TreePlru {
            self.protect(way);
        }
        self.distance[way] = 0;
        true
    }

    /// Puts a page in, and says which one had to go.
    pub(crate) fn fill(&mut self, page: Page) -> Option<Page> {
        let vacant = self.pages.iter().position(Option::is_none);
        let way = vacant.unwrap_or_else(|| self.victim());
        self.renew(way);
        if self.policy == Policy::TreePlru {
            self.protect(way);
        }
        self.distance[way] = 2;
        self.pages[way].replace(page)
    }

    /// Removes what is a part of this page.
    pub(crate) fn remove_within(&mut self, page: Page) {
        for held in &mut self.pages {
            held.take_if(|held| page.has(*held));
        }
    }

    /// Makes the way the last one of the order.
    fn renew(&mut self, way: usize) {
        self.order.retain(|&other| other != way);
        self.order.push(way);
    }

    /// Makes the other half of each range that holds the way the older one.
    fn protect(&mut self, way: usize) {
        let (mut low, mut high) = (0, self.pages.len());
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            self.upper_is_older.insert((low, high), way < middle);
            if way < middle { high = middle } else { low = middle }
        }
    }

    fn victim(&mut self) -> usize {
        match self.policy {
            Policy::Lru | Policy::Fifo => self.order[0],
            Policy::Own(_) => *self.order.last().unwrap(),
            Policy::TreePlru => {
                let (mut low, mut high) = (0, self.pages.len());
                while high - low > 1 {
                    let middle = usize::midpoint(low, high);
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
            Policy::Random { .. } => unreachable!("not described: the draw would be the unit's"),
        }
    }
}
