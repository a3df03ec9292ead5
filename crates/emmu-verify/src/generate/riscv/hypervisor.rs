//! RISC-V cases of two stages.

use super::{Leaves, Scheme, accesses, napot_run, pa_bits, pmp, registers, scheme, with_napot};
use crate::generate::entropy::Dice;
use crate::generate::nested::{self, guest_pages};
use crate::generate::tables::{self, Entries, Mood, Shape, TableWords};
use crate::generate::{Case, Entropy, Generate};
use emmu_core::{Access, AccessFlags, AccessKind, Privilege, VirtAddr};
use emmu_oracle::reference::Write;
use emmu_oracle::riscv::{Xlen, hypervisor::Registers};
use emmu_oracle::two_stage::Stage;
use std::collections::BTreeSet;

/// Log2 of the size of a frame for G-stage tables: that of its root.
const FRAME_BITS: u32 = 14;

impl Generate for Registers {
    /// Makes a case. HS-mode's own tables are those of G-stage, with the plain root at the start of the wide one.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let (mood, vs) = (Mood::of_two_stages(dice), scheme(dice));
        let g = g_scheme(dice, vs.xlen);
        let targets = tables::targets(dice, &vs.shape);
        let frames = tables::many_frames(dice, FRAME_BITS, pa_bits(vs.xlen));
        let root = dice.pick_from(&frames).unwrap_or(0);

        let guest_frames = if dice.chance(30) {
            tables::frames(dice, 12, gpa_bits(&g))
        } else {
            tables::many_frames(dice, 12, gpa_bits(&g))
        };
        let guest_root = dice.pick_from(&guest_frames).unwrap_or(0);
        let mut hart = hart(dice, (&vs, guest_root), (&g, root));
        let guest =
            guest_words(dice, mood, (&vs, &g), &hart, (guest_root, &guest_frames), &targets);
        let pages: Vec<_> = targets.iter().map(|target| extended(dice, &vs, *target)).collect();
        let second =
            g_words(dice, mood, &g, &hart, (root, &frames), &interesting(&hart, &guest, &pages));
        let host = nested::memory(&second);
        let mem = nested::place(&guest, second, |gpa| hart.host_of(gpa, &host));

        if dice.chance(40) {
            hart.hs.pmp = pmp(dice, vs.xlen, &mem);
        }
        let words: Vec<_> = mem.iter().map(|word| word.addr.align_down(12).raw()).collect();
        let accesses = accesses(dice, mood, &vs, &hart.hs, &targets);
        let accesses = accesses
            .into_iter()
            .map(|access| nested::aimed(dice, access, &pages))
            .map(|access| flagged(dice, &hart, access))
            .collect();
        Case { registers: hart, mem, holes: tables::holes(dice, &words), accesses }
    }
}

/// Draws the scheme of G-stage: mostly not Bare. Its root has two index bits more than that of the usual scheme.
fn g_scheme(dice: &Dice<'_>, xlen: Xlen) -> Scheme {
    let paged = dice.chance(94);
    let (mode, entry_size, mut index_bits) = match xlen {
        Xlen::Rv32 => (1, 4, vec![10; 2]),
        Xlen::Rv64 => {
            let (mode, levels) = dice.pick([(8, 3), (9, 4), (10, 5)]);
            (mode, 8, vec![9; levels])
        }
    };
    index_bits.iter_mut().last().into_iter().for_each(|bits| *bits += 2);
    Scheme {
        xlen,
        mode: if paged { mode } else { 0 },
        shape: Shape { entry_size, page_bits: 12, index_bits },
    }
}

/// Returns the number of bits of a guest-physical address.
fn gpa_bits(g: &Scheme) -> u32 {
    if g.mode == 0 { pa_bits(g.xlen) } else { g.shape.va_bits().min(pa_bits(g.xlen)) }
}

fn hart(dice: &Dice<'_>, (vs, guest_root): (&Scheme, u64), (g, root): (&Scheme, u64)) -> Registers {
    let guest = registers(dice, vs, guest_root);
    let mut hs = registers(dice, g, root);
    hs.mstatus |= dice.maybe(60, 1 << 39);
    let hgatp = match g.xlen {
        // The VMID is two bits narrower than the ASID.
        Xlen::Rv32 => hs.satp & !(3 << 29),
        Xlen::Rv64 => hs.satp & !(3 << 58),
    };
    // Where the hypervisor allows updates and PBMT, most guests have them.
    let henvcfg = hs.menvcfg & if dice.chance(70) { u64::MAX } else { guest.menvcfg };
    Registers { hs, hgatp, vsatp: guest.satp, vsstatus: guest.mstatus & (3 << 18), henvcfg }
}

/// Makes the guest's tables in guest-physical memory.
fn guest_words(
    dice: &Dice<'_>,
    mood: Mood,
    (vs, g): (&Scheme, &Scheme),
    hart: &Registers,
    (root, frames): (u64, &[u64]),
    targets: &[u64],
) -> Vec<Write> {
    if vs.mode == 0 {
        return Vec::new();
    }
    let adue = hart.henvcfg >> 61 & 1 == 1;
    // Now and then pages beyond what G-stage translates.
    let out_bits = if dice.chance(4) { pa_bits(vs.xlen) } else { gpa_bits(g) };
    let usual = Leaves { xlen: vs.xlen, mood, adue, out_bits, frames };
    let leaves = Calm { usual, svnapot: hart.hs.svnapot, stage: Stage::First };
    let mut words = TableWords::steady(mood);
    for target in targets {
        words.paint(dice, &vs.shape, &leaves, (root, frames), *target);
    }
    words.into_writes(vs.shape.entry_size)
}

/// Returns the guest-physical addresses that G-stage should map.
fn interesting(hart: &Registers, guest: &[Write], pages: &[u64]) -> BTreeSet<u64> {
    let memory = nested::memory(guest);
    let mapped = pages.iter().filter_map(|va| hart.guest_physical(VirtAddr::new(*va), &memory));
    guest_pages(guest, mapped)
}

/// Makes the tables of G-stage.
fn g_words(
    dice: &Dice<'_>,
    mood: Mood,
    g: &Scheme,
    hart: &Registers,
    (root, frames): (u64, &[u64]),
    addresses: &BTreeSet<u64>,
) -> Vec<Write> {
    if g.mode == 0 {
        return Vec::new();
    }
    let adue = hart.hs.menvcfg >> 61 & 1 == 1;
    let usual = Leaves { xlen: g.xlen, mood, adue, out_bits: pa_bits(g.xlen), frames };
    let leaves = Calm { usual, svnapot: hart.hs.svnapot, stage: Stage::Second };
    let mut words = TableWords::steady(mood);
    for address in addresses {
        let inside = address & ((1 << g.shape.va_bits()) - 1);
        words.paint(dice, &g.shape, &leaves, (root, frames), inside);
    }
    words.into_writes(g.shape.entry_size)
}

/// Entries of either stage, like the usual ones. Most leaves allow most accesses, since each access needs several of
/// them.
struct Calm<'a> {
    usual: Leaves<'a>,
    svnapot: bool,
    stage: Stage,
}

impl Entries for Calm<'_> {
    fn can_be_leaf(&self, level: u32) -> bool {
        self.usual.can_be_leaf(level)
    }

    fn pointer(&self, dice: &Dice<'_>, level: u32, table: u64) -> u64 {
        self.usual.pointer(dice, level, table)
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let strange = if self.stage == Stage::First { 40 } else { 4 };
        if dice.chance(strange) {
            return self.usual.leaf(dice, level);
        }
        let rwx = dice.pick([0b111, 0b111, 0b111, 0b111, 0b111, 0b001]) << 1;
        let set = dice.pick([0b11, 0b11, 0b11, 0b01, 0b00]) << 6;
        let set = if self.usual.adue { set } else { 0b11 << 6 };
        let user = self.stage == Stage::Second || self.usual.mood.user(dice);
        let rest = dice.maybe(20, 1 << 5) | dice.below(4) << 8;
        let leaf = self.page(dice, level) | rest | set | u64::from(user) << 4 | rwx | 1;
        if self.svnapot && dice.chance(50) { with_napot(dice, level, leaf) } else { leaf }
    }

    fn run(&self, word: u64, addr: u64, level: u32) -> Vec<(u64, u64)> {
        napot_run(word, addr, level)
    }
}

impl Calm<'_> {
    /// Draws the PPN, shifted to its field. Most host pages hold no tables of G-stage.
    fn page(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let low = level * if self.usual.xlen == Xlen::Rv32 { 10 } else { 9 };
        let own = self.stage == Stage::Second && dice.chance(80) && low < 30;
        let ppn = if own { (64 + dice.below(64)) << low } else { self.usual.page(dice, low) };
        (ppn >> low << low) << 10
    }
}

/// Returns the virtual address whose translated bits these are.
fn extended(dice: &Dice<'_>, vs: &Scheme, target: u64) -> u64 {
    match vs.xlen {
        Xlen::Rv32 => target,
        Xlen::Rv64 => tables::extend(dice, target, vs.shape.va_bits()),
    }
}

/// Returns in most cases an access with V = 1; some of the loads are HLVX.
fn flagged(dice: &Dice<'_>, hart: &Registers, access: Access) -> Access {
    let mprv = hart.hs.mstatus >> 17 & 1 == 1;
    if mprv && dice.chance(40) || dice.chance(5) {
        return access;
    }
    let mut flags = AccessFlags::GUEST;
    flags.set(AccessFlags::EXECUTABLE, access.kind == AccessKind::Load && dice.chance(12));
    let privilege = access.privilege.min(Privilege::Supervisor);
    access.with_flags(flags).with_privilege(privilege)
}
