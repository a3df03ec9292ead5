//! RISC-V cases.

mod hypervisor;

use super::entropy::Dice;
use super::tables::{self, Entries, Mood, Shape, TableWords};
use super::{Case, Entropy, Generate};
use emmu_core::{Access, Privilege};
use emmu_oracle::reference::Write;
use emmu_oracle::riscv::{PmpEntry, Registers, Xlen};

/// One scheme: its number in `satp`.MODE (0: Bare) and the shape of its tables.
struct Scheme {
    xlen: Xlen,
    mode: u64,
    shape: Shape,
}

impl Generate for Registers {
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let (mood, scheme) = (Mood::new(dice), scheme(dice));
        let frames = tables::frames(dice, 12, pa_bits(scheme.xlen));
        let targets = tables::targets(dice, &scheme.shape);
        let root = dice.pick_from(&frames).unwrap_or(0);
        let mut registers = registers(dice, &scheme, root);

        let adue = registers.menvcfg >> 61 & 1 == 1;
        let leaves = Leaves {
            xlen: scheme.xlen,
            mood,
            adue,
            out_bits: pa_bits(scheme.xlen),
            frames: &frames,
        };
        let mut words = TableWords::new(mood);
        for target in &targets {
            words.paint(dice, &scheme.shape, &leaves, (root, &frames), *target);
        }
        let mem = words.into_writes(scheme.shape.entry_size);
        registers.pmp = pmp(dice, scheme.xlen, &mem);
        let accesses = accesses(dice, mood, &scheme, &registers, &targets);
        Case { registers, mem, holes: tables::holes(dice, &frames), accesses }
    }
}

fn scheme(dice: &Dice<'_>) -> Scheme {
    let (xlen, mode, levels) = dice.pick([
        (Xlen::Rv64, 8, 3),
        (Xlen::Rv64, 9, 4),
        (Xlen::Rv64, 10, 5),
        (Xlen::Rv32, 1, 2),
        (Xlen::Rv64, 8, 3),
        (Xlen::Rv64, 9, 4),
        (Xlen::Rv64, 10, 5),
        (Xlen::Rv32, 1, 2),
        if dice.chance(50) { (Xlen::Rv64, 0, 3) } else { (Xlen::Rv32, 0, 2) },
    ]);
    let (entry_size, bits) = if xlen == Xlen::Rv32 { (4, 10) } else { (8, 9) };
    Scheme {
        xlen,
        mode,
        shape: Shape { entry_size, page_bits: 12, index_bits: vec![bits; levels] },
    }
}

fn pa_bits(xlen: Xlen) -> u32 {
    match xlen {
        Xlen::Rv32 => 34,
        Xlen::Rv64 => 56,
    }
}

fn registers(dice: &Dice<'_>, scheme: &Scheme, root: u64) -> Registers {
    let rv64 = scheme.xlen == Xlen::Rv64;
    let asid = dice.word();
    let satp = match scheme.xlen {
        Xlen::Rv32 => scheme.mode << 31 | (asid & 0x1ff) << 22 | root >> 12,
        Xlen::Rv64 => scheme.mode << 60 | (asid & 0xffff) << 44 | root >> 12,
    };
    let (sum, mxr, adue) = (1 << 18, 1 << 19, 1 << 61);
    let pbmte = if rv64 { 1 << 62 } else { 0 };
    let mpp = dice.pick([0, 1, 3]) << 11;
    // Machine mode clears MPRV on its way out, so no other mode ever sees it set.
    let mprv = dice.maybe(15, 1 << 17);
    Registers {
        xlen: scheme.xlen,
        satp,
        mstatus: dice.maybe(50, sum) | dice.maybe(50, mxr) | mpp | mprv,
        menvcfg: dice.maybe(50, adue) | dice.maybe(50, pbmte),
        svnapot: rv64 && dice.chance(60),
        pmp: Vec::new(),
    }
}

/// The entries of all schemes.
struct Leaves<'a> {
    xlen: Xlen,
    mood: Mood,
    /// True if hardware sets A and D. If it does not, most pages have them set.
    adue: bool,
    /// Number of bits of an address that a leaf gives.
    out_bits: u32,
    frames: &'a [u64],
}

impl Entries for Leaves<'_> {
    fn can_be_leaf(&self, _: u32) -> bool {
        true
    }

    fn pointer(&self, dice: &Dice<'_>, _: u32, table: u64) -> u64 {
        let (g, rsw) = (dice.maybe(20, 1 << 5), dice.below(4) << 8);
        // D, A, U, N and PBMT, of which none may be set.
        let stray = dice.pick([1 << 7, 1 << 6, 1 << 4, 1 << 63, 1 << 61]);
        table >> 12 << 10 | 1 | g | rsw | dice.maybe(4, stray)
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let bits = if self.xlen == Xlen::Rv32 { 10 } else { 9 };
        let ppn = self.page(dice, level * bits);
        let any = dice.pick([0b001, 0b011, 0b111, 0b101, 0b100, 0b010]);
        let rwx = if self.mood.generous && !dice.chance(25) { 0b111 } else { any } << 1;
        let u = if self.mood.user(dice) { 1 << 4 } else { 0 };
        let g = dice.maybe(20, 1 << 5);
        let set = if self.adue { 50 } else { 85 };
        let (a, d) = (dice.maybe(set, 1 << 6), dice.maybe(set, 1 << 7));
        let rsw = dice.below(4) << 8;
        let v = 1 - dice.maybe(3, 1);
        let leaf = ppn << 10 | rsw | d | a | g | u | rwx | v;
        if self.xlen == Xlen::Rv32 {
            return leaf;
        }
        let pbmt = if dice.chance(10) { dice.below(4) << 61 } else { 0 };
        with_napot(dice, level, leaf) | pbmt | dice.maybe(2, 1 << (54 + dice.below(7)))
    }

    fn run(&self, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
        napot_run(word, addr, level)
    }
}

/// Returns the run of a Svnapot leaf: sixteen equal entries.
fn napot_run(word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
    let napot = word >> 63 == 1 && word >> 10 & 0xf == 0b1000;
    if level > 0 || !napot {
        return Vec::new();
    }
    (0..16).map(|number| (addr / 128 * 128 + 8 * number, word)).collect()
}

impl Leaves<'_> {
    /// Draws a PPN, aligned to 2^`low` in most cases: any, or one of the tables' own.
    fn page(&self, dice: &Dice<'_>, low: u32) -> u64 {
        let mask = (1 << (self.out_bits - 12)) - 1;
        let table = dice.pick_from(self.frames).unwrap_or(0) >> 12;
        let ppn = dice.pick([dice.word() & mask, dice.below(64) & mask, table]);
        if dice.chance(10) { ppn } else { ppn >> low << low }
    }
}

/// Returns the leaf with N set and PPN bits 3:0 = 1000, or, in a few cases, with N set and its own PPN; mostly
/// unchanged.
fn with_napot(dice: &Dice<'_>, level: u32, leaf: u64) -> u64 {
    let (n, low_ppn) = (1 << 63, 0b1111 << 10);
    match dice.below(20) {
        19 => n | leaf,
        14..=18 if level == 0 => n | leaf & !low_ppn | 0b1000 << 10,
        _ => leaf,
    }
}

/// Draws PMP entries around the words of the tables, in the pages that they map and at any address, and often a last
/// entry that opens the rest; or, mostly, none at all.
fn pmp(dice: &Dice<'_>, xlen: Xlen, mem: &[Write]) -> Vec<PmpEntry> {
    let mut entries = Vec::new();
    if !dice.chance(35) {
        return entries;
    }
    let mask = if xlen == Xlen::Rv32 { 0xffff_ffff } else { (1 << 54) - 1 };
    for _ in 0..dice.below(5) {
        let (word, entry) = dice.pick_from(mem).map_or((0, 0), |w| (w.addr.raw() >> 2, w.value));
        // PPN, and some word of the page.
        let data = (entry >> 10 & 0xfff_ffff_ffff) << 10 | dice.below(1024);
        let near = dice.pick([word, word + 1, word & !0x3ff, data, data, dice.word()]);
        // Low ones make a NAPOT region of 8 bytes, half a KiB, half a page, a page, 2 MiB or everything.
        let addr = near | dice.pick([0, 0, 0, 0x3f, 0xff, 0x1ff, 0x1ff, 0x3_ffff, u64::MAX]);
        entries.push(PmpEntry { cfg: pmp_cfg(dice), addr: addr & mask });
    }
    if dice.chance(75) {
        entries.push(PmpEntry { cfg: 0b0001_1111, addr: mask });
    }
    entries
}

fn pmp_cfg(dice: &Dice<'_>) -> u8 {
    // W without R is reserved.
    let xwr = dice.pick([0b000, 0b001, 0b011, 0b100, 0b101, 0b111]);
    let mode = dice.pick([0, 1, 2, 3]) << 3;
    let locked = if dice.chance(30) { 0x80 } else { 0 };
    locked | mode | xwr
}

fn accesses(
    dice: &Dice<'_>,
    mood: Mood,
    scheme: &Scheme,
    registers: &Registers,
    targets: &[u64],
) -> Vec<Access> {
    let mprv = registers.mstatus >> 17 & 1 == 1;
    let mut accesses = Vec::new();
    for _ in 0..1 + dice.below(12) {
        let va = tables::address(dice, &scheme.shape, targets);
        let va = match scheme.xlen {
            Xlen::Rv32 => va,
            Xlen::Rv64 => tables::extend(dice, va, scheme.shape.va_bits()),
        };
        let access = tables::access(dice, mood, va);
        let machine = mprv || dice.chance(6);
        let privilege = if machine { Privilege::Machine } else { access.privilege };
        accesses.push(access.with_privilege(privilege));
    }
    accesses
}
