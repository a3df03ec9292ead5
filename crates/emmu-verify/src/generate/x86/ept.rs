//! x86 cases of two stages.

use super::{Pages, accesses, extended, frames, loaded_pdptes, mode, registers, root, shape};
use crate::generate::entropy::Dice;
use crate::generate::nested::{self, guest_pages};
use crate::generate::tables::{self, Entries, Mood, Shape, TableWords};
use crate::generate::{Case, Entropy, Generate};
use emmu_core::VirtAddr;
use emmu_oracle::reference::Write;
use emmu_oracle::x86::{Mode, ept::Registers};

impl Generate for Registers {
    /// Makes a case. VM entry accepts the EPTP. The PDPTE registers hold the entries that a load of CR3 finds through
    /// EPT, or 0 if it finds none.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self> {
        let dice = &Dice::new(entropy);
        let plan = Plan::new(dice);
        let mut vm = plan.registers(dice);
        let guest = plan.guest_words(dice, &vm);
        vm.guest.pdptes = loaded_pdptes(&vm.guest, &nested::memory(&guest));

        let extended = |target: &u64| extended(dice, plan.mode, &plan.shape, *target);
        let pages: Vec<u64> = plan.targets.iter().map(extended).collect();
        let second = plan.ept_words(dice, &vm, &guest, &pages);
        let host = nested::memory(&second);
        let mem = nested::place(&guest, second, |gpa| vm.host_of(gpa, &host));
        let words: Vec<_> = mem.iter().map(|word| word.addr.align_down(12).raw()).collect();

        let accesses = accesses(dice, plan.mood, &plan.shape, plan.mode, &plan.targets);
        let accesses = accesses.into_iter().map(|access| nested::aimed(dice, access, &pages));
        let (accesses, holes) = (accesses.collect(), tables::holes(dice, &words));
        let mut case = Case { registers: vm, mem, holes, accesses };
        if plan.mode == Mode::Pae {
            let loaded = vm.load_pdptes(&case.memory());
            case.registers.guest.pdptes = loaded.map_or([0; 4], |(pdptes, _)| pdptes);
        }
        case
    }
}

/// The places and sizes of tables and addresses, which are drawn first.
struct Plan {
    mood: Mood,
    mode: Mode,
    shape: Shape,
    maxphyaddr: u32,
    /// Number of levels of EPT.
    levels: u32,
    /// Number of bits of a guest-physical address.
    reach: u32,
    /// The frames of the guest's tables, guest-physical, and the table to which CR3 points.
    frames: Vec<u64>,
    root: u64,
    /// The frames of EPT's tables, and the table to which the EPTP points.
    ept_frames: Vec<u64>,
    ept_root: u64,
    targets: Vec<u64>,
}

impl Plan {
    fn new(dice: &Dice<'_>) -> Self {
        let (mood, mode) = (Mood::of_two_stages(dice), mode(dice));
        let maxphyaddr = dice.pick([40, 32, 36, 39, 46, 48, 52]);
        let levels = dice.pick([4, 4, 5]);
        // Now and then guest-physical addresses that 4-level EPT does not reach.
        let reach = if levels == 4 && dice.chance(95) { maxphyaddr.min(48) } else { maxphyaddr };
        let frames = frames(dice, mode, reach);
        let ept_frames = tables::many_frames(dice, 12, maxphyaddr);
        let shape = shape(mode);
        Self {
            mood,
            mode,
            maxphyaddr,
            levels,
            reach,
            root: root(dice, mode, &frames),
            frames,
            ept_root: dice.pick_from(&ept_frames).unwrap_or(0),
            ept_frames,
            targets: tables::targets(dice, &shape),
            shape,
        }
    }

    fn registers(&self, dice: &Dice<'_>) -> Registers {
        let (memory_type, length) = (dice.pick([6, 6, 0]), u64::from(self.levels - 1));
        Registers {
            guest: registers(dice, self.mode, self.maxphyaddr, self.root),
            eptp: self.ept_root | dice.maybe(60, 1 << 6) | length << 3 | memory_type,
            enable_ept: dice.chance(96),
            execute_only: dice.chance(60),
            vpid: 1,
        }
    }

    /// Makes the guest's tables in guest-physical memory.
    fn guest_words(&self, dice: &Dice<'_>, vm: &Registers) -> Vec<Write> {
        if self.mode == Mode::Off {
            return Vec::new();
        }
        let Self { mode, mood, frames, .. } = self;
        let nxe = vm.guest.efer >> 11 & 1 == 1;
        let pages = Pages { mode: *mode, mood: *mood, maxphyaddr: self.reach, nxe, frames };
        let mut words = TableWords::steady(self.mood);
        for target in &self.targets {
            words.paint(dice, &self.shape, &pages, (self.root, frames), *target);
        }
        words.into_writes(self.shape.entry_size)
    }

    /// Makes the tables of EPT, for the guest's tables and the pages of `pages` that these map.
    fn ept_words(
        &self,
        dice: &Dice<'_>,
        vm: &Registers,
        guest: &[Write],
        pages: &[u64],
    ) -> Vec<Write> {
        if !vm.enable_ept {
            return Vec::new();
        }
        let memory = nested::memory(guest);
        let mapped = pages.iter().filter_map(|va| vm.guest_physical(VirtAddr::new(*va), &memory));
        let index_bits = (0..self.levels).map(|_| 9).collect();
        let shape = Shape { entry_size: 8, page_bits: 12, index_bits };
        let (root, frames) = (self.ept_root, self.ept_frames.as_slice());
        let entries = EptEntries { plan: self, execute_only: vm.execute_only };
        let mut words = TableWords::steady(self.mood);
        for gpa in guest_pages(guest, mapped) {
            let inside = gpa & ((1 << shape.va_bits()) - 1);
            words.paint(dice, &shape, &entries, (root, frames), inside);
        }
        words.into_writes(8)
    }
}

/// The entries of EPT.
struct EptEntries<'a> {
    plan: &'a Plan,
    execute_only: bool,
}

impl Entries for EptEntries<'_> {
    fn can_be_leaf(&self, level: u32) -> bool {
        level < 3
    }

    fn pointer(&self, dice: &Dice<'_>, _: u32, table: u64) -> u64 {
        // Bits 7:3, which are reserved.
        let stray = dice.maybe(1, 1 << (3 + dice.below(4)));
        table | stray | self.flags(dice)
    }

    fn leaf(&self, dice: &Dice<'_>, level: u32) -> u64 {
        let memory_type =
            if dice.chance(2) { dice.below(8) } else { dice.pick([6, 6, 0, 1, 4, 5]) };
        let page_size = if level == 0 { dice.maybe(10, 1 << 7) } else { 1 << 7 };
        let ignore_pat = dice.maybe(30, 1 << 6);
        self.page(dice, 12 + 9 * level)
            | memory_type << 3
            | ignore_pat
            | page_size
            | self.flags(dice)
    }
}

impl EptEntries<'_> {
    /// Draws rights, accessed and dirty flags, ignored bits, and in a few cases a bit from MAXPHYADDR up to 51.
    fn flags(&self, dice: &Dice<'_>) -> u64 {
        let only = if self.execute_only { 0b100 } else { 0b101 };
        // Read, and write or execute or both; and, rarely, nothing or what is not supported.
        let usual = dice.pick([0b111, 0b011, 0b101, 0b001, only]);
        let rights = match dice.below(100) {
            0..=1 => dice.below(8),
            2..=9 => usual,
            _ if dice.chance(100 - self.plan.mood.allowed()) => usual,
            _ => 0b111,
        };
        let beyond = dice.maybe(1, 1 << (32 + dice.below(20)));
        let (flags, ignored) = (dice.below(4) << 8, dice.below(4) << 10 | dice.below(4096) << 52);
        rights | flags | ignored | beyond
    }

    /// Draws the address of a page of 2^`bits` bytes: most hold no tables of EPT.
    fn page(&self, dice: &Dice<'_>, bits: u32) -> u64 {
        let mask = (1 << self.plan.maxphyaddr) - 1;
        let own = (64 + dice.below(64)) << bits & mask;
        let page = if dice.chance(88) {
            own
        } else {
            dice.pick([dice.word() & mask, dice.pick_from(&self.plan.ept_frames).unwrap_or(0)])
        };
        if dice.chance(2) { page >> 12 << 12 } else { page >> bits << bits }
    }
}
