//! Page tables of any radix shape, made along the paths of a few addresses.

use super::entropy::Dice;
use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};
use emmu_oracle::reference::Write;
use std::collections::BTreeMap;

/// Properties of a whole case, so that cases in which most accesses succeed and cases in which most fail are
/// both common.
#[derive(Clone, Copy)]
pub(super) struct Mood {
    /// The number of 100 entries that are damaged.
    damage: u64,
    /// True if entries allow most accesses.
    pub(super) generous: bool,
    /// True if most accesses are made by user mode, and most pages are for user mode.
    user: bool,
}

impl Mood {
    pub(super) fn new(dice: &Dice<'_>) -> Self {
        let damage = dice.pick([1, 1, 3, 12]);
        Self { damage, generous: dice.chance(65), user: dice.chance(50) }
    }

    /// Makes a mood for two stages, where one access needs many valid entries.
    pub(super) fn of_two_stages(dice: &Dice<'_>) -> Self {
        let damage = dice.pick([0, 0, 0, 3]);
        Self { damage, generous: dice.chance(85), user: dice.chance(50) }
    }

    /// Returns true for user mode: in most calls the usual mode of this case, in some the other one.
    pub(super) fn user(&self, dice: &Dice<'_>) -> bool {
        self.user != dice.chance(if self.generous { 10 } else { 40 })
    }

    /// Returns the number of 100 permission flags that are set.
    pub(super) fn allowed(&self) -> u64 {
        if self.generous { 97 } else { 70 }
    }
}

/// The entries of one format.
pub(super) trait Entries {
    /// Returns the number of bits of an entry that may be damaged.
    fn bits(&self) -> u64 {
        64
    }
    /// Returns true if an entry at `level` can be a leaf. In rare cases, other entries look like a leaf too.
    fn can_be_leaf(&self, level: u32) -> bool;
    /// Makes a pointer at `level` to the table at `table`.
    fn pointer(&self, dice: &Dice<'_>, level: u32, table: u64) -> u64;
    /// Makes a leaf at `level`. The level of the smallest pages is 0.
    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64;
    /// Returns the address and word of each leaf of the run to which the leaf `word` at `addr` says that it belongs;
    /// none if it belongs to no run.
    fn run(&self, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
        let _ = (word, addr, level);
        Vec::new()
    }
}

/// The shape of a tree of tables.
pub(super) struct Shape {
    /// The size of an entry in bytes.
    pub(super) entry_size: u8,
    /// Log2 of the smallest page in bytes.
    pub(super) page_bits: u32,
    /// Log2 of the number of entries in each table, from the smallest pages up to the root.
    pub(super) index_bits: Vec<u32>,
}

impl Shape {
    /// Returns the levels from the root down, and the number of index bits of each.
    fn levels(&self) -> impl Iterator<Item = (u32, u32)> {
        let upwards: Vec<_> = (0..).zip(self.index_bits.iter().copied()).collect();
        upwards.into_iter().rev()
    }

    /// Returns the number of bits of a virtual address, with those of the offset.
    pub(super) fn va_bits(&self) -> u32 {
        self.page_bits + self.index_bits.iter().sum::<u32>()
    }
}

/// The words of the tables made so far.
pub(super) struct TableWords {
    mood: Mood,
    /// The number of 100 entries met by a path that are made anew.
    renewed: u64,
    words: BTreeMap<u64, u64>,
    /// The entries that point to a table, with the address of that table.
    pointers: BTreeMap<u64, u64>,
}

impl TableWords {
    pub(super) fn new(mood: Mood) -> Self {
        Self { mood, renewed: 15, words: BTreeMap::new(), pointers: BTreeMap::new() }
    }

    /// Starts tables in which most paths stay whole.
    pub(super) fn steady(mood: Mood) -> Self {
        Self { renewed: 1, ..Self::new(mood) }
    }

    /// Makes entries from the table at `root` down to the page of `va`, in tables that stand in `frames`.
    pub(super) fn paint(
        &mut self,
        dice: &Dice<'_>,
        shape: &Shape,
        entries: &dyn Entries,
        (root, frames): (u64, &[u64]),
        va: u64,
    ) {
        let mut table = root;
        let mut shift = shape.va_bits();
        for (level, bits) in shape.levels() {
            shift -= bits;
            let index = va >> shift & ones(bits);
            let addr = table.wrapping_add(index.wrapping_mul(shape.entry_size.into()));
            // Mostly, paths that come together stay together.
            if !self.words.contains_key(&addr) || dice.chance(self.renewed) {
                self.paint_entry(dice, entries, frames, (addr, level));
            }
            match self.pointers.get(&addr) {
                Some(next) => table = *next,
                None => return,
            }
        }
    }

    fn paint_entry(
        &mut self,
        dice: &Dice<'_>,
        entries: &dyn Entries,
        frames: &[u64],
        (addr, level): (u64, u32),
    ) {
        self.pointers.remove(&addr);
        let leaf = match level {
            0 => 97,
            level if entries.can_be_leaf(level) => 22,
            _ => 1,
        };
        let leaf = dice.chance(leaf);
        let mut word = if leaf {
            entries.leaf(dice, level)
        } else {
            let next = dice.pick_from(frames).unwrap_or(0);
            self.pointers.insert(addr, next);
            entries.pointer(dice, level, next)
        };
        if dice.chance(self.mood.damage) {
            word ^= 1 << dice.below(entries.bits());
        }
        if dice.chance(self.mood.damage / 3) {
            word = dice.pick([0, u64::MAX, dice.word()]);
        }
        self.words.insert(addr, word);
        // The whole of a run, in most cases: it is what software has to write.
        let run = if leaf { entries.run(word, addr, level) } else { Vec::new() };
        if !run.is_empty() && dice.chance(75) {
            run.iter().for_each(|(addr, _)| _ = self.pointers.remove(addr));
            self.words.extend(run);
        }
    }

    /// Returns the words, in order of address, in the size of an entry.
    pub(super) fn into_writes(self, entry_size: u8) -> Vec<Write> {
        let mask = ones(8 * u32::from(entry_size));
        self.words
            .into_iter()
            .map(|(addr, word)| Write {
                addr: PhysAddr::new(addr),
                size: entry_size,
                value: word & mask,
            })
            .collect()
    }
}

/// Returns a number whose low `bits` bits, at most 64, are ones.
pub(super) fn ones(bits: u32) -> u64 {
    1_u64.unbounded_shl(bits).wrapping_sub(1)
}

/// Draws two to six frames for tables, of 2^`frame_bits` bytes each, below 2^`pa_bits`.
pub(super) fn frames(dice: &Dice<'_>, frame_bits: u32, pa_bits: u32) -> Vec<u64> {
    frames_of(dice, 2 + dice.below(5), frame_bits, pa_bits)
}

/// Draws so many frames for tables that few of them serve twice.
pub(super) fn many_frames(dice: &Dice<'_>, frame_bits: u32, pa_bits: u32) -> Vec<u64> {
    frames_of(dice, 12 + dice.below(9), frame_bits, pa_bits)
}

fn frames_of(dice: &Dice<'_>, count: u64, frame_bits: u32, pa_bits: u32) -> Vec<u64> {
    let last = ones(pa_bits - frame_bits);
    (0..count)
        .map(|number| {
            let frame =
                dice.pick([(number + 1) & last, last.saturating_sub(number), dice.word() & last]);
            frame << frame_bits
        })
        .collect()
}

/// Returns the frames of `frames` that are no memory: mostly none.
pub(super) fn holes(dice: &Dice<'_>, frames: &[u64]) -> Vec<PhysAddr> {
    if dice.chance(12) {
        dice.pick_from(frames).map(PhysAddr::new).into_iter().collect()
    } else {
        Vec::new()
    }
}

/// Draws a few addresses below 2^`va_bits` whose indices come from a small set; some of them are neighbours.
pub(super) fn targets(dice: &Dice<'_>, shape: &Shape) -> Vec<u64> {
    let palette: [u64; 3] =
        core::array::from_fn(|_| dice.pick([0, 1, 2, u64::MAX, u64::MAX - 1, dice.word()]));
    let mut targets = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let mut va: u64 = 0;
        for bits in shape.index_bits.iter().rev() {
            va = va.unbounded_shl(*bits) | dice.pick(palette) & ones(*bits);
        }
        targets.push(va << shape.page_bits);
        if dice.chance(50) {
            targets.push(va.wrapping_add(1) << shape.page_bits & ones(shape.va_bits()));
        }
    }
    targets
}

/// Draws an address in or near a page of `targets`, and in a few cases any address below 2^`va_bits`.
pub(super) fn address(dice: &Dice<'_>, shape: &Shape, targets: &[u64]) -> u64 {
    let mask = ones(shape.va_bits());
    let target = dice.pick_from(targets).unwrap_or(0);
    // An offset within the page, or the sixteen pages around it, or the superpage of some level.
    let beyond: u32 = match dice.pick([0, 0, 0, 0, 0, 0, 0, 1, 2, 3]) {
        0 => 0,
        1 => 4,
        more => shape.index_bits.iter().take(more - 1).sum(),
    };
    let offset = dice.word() & ones(shape.page_bits + beyond);
    let offset = dice.pick([offset, offset, offset, offset & !0xfff, offset | 0xfff]);
    let addr = if dice.chance(4) { dice.word() } else { target ^ offset };
    addr & mask
}

/// Draws an access to `addr`, of any kind, cut off at the end of its 4 KiB page.
pub(super) fn access(dice: &Dice<'_>, mood: Mood, addr: u64) -> Access {
    access_within(dice, mood, addr, 12)
}

/// Draws an access at this address, cut off at the end of its 2^`bits`-byte page.
pub(super) fn access_within(dice: &Dice<'_>, mood: Mood, addr: u64, bits: u32) -> Access {
    let kind = dice.pick(AccessKind::ALL);
    let size = dice.pick([1, 2, 4, 8, 16]);
    // Aligned in most cases, as most accesses are.
    let addr = if dice.chance(25) { addr } else { addr & !(size - 1) };
    let size = size.min((1 << bits) - (addr & ones(bits)));
    let privilege = if mood.user(dice) { Privilege::User } else { Privilege::Supervisor };
    Access::new(kind, VirtAddr::new(addr), u32::try_from(size).unwrap_or(1))
        .with_privilege(privilege)
}

/// Extends `va` of `bits` bits to 64 bits: by its top bit, or, in a few cases, otherwise.
pub(super) fn extend(dice: &Dice<'_>, va: u64, bits: u32) -> u64 {
    if bits >= 64 {
        return va;
    }
    let upper = u64::MAX << bits;
    let canonical = if va >> (bits - 1) & 1 == 1 { va | upper } else { va };
    if dice.chance(94) {
        return canonical;
    }
    dice.pick([
        canonical ^ upper,
        canonical ^ 1 << bits,
        canonical ^ 1 << 63,
        canonical ^ (dice.word() & upper),
    ])
}
