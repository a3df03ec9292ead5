//! AArch64 cases.

mod stage2;

use super::entropy::Dice;
use super::tables::{self, Entries, Mood, Shape, TableWords};
use super::{Case, Entropy, Generate};
use emmu_core::Access;
use emmu_oracle::aarch64::Registers;

/// Log2 of the size of a frame for tables: the largest granule.
const FRAME_BITS: u32 = 16;

/// One half of the address space.
struct Half {
    upper: bool,
    granule: Granule,
    txsz: u32,
    shape: Shape,
    /// The address of its first table.
    root: u64,
    /// True if addresses may have a tag.
    tbi: bool,
    /// The addresses along which its tables are made.
    targets: Vec<u64>,
}

/// A granule: log2 of its size, and its code in `TG0` and in `TG1`.
#[derive(Clone, Copy)]
struct Granule {
    bits: u32,
    tg0: u64,
    tg1: u64,
}

impl Generate for Registers {
    /// Makes a case. All fields of the registers have valid values: no reserved granule or IPS, and a `TxSZ` within its
    /// limits.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let mood = Mood::new(dice);
        let pa_bits = dice.pick([48, 48, 48, 48, 48, 44, 40, 36]);
        let (ips, encoded) =
            dice.pick([(5, 48), (5, 48), (4, 44), (3, 42), (2, 40), (1, 36), (0, 32)]);
        let oa_bits = pa_bits.min(encoded);
        let frames = tables::frames(dice, FRAME_BITS, oa_bits);
        let halves = [half(dice, &frames, false), half(dice, &frames, true)];
        let registers = registers(dice, &halves, (ips, oa_bits, pa_bits));

        let mut words = TableWords::new(mood);
        for half in &halves {
            let descriptors = Descriptors { mood, granule: half.granule, oa_bits, frames: &frames };
            for target in &half.targets {
                words.paint(dice, &half.shape, &descriptors, (half.root, &frames), *target);
            }
        }
        let mem = words.into_writes(8);
        // A frame may be larger than a hole, which therefore goes where words are.
        let pages: Vec<_> = mem.iter().map(|word| word.addr.align_down(12).raw()).collect();
        let holes = tables::holes(dice, &pages);
        Case { registers, mem, holes, accesses: accesses(dice, mood, &halves) }
    }
}

fn half(dice: &Dice<'_>, frames: &[u64], upper: bool) -> Half {
    let granule = dice.pick([
        Granule { bits: 12, tg0: 0b00, tg1: 0b10 },
        Granule { bits: 14, tg0: 0b10, tg1: 0b01 },
        Granule { bits: 16, tg0: 0b01, tg1: 0b11 },
    ]);
    let txsz = txsz(dice, granule);
    let shape = shape(granule, 64 - txsz);
    let targets = tables::targets(dice, &shape);
    let root = root(dice, &shape, frames);
    Half { upper, granule, txsz, shape, root, tbi: dice.chance(40), targets }
}

/// Draws any `TxSZ`, those in common use and the limits more often.
fn txsz(dice: &Dice<'_>, granule: Granule) -> u32 {
    let largest = if granule.bits == 16 { 47 } else { 48 };
    let drawn = 16 + dice.small(largest - 15);
    dice.pick([16, 25, drawn, drawn, drawn, 17, 22, 28, 39, largest])
}

/// Returns the shape of tables that resolve as many bits as fit into a granule, with a first table that resolves the
/// rest.
fn shape(granule: Granule, va_bits: u32) -> Shape {
    let mut rest = va_bits - granule.bits;
    let mut index_bits = Vec::new();
    while rest > 0 {
        let bits = rest.min(granule.bits - 3);
        index_bits.push(bits);
        rest -= bits;
    }
    Shape { entry_size: 8, page_bits: granule.bits, index_bits }
}

/// Draws an address in one of the frames, aligned to the size of the first table.
fn root(dice: &Dice<'_>, shape: &Shape, frames: &[u64]) -> u64 {
    let frame = dice.pick_from(frames).unwrap_or(0);
    let size = 8 << shape.index_bits.last().copied().unwrap_or(0);
    frame + dice.below((1 << FRAME_BITS) / size) * size
}

fn registers(
    dice: &Dice<'_>,
    [lower, upper]: &[Half; 2],
    (ips, oa_bits, pa_bits): (u64, u32, u32),
) -> Registers {
    let (epd0, epd1) = (dice.maybe(5, 1 << 7), dice.maybe(5, 1 << 23));
    let (hpd0, hpd1) = (dice.maybe(25, 1 << 41), dice.maybe(25, 1 << 42));
    let (ha, hd) = (dice.maybe(50, 1 << 39), dice.maybe(60, 1 << 40));
    let (tbi0, tbi1) = (u64::from(lower.tbi) << 37, u64::from(upper.tbi) << 38);
    let t0 = u64::from(lower.txsz) | lower.granule.tg0 << 14 | epd0 | hpd0 | tbi0;
    let t1 = u64::from(upper.txsz) << 16 | upper.granule.tg1 << 30 | epd1 | hpd1 | tbi1;
    let (m, wxn) = (1 - dice.maybe(5, 1), dice.maybe(30, 1 << 19));
    Registers {
        ttbr0_el1: ttbr(dice, lower, oa_bits),
        ttbr1_el1: ttbr(dice, upper, oa_bits),
        tcr_el1: t0 | t1 | ips << 32 | ha | hd,
        sctlr_el1: m | wxn,
        pan: dice.chance(30),
        pa_bits,
    }
}

/// Makes a base register with ASID and CnP, and in a few cases with ignored bits, or with an address beyond IPS.
fn ttbr(dice: &Dice<'_>, half: &Half, oa_bits: u32) -> u64 {
    let (asid, cnp) = (dice.word() << 48, dice.maybe(30, 1));
    let ignored = dice.maybe(10, 1 << 3);
    half.root | asid | cnp | ignored | beyond(dice, oa_bits)
}

/// Returns, in a few cases, an address bit from 2^`oa_bits` up to 2^47, and otherwise 0.
fn beyond(dice: &Dice<'_>, oa_bits: u32) -> u64 {
    let bits = u64::from(48 - oa_bits);
    if bits > 0 { dice.maybe(4, 1 << (u64::from(oa_bits) + dice.below(bits))) } else { 0 }
}

/// The descriptors of all granules.
struct Descriptors<'a> {
    mood: Mood,
    granule: Granule,
    oa_bits: u32,
    frames: &'a [u64],
}

impl Entries for Descriptors<'_> {
    fn can_be_leaf(&self, level: u32) -> bool {
        level < if self.granule.bits == 12 { 3 } else { 2 }
    }

    fn pointer(&self, dice: &Dice<'_>, _: u32, table: u64) -> u64 {
        let strict = (100 - self.mood.allowed()) / 2;
        let ap_table = dice.maybe(strict, 1 << 61) | dice.maybe(strict, 1 << 62);
        let xn_table = dice.maybe(strict, 1 << 59) | dice.maybe(strict, 1 << 60);
        let ns_table = dice.maybe(10, 1 << 63);
        let ignored = dice.below(64) << 2 | dice.below(64) << 53;
        let valid = 0b11 ^ dice.maybe(3, 1);
        table | beyond(dice, self.oa_bits) | ap_table | xn_table | ns_table | ignored | valid
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let size = self.granule.bits + level * (self.granule.bits - 3);
        // A page, or a block; a block is reserved where the granule has none.
        let kind = (if level == 0 { 0b11 } else { 0b01 }) ^ dice.maybe(2, 0b10);
        let valid = kind & !dice.maybe(3, 1);
        // AttrIndx, NS, SH, nG, GP, and what software may use.
        let other = dice.below(16) << 2 | dice.below(4) << 8 | dice.maybe(50, 1 << 11);
        let upper = dice.maybe(20, 1 << 50) | dice.below(32) << 55;
        let ap1 = if self.mood.user(dice) { 1 << 6 } else { 0 };
        let ap = ap1 | dice.maybe(100 - self.mood.allowed() / 2, 1 << 7);
        let af = dice.maybe(75, 1 << 10);
        let (dbm, contiguous) = (dice.maybe(50, 1 << 51), dice.maybe(20, 1 << 52));
        let xn = dice.maybe(30, 1 << 53) | dice.maybe(30, 1 << 54);
        let address = self.address(dice, size) | beyond(dice, self.oa_bits);
        address | valid | other | upper | ap | af | dbm | contiguous | xn
    }

    fn run(&self, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
        contiguous_run(self.granule, word, addr, level)
    }
}

/// Returns the run of a descriptor with the Contiguous bit: entries with rising output addresses (D8.7.1).
fn contiguous_run(granule: Granule, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
    let size = granule.bits + level * (granule.bits - 3);
    let count = match (granule.bits, level) {
        (12, _) => 16,
        (14, 0) => 128,
        _ => 32,
    };
    if word >> 52 & 1 == 0 {
        return Vec::new();
    }
    let first = word & !((count - 1) << size);
    let entry = |number| (addr / (8 * count) * 8 * count + 8 * number, first | number << size);
    (0..count).map(entry).collect()
}

impl Descriptors<'_> {
    /// Draws the address of a page or block of 2^`size` bytes: any, or one of the tables' own. In most cases the bits
    /// below, which are reserved but for a page of 4 KiB, are 0.
    fn address(&self, dice: &Dice<'_>, size: u32) -> u64 {
        let mask = (1 << self.oa_bits) - (1 << 12);
        let table = dice.pick_from(self.frames).unwrap_or(0);
        let low = dice.below(64) << size;
        let address = dice.pick([dice.word(), low, table]) & mask;
        if dice.chance(8) { address } else { address >> size << size }
    }
}

fn accesses(dice: &Dice<'_>, mood: Mood, halves: &[Half; 2]) -> Vec<Access> {
    let [lower, upper] = halves;
    let mut accesses = Vec::new();
    for _ in 0..1 + dice.below(12) {
        let half = dice.pick([lower, upper]);
        let va = tables::address(dice, &half.shape, &half.targets);
        accesses.push(tables::access(dice, mood, extended(dice, half, va)));
    }
    accesses
}

/// Returns `va` in its half: the bits above are all 0 or all 1, but for a tag, and in a few cases for another bit.
fn extended(dice: &Dice<'_>, half: &Half, va: u64) -> u64 {
    let va_bits = u64::from(half.shape.va_bits());
    let va = if half.upper { va | u64::MAX << va_bits } else { va };
    let tag = if dice.chance(if half.tbi { 60 } else { 3 }) { dice.word() << 56 } else { 0 };
    let stray = dice.maybe(4, 1 << (va_bits + dice.below(56 - va_bits)));
    va ^ tag ^ stray
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ops::RangeInclusive;
    use emmu_oracle::Memory;
    use emmu_oracle::aarch64::{Fault, FaultKind, Mapping};
    use std::collections::BTreeSet;

    /// Returns the answers to the accesses of many cases, and the bits of the leaf that they change.
    fn found() -> Vec<(Result<Mapping, Fault>, u64)> {
        let mut all = Vec::new();
        for seed in 0..4000 {
            let case = Case::<Registers>::from_seed(seed);
            let mut memory = case.memory();
            for access in &case.accesses {
                let found = case.registers.mapping(*access, &memory);
                let write = found.ok().and_then(|mapping| mapping.write);
                let before = write.map_or(0, |write| memory.read64(write.addr).unwrap_or(0));
                write.into_iter().for_each(|write| memory.apply(write));
                all.push((found, write.map_or(0, |write| write.value ^ before)));
            }
        }
        all
    }

    #[test]
    fn cases_reach_every_fault_at_every_level_where_it_can_be() {
        let faults = found().into_iter().filter_map(|(found, _)| found.err());
        let reached: BTreeSet<_> = faults.map(|fault| (fault.kind, fault.level)).collect();
        let at = |kind, levels: RangeInclusive<u32>| levels.map(move |level| (kind, level));
        let every = at(FaultKind::AddressSize, 0..=3)
            .chain(at(FaultKind::Translation, 0..=3))
            .chain(at(FaultKind::AccessFlag, 1..=3))
            .chain(at(FaultKind::Permission, 1..=3))
            .chain(at(FaultKind::ExternalAbortOnWalk, 0..=3));
        assert_eq!(reached, every.collect());
    }

    #[test]
    fn cases_reach_every_size_of_page_and_block_and_translation_off() {
        let mappings = found().into_iter().filter_map(|(found, _)| found.ok());
        let reached: BTreeSet<_> = mappings.map(|mapping| mapping.page_bits).collect();
        assert_eq!(reached, [12, 14, 16, 21, 25, 29, 30, 64].into());
    }

    #[test]
    fn cases_set_the_access_flag_and_the_dirty_state_alone_and_together() {
        let reached: BTreeSet<_> = found().into_iter().map(|(_, changed)| changed).collect();
        let (af, ap2) = (1 << 10, 1 << 7);
        assert_eq!(reached, [0, af, ap2, af | ap2].into());
    }
}
