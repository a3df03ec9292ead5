//! AArch64 cases of two stages.

use super::{
    Descriptors, FRAME_BITS, Granule, Half, accesses, beyond, contiguous_run, extended, half,
    registers,
};
use crate::generate::entropy::Dice;
use crate::generate::nested::{self, guest_pages};
use crate::generate::tables::{self, Entries, Mood, Shape, TableWords};
use crate::generate::{Case, Entropy, Generate};
use emmu_core::VirtAddr;
use emmu_oracle::aarch64::stage2::Registers;
use emmu_oracle::reference::Write;

impl Generate for Registers {
    /// Makes a case. All fields have valid values, which nearly always suit one another.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let plan = Plan::new(dice);
        let mut vm = plan.registers(dice);
        // More often than for stage 1 alone it is off.
        vm.el1.sctlr_el1 &= !dice.maybe(6, 1);
        let guest = plan.guest_words(dice);
        let pages = plan.pages(dice, &vm);
        let second = plan.stage_2_words(dice, &vm, &guest, &pages);
        let host = nested::memory(&second);
        let mem = nested::place(&guest, second, |ipa| vm.host_of(ipa, &host));
        let words: Vec<_> = mem.iter().map(|word| word.addr.align_down(12).raw()).collect();
        let accesses = accesses(dice, plan.mood, &plan.halves)
            .into_iter()
            .map(|access| nested::aimed(dice, access, &pages))
            .collect();
        Case { registers: vm, mem, holes: tables::holes(dice, &words), accesses }
    }
}

/// Stage 2: granule, levels, and the shape of its addresses.
struct Second {
    granule: Granule,
    sl0: u64,
    shape: Shape,
    frames: Vec<u64>,
    root: u64,
}

/// The places and sizes of tables and addresses, which are drawn first.
struct Plan {
    mood: Mood,
    pa_bits: u32,
    /// The encoding of IPS and PS, and their number of bits.
    size: (u64, u32),
    second: Second,
    /// Number of bits of an intermediate physical address.
    reach: u32,
    frames: Vec<u64>,
    halves: [Half; 2],
}

impl Plan {
    fn new(dice: &Dice<'_>) -> Self {
        let mood = Mood::of_two_stages(dice);
        let pa_bits = dice.pick([48, 48, 48, 48, 48, 44, 40, 36]);
        let (code, encoded) =
            dice.pick([(5, 48), (5, 48), (4, 44), (3, 42), (2, 40), (1, 36), (0, 32)]);
        let oa_bits: u32 = pa_bits.min(encoded);
        let second = second(dice, pa_bits, oa_bits);
        // Frames need some room, though there may be less.
        let reach = oa_bits.min(second.shape.va_bits()).max(24);
        let frames = if dice.chance(30) {
            tables::frames(dice, FRAME_BITS, reach)
        } else {
            tables::many_frames(dice, FRAME_BITS, reach)
        };
        let halves = [half(dice, &frames, false), half(dice, &frames, true)];
        Self { mood, pa_bits, size: (code, oa_bits), second, reach, frames, halves }
    }

    fn registers(&self, dice: &Dice<'_>) -> Registers {
        let (code, oa_bits) = self.size;
        let Second { granule, sl0, shape, root, .. } = &self.second;
        let t0sz = u64::from(64 - shape.va_bits()) + dice.maybe(2, 1);
        let (ha, hd) = (dice.maybe(60, 1 << 21), dice.maybe(60, 1 << 22));
        let (vs, vmid) = (dice.maybe(50, 1 << 19), dice.word() << 48);
        Registers {
            el1: registers(dice, &self.halves, (code, self.reach.min(oa_bits), self.pa_bits)),
            hcr_el2: dice.maybe(96, 1) | dice.maybe(25, 1 << 2),
            vtcr_el2: t0sz | sl0 << 6 | granule.tg0 << 14 | code << 16 | ha | hd | vs,
            vttbr_el2: root | vmid | beyond(dice, oa_bits),
        }
    }

    /// Makes the tables of stage 1, in intermediate physical memory.
    fn guest_words(&self, dice: &Dice<'_>) -> Vec<Write> {
        let Self { mood, frames, .. } = self;
        let mut words = TableWords::steady(*mood);
        for half in &self.halves {
            let (mood, granule) = (*mood, half.granule);
            let descriptors = Descriptors { mood, granule, oa_bits: self.reach.min(48), frames };
            for target in &half.targets {
                words.paint(dice, &half.shape, &descriptors, (half.root, frames), *target);
            }
        }
        words.into_writes(8)
    }

    /// Returns the virtual addresses along which the tables of stage 1 are made; without stage 1, their bits that stage
    /// 2 translates.
    fn pages(&self, dice: &Dice<'_>, vm: &Registers) -> Vec<u64> {
        let on = vm.el1.sctlr_el1 & 1 == 1;
        let mask = if on { u64::MAX } else { (1 << self.second.shape.va_bits()) - 1 };
        let of = |half| move |target: &u64| extended(dice, half, *target) & mask;
        let [lower, upper] = &self.halves;
        lower.targets.iter().map(of(lower)).chain(upper.targets.iter().map(of(upper))).collect()
    }

    /// Makes the tables of stage 2, for the tables of stage 1 and the pages of `pages` that these map.
    fn stage_2_words(
        &self,
        dice: &Dice<'_>,
        vm: &Registers,
        guest: &[Write],
        pages: &[u64],
    ) -> Vec<Write> {
        let memory = nested::memory(guest);
        let mapped = pages.iter().filter_map(|va| vm.intermediate(VirtAddr::new(*va), &memory));
        let Second { shape, frames, root, granule, .. } = &self.second;
        let entries = S2Descriptors { plan: self, granule: *granule };
        let mut words = TableWords::steady(self.mood);
        for ipa in guest_pages(guest, mapped) {
            let inside = ipa & ((1 << shape.va_bits()) - 1);
            words.paint(dice, shape, &entries, (*root, frames), inside);
        }
        words.into_writes(8)
    }
}

fn second(dice: &Dice<'_>, pa_bits: u32, oa_bits: u32) -> Second {
    let granule = dice.pick([
        Granule { bits: 12, tg0: 0b00, tg1: 0b10 },
        Granule { bits: 14, tg0: 0b10, tg1: 0b01 },
        Granule { bits: 16, tg0: 0b01, tg1: 0b11 },
    ]);
    let (levels, sl0) = levels(dice, granule, pa_bits);
    let stride = granule.bits - 3;
    let below = granule.bits + (levels - 1) * stride;
    // At least one bit for the first table, and T0SZ at most 48 or 47; up to sixteen tables in a row resolve four bits
    // more than one does.
    let least = (below + 1).max(if granule.bits == 16 { 17 } else { 16 });
    let greatest = (below + stride + 4).min(pa_bits).max(least);
    let one_table = (below + stride).clamp(least, greatest);
    let any = least + dice.small(greatest - least + 1);
    let input_bits = dice.pick([one_table, greatest, any, any]);
    let mut index_bits: Vec<_> = (1..levels).map(|_| stride).collect();
    index_bits.push(input_bits - below);
    let shape = Shape { entry_size: 8, page_bits: granule.bits, index_bits };
    let frames = tables::many_frames(dice, FRAME_BITS, oa_bits);
    let root = root(dice, &shape, oa_bits);
    Second { granule, sl0, shape, frames, root }
}

/// Draws the number of levels, and the SL0 that selects it. Physical addresses must be wide enough for it.
fn levels(dice: &Dice<'_>, granule: Granule, pa_bits: u32) -> (u32, u64) {
    let (levels, sl0) = match granule.bits {
        12 => dice.pick([(3, 1), (4, 2), (2, 0), (3, 1), (1, 3)]),
        _ => dice.pick([(3, 2), (2, 1), (2, 1), (1, 0)]),
    };
    let wanted = match (granule.bits, levels) {
        (12, 4) | (16, 3) => 44,
        (14, 3) => 42,
        _ => 0,
    };
    match (pa_bits >= wanted, granule.bits) {
        (true, _) => (levels, sl0),
        (false, 12) => (3, 1),
        (false, _) => (2, 1),
    }
}

/// Draws the address of the first table, aligned to its size: low, high, or anywhere.
fn root(dice: &Dice<'_>, shape: &Shape, oa_bits: u32) -> u64 {
    let size = shape.index_bits.last().map_or(3, |bits| bits + 3).max(FRAME_BITS);
    let last = (1 << (oa_bits - size)) - 1;
    dice.pick([last, last >> 1, dice.word() & last]) << size
}

/// The descriptors of stage 2.
struct S2Descriptors<'a> {
    plan: &'a Plan,
    granule: Granule,
}

impl Entries for S2Descriptors<'_> {
    fn can_be_leaf(&self, level: u32) -> bool {
        level < if self.granule.bits == 12 { 3 } else { 2 }
    }

    fn pointer(&self, dice: &Dice<'_>, _: u32, table: u64) -> u64 {
        let valid = 0b11 ^ dice.maybe(1, 1);
        let ignored = dice.below(64) << 2 | dice.below(2048) << 53;
        let stray = if dice.chance(15) { beyond(dice, self.plan.size.1) } else { 0 };
        table | stray | ignored | valid
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let size = self.granule.bits + level * (self.granule.bits - 3);
        let kind = (if level == 0 { 0b11 } else { 0b01 }) ^ dice.maybe(1, 0b10);
        let valid = kind & !dice.maybe(1, 1);
        // MemAttr: mostly Normal memory.
        let memory = if dice.chance(8) { dice.below(16) } else { 0b1111 } << 2;
        let strict = 100 - self.plan.mood.allowed();
        let s2ap = if dice.chance(5 + strict / 2) { dice.below(4) } else { 0b11 } << 6;
        let xn = if dice.chance(10 + strict) { dice.below(4) } else { 0 } << 53;
        let af = 1 << 10 ^ dice.maybe(12, 1 << 10);
        let (dbm, contiguous) = (dice.maybe(60, 1 << 51), dice.maybe(20, 1 << 52));
        let other = dice.below(4) << 8 | dice.maybe(20, 1 << 11) | dice.below(16) << 55;
        self.page(dice, size) | valid | memory | s2ap | xn | af | dbm | contiguous | other
    }

    fn run(&self, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
        contiguous_run(self.granule, word, addr, level)
    }
}

impl S2Descriptors<'_> {
    /// Draws the address of a page or block of 2^`size` bytes: most hold no tables of stage 2.
    fn page(&self, dice: &Dice<'_>, size: u32) -> u64 {
        let oa_bits = self.plan.size.1;
        let mask = (1 << oa_bits) - (1 << 12);
        let page = if dice.chance(90) {
            (512 + dice.below(64)) << size
        } else {
            let table = dice.pick_from(&self.plan.second.frames).unwrap_or(0);
            dice.pick([dice.word(), table]) | beyond(dice, oa_bits)
        };
        if dice.chance(3) { page & mask } else { (page & mask) >> size << size }
    }
}
