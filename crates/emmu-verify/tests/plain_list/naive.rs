//! All levels, as lists of lists.

use crate::{
    Lookups,
    descriptions::{Description, Level, Sides, TlbShape},
    duel,
    set::{Page, Set},
};
use emmu_core::{AccessKind, Side, TlbId};
use emmu_paging::Inclusion;
use std::rc::Rc;

pub(crate) struct Naive {
    levels: Vec<NaiveLevel>,
}

struct NaiveLevel {
    inclusion: Inclusion,
    /// One for all accesses, or one for fetches and one for data.
    banks: Vec<NaiveBank>,
}

struct NaiveBank {
    id: TlbId,
    tables: Vec<NaiveTable>,
}

struct NaiveTable {
    sizes: &'static [u8],
    sets: Vec<Set>,
}

impl Naive {
    pub(crate) fn new(description: &Description<'_>) -> Self {
        let levels =
            (1..).zip(description.levels).map(|(number, level)| NaiveLevel::new(number, level));
        Self { levels: levels.collect() }
    }

    /// Which levels an access to a page of this leaf asks, in order, and whether they have it.
    pub(crate) fn reference(&mut self, kind: AccessKind, addr: u64, leaf: Page) -> Lookups {
        let mut lookups = Lookups::default();
        for number in 0..self.levels.len() {
            let bank = self.levels[number].bank(kind);
            let hit = bank.lookup(addr);
            lookups.push(bank.id, hit.is_some());
            if let Some(page) = hit {
                if number > 0 && self.is_left_to_above(number, page, kind) {
                    self.levels[number].bank(kind).invalidate_within(page);
                }
                self.fill_above(number, addr, page, kind);
                return lookups;
            }
        }
        self.fill_above(self.levels.len(), addr, leaf, kind);
        lookups
    }

    /// Every level above this number gets what it can hold of a page, the lowest first.
    fn fill_above(&mut self, number: usize, addr: u64, page: Page, kind: AccessKind) {
        for number in (0..number).rev() {
            if number > 0 && self.is_left_to_above(number, page, kind) {
                continue;
            }
            let bank = self.levels[number].bank(kind);
            if let Some(bits) = bank.largest(page.bits) {
                let gone = bank.fill(Page::around(addr, bits));
                self.let_go(number, gone, kind);
            }
        }
    }

    /// Returns true if this level excludes the one above, and the one above holds as much of the page.
    fn is_left_to_above(&mut self, number: usize, page: Page, kind: AccessKind) -> bool {
        let above = self.levels[number - 1].bank(kind).largest(page.bits);
        let here = self.levels[number].bank(kind).largest(page.bits);
        self.levels[number].inclusion == Inclusion::Exclusive && above >= here
    }

    fn let_go(&mut self, number: usize, gone: Option<Page>, kind: AccessKind) {
        let Some(page) = gone else { return };
        if self.levels[number].inclusion == Inclusion::Inclusive {
            let for_all = self.levels[number].banks.len() == 1;
            for above in &mut self.levels[..number] {
                match for_all {
                    true => above.banks.iter_mut().for_each(|bank| bank.invalidate_within(page)),
                    false => above.bank(kind).invalidate_within(page),
                }
            }
        }
        let Some(below) = self.levels.get_mut(number + 1) else { return };
        if below.inclusion == Inclusion::Exclusive {
            let bank = below.bank(kind);
            if bank.has_size(page.bits) && !bank.covers(page) {
                let gone = bank.fill(page);
                self.let_go(number + 1, gone, kind);
            }
        }
    }
}

impl NaiveLevel {
    fn new(number: u8, level: &Level) -> Self {
        let bank = |side, tables: &'static [TlbShape]| NaiveBank {
            id: TlbId { level: number, side },
            tables: tables.iter().map(NaiveTable::new).collect(),
        };
        let banks = match level.sides {
            Sides::Split(instruction, data) => {
                vec![bank(Side::Instruction, instruction), bank(Side::Data, data)]
            }
            Sides::Unified(tables) => vec![bank(Side::Unified, tables)],
        };
        Self { inclusion: level.inclusion, banks }
    }

    /// The one that serves accesses of this kind.
    fn bank(&mut self, kind: AccessKind) -> &mut NaiveBank {
        let last = self.banks.len() - 1;
        &mut self.banks[if kind == AccessKind::Fetch { 0 } else { last }]
    }
}

impl NaiveBank {
    /// Table by table, and in each the smallest size first.
    fn lookup(&mut self, addr: u64) -> Option<Page> {
        self.tables.iter_mut().find_map(|NaiveTable { sizes, sets }| {
            let mut pages = sizes.iter().map(|&bits| Page::around(addr, bits));
            pages.find(|&page| set_of(sets, page).lookup(page))
        })
    }

    /// The largest size, not above this one, that some table holds.
    fn largest(&self, bits: u8) -> Option<u8> {
        let sizes = self.tables.iter().flat_map(|table| table.sizes);
        sizes.copied().filter(|&size| size <= bits).max()
    }

    fn has_size(&self, bits: u8) -> bool {
        self.largest(bits) == Some(bits)
    }

    /// Puts the page into the table of its size.
    fn fill(&mut self, page: Page) -> Option<Page> {
        let table = self.tables.iter_mut().find(|table| table.sizes.contains(&page.bits)).unwrap();
        set_of(&mut table.sets, page).fill(page)
    }

    /// Returns true if the page is here, or a page of which it is a part.
    fn covers(&self, page: Page) -> bool {
        let held = |table: &NaiveTable, bits: u8| {
            let around = Page::around(page.first, bits);
            table.sets.iter().any(|set| set.holds(around))
        };
        self.tables
            .iter()
            .any(|table| table.sizes.iter().any(|&bits| bits >= page.bits && held(table, bits)))
    }

    fn invalidate_within(&mut self, page: Page) {
        let sets = self.tables.iter_mut().flat_map(|table| &mut table.sets);
        sets.for_each(|set| set.invalidate_within(page));
    }
}

impl NaiveTable {
    fn new(table: &TlbShape) -> Self {
        let (sets, duel) = (table.sets as usize, Rc::default());
        let set = |number| {
            let side = duel::Side::of(number, sets);
            Set::new(table.ways as usize, table.policy, side, Rc::clone(&duel))
        };
        Self { sizes: table.sizes, sets: (0..sets).map(set).collect() }
    }
}

/// The set that the number of a page chooses.
fn set_of(sets: &mut [Set], page: Page) -> &mut Set {
    let number = usize::try_from(page.first >> page.bits).unwrap();
    let index = number % sets.len();
    &mut sets[index]
}
