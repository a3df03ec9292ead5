//! x86 cases.

mod ept;

use super::entropy::Dice;
use super::tables::{self, Entries, Mood, Shape, TableWords};
use super::{Case, Entropy, Generate};
use emmu_core::{Access, AccessFlags, AccessKind};
use emmu_oracle::reference::Memory;
use emmu_oracle::x86::{Mode, Registers};

impl Generate for Registers {
    /// Makes a case. The PDPTE registers hold the entries that a load of CR3 finds in the tables; if that load faults,
    /// they are 0 and map nothing.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let mood = Mood::new(dice);
        let mode = mode(dice);
        let maxphyaddr = dice.pick([40, 32, 36, 39, 46, 48, 52]);
        let shape = shape(mode);
        let frames = frames(dice, mode, maxphyaddr);
        let targets = tables::targets(dice, &shape);
        let root = root(dice, mode, &frames);
        let mut registers = registers(dice, mode, maxphyaddr, root);

        let pages =
            Pages { mode, mood, maxphyaddr, nxe: registers.efer >> 11 & 1 == 1, frames: &frames };
        let mut words = TableWords::new(mood);
        for target in &targets {
            words.paint(dice, &shape, &pages, (root, &frames), *target);
        }
        let accesses = accesses(dice, mood, &shape, mode, &targets);
        let holes = tables::holes(dice, &frames);
        let mut case =
            Case { registers, mem: words.into_writes(shape.entry_size), holes, accesses };
        registers.pdptes = loaded_pdptes(&registers, &case.memory());
        case.registers = registers;
        case
    }
}

fn mode(dice: &Dice<'_>) -> Mode {
    if dice.chance(4) {
        return Mode::Off;
    }
    dice.pick([Mode::Level4, Mode::Level5, Mode::Pae, Mode::Bits32, Mode::Level4])
}

/// Returns the PDPTE registers after a load of CR3.
fn loaded_pdptes(registers: &Registers, memory: &dyn Memory) -> [u64; 4] {
    registers.load_pdptes(memory).unwrap_or_default()
}

fn shape(mode: Mode) -> Shape {
    let (entry_size, index_bits) = match mode {
        Mode::Bits32 => (4, vec![10, 10]),
        Mode::Pae => (8, vec![9, 9, 2]),
        Mode::Level4 | Mode::Off => (8, vec![9; 4]),
        Mode::Level5 => (8, vec![9; 5]),
    };
    Shape { entry_size, page_bits: 12, index_bits }
}

/// Draws the tables' frames. Under 32-bit paging all are below 4 GiB, under PAE the last one is.
fn frames(dice: &Dice<'_>, mode: Mode, maxphyaddr: u32) -> Vec<u64> {
    let mut frames = tables::frames(dice, 12, if mode == Mode::Bits32 { 32 } else { maxphyaddr });
    if mode == Mode::Pae {
        frames.push((dice.word() & 0xffff_ffff) >> 12 << 12);
    }
    frames
}

/// Draws the address in CR3: one of the frames, and for PAE any 32 bytes in the last one.
fn root(dice: &Dice<'_>, mode: Mode, frames: &[u64]) -> u64 {
    match mode {
        Mode::Pae => frames.last().map_or(0, |frame| frame + 32 * dice.below(128)),
        _ => dice.pick_from(frames).unwrap_or(0),
    }
}

fn registers(dice: &Dice<'_>, mode: Mode, maxphyaddr: u32, root: u64) -> Registers {
    let long = matches!(mode, Mode::Level4 | Mode::Level5);
    let (pe, wp) = (1, dice.maybe(50, 1 << 16));
    let pg = if mode == Mode::Off { 0 } else { 1 << 31 };
    let pae = if long || mode == Mode::Pae { 1 << 5 } else { 0 };
    let la57 = if mode == Mode::Level5 { 1 << 12 } else { 0 };
    // LME and LMA.
    let long_mode = if long { 1 << 8 | 1 << 10 } else { 0 };
    let pcide = if long { dice.maybe(30, 1 << 17) } else { 0 };
    let (pse, pge) = (dice.maybe(75, 1 << 4), dice.maybe(50, 1 << 7));
    let (smep, smap) = (dice.maybe(40, 1 << 20), dice.maybe(40, 1 << 21));
    let pke = dice.maybe(40, 1 << 22);
    let low = if mode == Mode::Pae { dice.below(32) } else { dice.below(4096) };
    Registers {
        cr0: pe | wp | pg,
        cr3: root | low,
        cr4: pse | pae | pge | la57 | pcide | smep | smap | pke,
        efer: long_mode | dice.maybe(60, 1 << 11),
        pkru: u32::try_from(dice.word() >> 32).unwrap_or(0),
        ac: dice.chance(40),
        maxphyaddr,
        pdptes: [0; 4],
    }
}

/// The entries of all modes.
struct Pages<'a> {
    mode: Mode,
    mood: Mood,
    maxphyaddr: u32,
    nxe: bool,
    frames: &'a [u64],
}

impl Entries for Pages<'_> {
    fn can_be_leaf(&self, level: u32) -> bool {
        match self.mode {
            Mode::Bits32 | Mode::Pae => level < 2,
            Mode::Off | Mode::Level4 | Mode::Level5 => level < 3,
        }
    }

    fn pointer(&self, dice: &Dice<'_>, level: u32, table: u64) -> u64 {
        // A PDPTE of PAE has no R/W and U/S; the bits are reserved.
        if self.mode == Mode::Pae && level == 2 {
            let ignored = dice.below(8) << 9 | dice.below(4) << 3;
            return table | 1 | ignored | dice.maybe(3, 1 << 1);
        }
        table | self.flags(dice)
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let page_bits = match (self.mode, level) {
            (Mode::Bits32, 1) => 22,
            (_, level) => 12 + 9 * level,
        };
        let page_size = if level == 0 { 0 } else { 1 << 7 };
        let dirty = dice.maybe(50, 1 << 6);
        self.page(dice, page_bits) | page_size | dirty | self.flags(dice)
    }
}

impl Pages<'_> {
    /// Draws P, R/W, U/S, PWT, PCD, A, ignored bits, and bits 62:52 and XD where entries have them.
    fn flags(&self, dice: &Dice<'_>) -> u64 {
        let present = 1 - dice.maybe(3, 1);
        let low = present
            | dice.maybe(self.mood.allowed(), 1 << 1)
            | dice.maybe(self.mood.allowed(), 1 << 2)
            | dice.below(4) << 3
            | dice.maybe(50, 1 << 5)
            | dice.below(8) << 9;
        if self.mode == Mode::Bits32 {
            return low;
        }
        let xd = dice.maybe(if self.nxe { 100 - self.mood.allowed() } else { 1 }, 1 << 63);
        // Ignored bits and the protection key; reserved in PAE.
        let upper =
            if self.mode == Mode::Pae { dice.maybe(3, 1 << 52) } else { dice.below(2048) << 52 };
        let beyond = dice.maybe(2, 1 << (32 + dice.below(20)));
        low | xd | upper | beyond
    }

    /// Draws the address of a page of 2^`bits` bytes, whose low bits are 0 in most cases.
    fn page(&self, dice: &Dice<'_>, bits: u32) -> u64 {
        let mask = (1 << self.maxphyaddr) - 1;
        let table = dice.pick_from(self.frames).unwrap_or(0);
        let page = dice.pick([dice.word() & mask, dice.below(64) << bits & mask, table]);
        let page = if dice.chance(10) { page >> 12 << 12 } else { page >> bits << bits };
        if self.mode == Mode::Bits32 && bits == 22 && dice.chance(50) {
            // PSE-36: bits 39:32 in 20:13.
            return page & 0xffff_ffff | dice.below(256) << 13;
        }
        page
    }
}

/// Returns the linear address whose translated bits these are.
fn extended(dice: &Dice<'_>, mode: Mode, shape: &Shape, va: u64) -> u64 {
    match mode {
        Mode::Level4 | Mode::Level5 => tables::extend(dice, va, shape.va_bits()),
        Mode::Off | Mode::Bits32 | Mode::Pae => va & 0xffff_ffff,
    }
}

fn accesses(
    dice: &Dice<'_>,
    mood: Mood,
    shape: &Shape,
    mode: Mode,
    targets: &[u64],
) -> Vec<Access> {
    let mut accesses = Vec::new();
    for _ in 0..1 + dice.below(12) {
        let va = tables::address(dice, shape, targets);
        let access = tables::access(dice, mood, extended(dice, mode, shape, va));
        let mut flags = AccessFlags::empty();
        // Fetches use no stack and are never implicit.
        let data = access.kind != AccessKind::Fetch;
        flags.set(AccessFlags::STACK, data && dice.chance(10));
        flags.set(AccessFlags::IMPLICIT, data && dice.chance(8));
        accesses.push(access.with_flags(flags));
    }
    accesses
}
