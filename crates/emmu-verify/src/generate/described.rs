//! Cases of described formats, and the descriptions.

use super::entropy::Dice;
use super::tables::{self, Entries, Mood, Shape, TableWords, ones};
use super::{Case, Entropy, Generate};
use emmu_core::{Access, Privilege};
use emmu_oracle::described::{Description, Registers};

impl Generate for Registers {
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let (mood, description) = (Mood::new(dice), description(dice));
        let shape = shape(&description);
        let pa_bits = description.page_bits + description.frame.1;
        let frames = tables::frames(dice, description.page_bits, pa_bits);
        let targets = tables::targets(dice, &shape);
        let root = root(dice, &frames);

        let pages = Pages { description: &description, mood, frames: &frames };
        let mut words = TableWords::new(mood);
        for target in &targets {
            words.paint(dice, &shape, &pages, (root, &frames), *target);
        }
        let mem = words.into_writes(shape.entry_size);
        let accesses = accesses(dice, mood, &shape, &targets);
        let holes = tables::holes(dice, &frames);
        let (mode, asid) = (u64::from(!dice.chance(4)), dice.pick([0, 1, 0xffff]));
        Case { registers: Self { description, ptbr: root, mode, asid }, mem, holes, accesses }
    }
}

/// Draws a valid description: of any shape, with each optional bit in about two of three cases, and all bits anywhere
/// in the entry.
fn description(dice: &Dice<'_>) -> Description {
    let entry_size = dice.pick([8, 4, 2, 1, 8, 4]);
    let (page_bits, index_bits) = geometry(dice, entry_size);
    let (low, count) = frame(dice, entry_size, page_bits);
    let mut free: Vec<u32> = (0..8 * u32::from(entry_size)).collect();
    free.retain(|bit| !(low..low + count).contains(bit));
    let mut optional = |percent| {
        // Drawn in any case, so that the same bytes mean the same from here on.
        let (there, at) = (dice.chance(percent), dice.below(free.len() as u64));
        let at = usize::try_from(at).ok().filter(|at| there && *at < free.len());
        at.map(|at| free.swap_remove(at))
    };
    let valid = optional(100).unwrap_or(0);
    let mut optional = || optional(67);
    Description {
        superpage: optional(),
        read: optional(),
        write: optional(),
        execute: optional(),
        user: optional(),
        accessed: optional(),
        dirty: optional(),
        global: optional(),
        recorded_by_software: dice.chance(35),
        ..Description::new(entry_size, page_bits, &index_bits, (low, count), valid)
    }
}

/// Draws log2 of the size of a page, and the index bits of one to six levels, topmost first: those of known machines,
/// or others with at most 64 bits in all and no table larger than that.
fn geometry(dice: &Dice<'_>, entry_size: u8) -> (u32, Vec<u32>) {
    let page_bits = match dice.below(8) {
        0 | 1 => 12,
        2 => 5,
        3 => dice.small(4),
        4 => 4 + dice.small(10),
        5 => 13 + dice.small(20),
        6 => 33 + dice.small(31),
        _ => 8,
    };
    let mut left = 64 - page_bits;
    let mut index_bits = Vec::new();
    for _ in 0..1 + dice.below(6) {
        let most = left.min(64 - u32::from(entry_size).ilog2());
        let bits = match dice.below(8) {
            0..=2 => 9,
            3 => 5,
            4 | 5 => 1 + dice.small(4),
            6 => 1 + dice.small(20),
            _ => 1 + dice.small(most.max(1)),
        };
        let bits = bits.min(most);
        if bits > 0 {
            index_bits.push(bits);
        }
        left -= bits;
    }
    (page_bits, index_bits)
}

/// Draws the lowest bit and the number of bits of the frame number. One side of it leaves room for the valid bit.
fn frame(dice: &Dice<'_>, entry_size: u8, page_bits: u32) -> (u32, u32) {
    let width = 8 * u32::from(entry_size);
    let most = (width - 1).min(64 - page_bits);
    // With room for all the other bits, in half of the cases.
    let less = width.saturating_sub(10).min(most).max(1);
    let count = dice.pick([less, 1 + dice.small(most), less, most]);
    let room = width - count;
    (dice.pick([0, room, dice.small(room + 1)]), count)
}

fn shape(description: &Description) -> Shape {
    let Description { entry_size, page_bits, ref index_bits, .. } = *description;
    Shape { entry_size, page_bits, index_bits: index_bits.iter().rev().copied().collect() }
}

/// Draws the address of the first table: one of the frames, or, in a few cases, an address that is not aligned or at
/// the end of all addresses.
fn root(dice: &Dice<'_>, frames: &[u64]) -> u64 {
    let frame = dice.pick_from(frames).unwrap_or(0);
    match dice.below(24) {
        23 => frame.wrapping_add(dice.below(256)),
        22 => u64::MAX - dice.below(256),
        _ => frame,
    }
}

/// The entries of a described format.
struct Pages<'a> {
    description: &'a Description,
    mood: Mood,
    frames: &'a [u64],
}

impl Entries for Pages<'_> {
    fn bits(&self) -> u64 {
        8 * u64::from(self.description.entry_size)
    }

    fn can_be_leaf(&self, level: u32) -> bool {
        level == 0 || self.description.superpage.is_some()
    }

    fn pointer(&self, dice: &Dice<'_>, _: u32, table: u64) -> u64 {
        // All other bits mean nothing in a pointer.
        let noise = if dice.chance(30) { dice.word() & !self.fixed() } else { 0 };
        self.numbered(table) | noise | self.valid(dice)
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let Description { superpage, read, write, execute, user, .. } = *self.description;
        let Description { global, accessed, dirty, recorded_by_software, .. } = *self.description;
        let allowed = self.mood.allowed();
        let set = if recorded_by_software { 85 } else { 50 };
        let reach = if self.mood.user(dice) { 100 } else { 10 };
        let above = if level == 0 { 30 } else { 100 };
        let bits = [
            (superpage, above),
            (read, allowed),
            (write, allowed),
            (execute, allowed),
            (user, reach),
            (global, 20),
            (accessed, set),
            (dirty, set),
        ];
        let noise = dice.maybe(30, dice.word()) & !self.known();
        let flags = bits.map(|(bit, percent)| dice.maybe(percent, place(bit)));
        let flags = flags.into_iter().fold(0, |all, flag| all | flag);
        self.numbered(self.page(dice, level)) | flags | noise | self.valid(dice)
    }
}

impl Pages<'_> {
    /// Returns the frame number of an address, shifted to its field.
    fn numbered(&self, addr: u64) -> u64 {
        let (low, count) = self.description.frame;
        (addr >> self.description.page_bits & ones(count)) << low
    }

    fn valid(&self, dice: &Dice<'_>) -> u64 {
        if dice.chance(3) { 0 } else { 1 << self.description.valid }
    }

    /// Returns the bits that make an entry a pointer, and the bits of its frame number.
    fn fixed(&self) -> u64 {
        let (low, count) = self.description.frame;
        let superpage = place(self.description.superpage);
        ones(count) << low | 1 << self.description.valid | superpage
    }

    /// Returns all bits that have a meaning.
    fn known(&self) -> u64 {
        let Description { read, write, execute, user, global, accessed, dirty, .. } =
            *self.description;
        let flags = [read, write, execute, user, global, accessed, dirty].map(place);
        flags.into_iter().fold(self.fixed(), |all, flag| all | flag)
    }

    /// Draws the address of a page of this level: anywhere or in one of the tables' own frames, aligned in most cases.
    fn page(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let sizes = self.description.page_sizes();
        let bits = sizes.iter().zip(0..).find(|(_, at)| *at == level).map_or(0, |(bits, _)| *bits);
        let frame = dice.pick_from(self.frames).unwrap_or(0);
        let page = dice.pick([dice.word(), dice.below(64) << self.description.page_bits, frame]);
        if dice.chance(10) { page } else { page & !ones(bits) }
    }
}

/// Returns the bit as a mask, or 0.
fn place(bit: Option<u32>) -> u64 {
    bit.map_or(0, |bit| 1 << bit)
}

/// Makes accesses to the targets and around them, and a few past the end of the described addresses.
fn accesses(dice: &Dice<'_>, mood: Mood, shape: &Shape, targets: &[u64]) -> Vec<Access> {
    let (bits, within) = (shape.va_bits(), shape.page_bits.min(12));
    let mut accesses = Vec::new();
    for _ in 0..1 + dice.below(12) {
        let va = tables::address(dice, shape, targets);
        let beyond = dice.pick([1_u64.unbounded_shl(bits), 1 << 63, dice.word()]) & !ones(bits);
        let va = if dice.chance(5) { va | beyond } else { va };
        // To the last byte of the page, in some cases.
        let va = if dice.chance(10) { va | ones(within) } else { va };
        let access = tables::access_within(dice, mood, va, within);
        let machine = dice.chance(6);
        let privilege = if machine { Privilege::Machine } else { access.privilege };
        accesses.push(access.with_privilege(privilege));
    }
    accesses
}
