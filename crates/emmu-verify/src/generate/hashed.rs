//! Cases of hashed page tables, at one stage and at two.
//!
//! The generator fills tables as software does, with pages that crowd around a few places of the table.

use super::entropy::Dice;
use super::nested::{self, guest_pages};
use super::tables::{self, Mood, Shape, ones};
use super::{Case, Entropy, Generate};
use emmu_core::{Access, PhysAddr, Privilege};
use emmu_oracle::hashed::{Guest, Registers};
use emmu_oracle::reference::Write;
use std::collections::BTreeMap;

impl Generate for Registers {
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let (mood, registers) = (Mood::new(dice), registers(dice, 10));
        let pages = pages(dice, registers);
        let mut table = HashedWords::new(dice, mood, registers);
        pages.iter().for_each(|page| table.put(dice, *page));
        let mem = table.into_writes();
        let (accesses, holes) = (accesses(dice, mood, &pages), holes(dice, &mem));
        Case { registers, mem, holes, accesses }
    }
}

impl Generate for Guest {
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let mood = Mood::of_two_stages(dice);
        let machine = Guest { first: registers(dice, 10), second: registers(dice, 5) };
        let pages = pages(dice, machine.first);
        let mut table = HashedWords::new(dice, mood, machine.first);
        pages.iter().for_each(|page| table.put(dice, *page));
        let guest = table.into_writes();

        let memory = nested::memory(&guest);
        let mapped = pages.iter().filter_map(|page| machine.first.leads_to(*page, &memory));
        let mut table = HashedWords::new(dice, mood, machine.second);
        guest_pages(&guest, mapped).into_iter().for_each(|page| table.put(dice, page));
        let second = table.into_writes();
        let host = nested::memory(&second);
        let mem = nested::place(&guest, second, |gpa| machine.second.leads_to(gpa.raw(), &host));
        let accesses = accesses(dice, mood, &pages).into_iter();
        let accesses = accesses.map(|access| nested::aimed(dice, access, &pages)).collect();
        let holes = holes(dice, &mem);
        Case { registers: machine, mem, holes, accesses }
    }
}

/// Makes registers with a table of any size at any address. Translation is off in `off` of 100 cases.
fn registers(dice: &Dice<'_>, off: u64) -> Registers {
    let log2 = dice.pick([10, 10, 10, 11, 12, 13, 20, 36]);
    // The base is below 2^40 and a multiple of the table's size.
    let number = dice.pick([1, 2, dice.word()]) & ones(40 - 3 - log2);
    let asid = dice.pick([0, 1, 0xffff]) << 40;
    let on = if dice.chance(off) { 0 } else { 1 << 63 };
    Registers { htab: on | asid | number << (log2 + 3) | u64::from(log2) }
}

/// Returns the shape of virtual addresses for the generators of tables: any page of 48 bits.
fn shape() -> Shape {
    Shape { entry_size: 8, page_bits: 12, index_bits: vec![9; 4] }
}

/// Returns a few pages, with neighbours, and with others that have the same first place as one of them.
fn pages(dice: &Dice<'_>, registers: Registers) -> Vec<u64> {
    let mut pages = tables::targets(dice, &shape());
    let entries = 1 << (registers.htab & 63);
    for _ in 0..dice.below(12) {
        let page = dice.pick_from(&pages).unwrap_or(0) / 4096;
        let number = if dice.chance(30) {
            page.wrapping_add(1 + dice.below(7)) & ones(36)
        } else {
            rival(dice, registers, page, entries)
        };
        pages.push(number << 12);
    }
    pages
}

/// Returns another page with the same first place, or with one near it.
fn rival(dice: &Dice<'_>, registers: Registers, page: u64, entries: u64) -> u64 {
    let tags = (1_u64 << 36) / entries;
    let tag = dice.pick([dice.below(4), dice.below(256), dice.word()]) % tags;
    let (_, place) = registers.tag_and_first(page << 12);
    // The first place of the page with this tag and low bits of 0: the share of the tag in the first place.
    let (_, folded) = registers.tag_and_first((tag * entries) << 12);
    tag * entries + ((place ^ folded) + dice.pick([0, 0, 0, 1])) % entries
}

/// The words of a table.
struct HashedWords {
    registers: Registers,
    mood: Mood,
    /// The number of 100 entries that are damaged.
    damaged: u64,
    taken_out: u64,
    words: BTreeMap<PhysAddr, u64>,
}

impl HashedWords {
    fn new(dice: &Dice<'_>, mood: Mood, registers: Registers) -> Self {
        let damaged = dice.pick([0, 0, 1, 5]);
        Self { registers, mood, damaged, taken_out: dice.pick([0, 10]), words: BTreeMap::new() }
    }

    /// Puts the entry of a page into its first free place; in some cases into the next one, or nowhere.
    fn put(&mut self, dice: &Dice<'_>, addr: u64) {
        let (tag, first) = self.registers.tag_and_first(addr);
        for probe in 0..8 {
            let place = self.registers.place(first, probe);
            let is_free = self.words.get(&place).is_none_or(|word| word % 2 == 0);
            if !is_free {
                continue;
            }
            // Leaves a deleted entry in this place, or an entry at which the search for the page stops.
            if dice.chance(15) {
                self.words.insert(place, dice.pick([2, 2, dice.word() & !1, 0]));
                continue;
            }
            let word = tag << 38 | u64::from(probe) << 7 | self.page(dice);
            let word = if dice.chance(self.damaged) { word ^ 1 << dice.below(64) } else { word };
            let word = if dice.chance(self.taken_out) { 2 } else { word };
            self.words.insert(place, word);
            return;
        }
    }

    /// Returns the frame and the flags of an entry.
    fn page(&self, dice: &Dice<'_>) -> u64 {
        let number = dice.pick([dice.below(64), dice.word(), 0x8_0000 + dice.below(1024)]);
        let mut word = (number & ones(28)) << 10 | 1;
        for right in 1..=3 {
            word |= dice.maybe(self.mood.allowed(), 1 << right);
        }
        let user = if self.mood.user(dice) { 100 } else { 10 };
        word | dice.maybe(user, 1 << 4) | dice.maybe(50, 1 << 5) | dice.maybe(50, 1 << 6)
    }

    fn into_writes(self) -> Vec<Write> {
        if self.registers.htab >> 63 == 0 {
            return Vec::new();
        }
        let write = |(addr, value)| Write { addr, size: 8, value };
        self.words.into_iter().map(write).collect()
    }
}

/// Makes accesses to the pages and around them, and a few past the last of 48 bits.
fn accesses(dice: &Dice<'_>, mood: Mood, pages: &[u64]) -> Vec<Access> {
    let shape = shape();
    let mut accesses = Vec::new();
    for _ in 0..1 + dice.below(12) {
        let va = tables::address(dice, &shape, pages);
        let beyond = dice.pick([1 << 48, 1 << 63, dice.word() & !ones(48)]);
        let va = if dice.chance(4) { va | beyond } else { va };
        let access = tables::access(dice, mood, va);
        let machine = dice.chance(6);
        let privilege = if machine { Privilege::Machine } else { access.privilege };
        accesses.push(access.with_privilege(privilege));
    }
    accesses
}

/// Makes holes where a table is: mostly none.
fn holes(dice: &Dice<'_>, words: &[Write]) -> Vec<PhysAddr> {
    let frames: Vec<_> = words.iter().map(|word| word.addr.align_down(12).raw()).collect();
    tables::holes(dice, &frames)
}
