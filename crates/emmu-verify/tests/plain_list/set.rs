//! One set of a table, as a plain list.

use crate::duel::{Duel, Side};
use emmu_paging::Policy;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

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

    /// Returns true if the other page is a part of this one.
    pub(crate) fn has(self, other: Self) -> bool {
        self.first <= other.first
            && other.first + (1 << other.bits) <= self.first + (1 << self.bits)
    }
}

/// Pages in the order of the ways, and what the policy needs to know of each way.
pub(crate) struct Set {
    policy: Policy,
    pages: Vec<Option<Page>>,
    /// LRU and MRU: ways, least recently used first. FIFO: ways, first filled first.
    order: Vec<usize>,
    /// Tree-PLRU: for each half, quarter, … (as a range of ways), whether its upper part is older.
    upper_is_older: BTreeMap<(usize, usize), bool>,
    /// SRRIP and DRRIP: how distant the next use is thought to be.
    distance: Vec<u8>,
    /// NRU: ways used since the others were forgotten.
    used: Vec<usize>,
    /// DRRIP: the policy that the set leads, and the state that it shares with other sets.
    side: Side,
    duel: Rc<RefCell<Duel>>,
}

impl Set {
    pub(crate) fn new(ways: usize, policy: Policy, side: Side, duel: Rc<RefCell<Duel>>) -> Self {
        Self {
            policy,
            pages: vec![None; ways],
            order: Vec::new(),
            upper_is_older: BTreeMap::new(),
            distance: vec![3; ways],
            used: Vec::new(),
            side,
            duel,
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
        self.mark(way);
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
        self.distance[way] = match self.policy {
            Policy::Drrip { .. } => self.duel.borrow_mut().fill(self.side),
            _ => 2,
        };
        self.mark(way);
        self.pages[way].replace(page)
    }

    /// Removes what is a part of this page.
    pub(crate) fn invalidate_within(&mut self, page: Page) {
        for held in &mut self.pages {
            held.take_if(|held| page.has(*held));
        }
    }

    /// Makes the way the last one of the order.
    fn renew(&mut self, way: usize) {
        self.order.retain(|&other| other != way);
        self.order.push(way);
    }

    /// Marks the way as used; once all ways are, it is the only one.
    fn mark(&mut self, way: usize) {
        self.used.retain(|&other| other != way);
        self.used.push(way);
        if self.used.len() == self.pages.len() {
            self.used = vec![way];
        }
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
            Policy::Nru => (0..self.pages.len()).find(|way| !self.used.contains(way)).unwrap_or(0),
            Policy::Srrip | Policy::Drrip { .. } => loop {
                match self.distance.iter().position(|&distance| distance == 3) {
                    Some(way) => return way,
                    None => self.distance.iter_mut().for_each(|distance| *distance += 1),
                }
            },
            _ => unreachable!("not described: a draw would be the unit's"),
        }
    }
}
