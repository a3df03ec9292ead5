//! Tables of both stages, and machines that have them.

use emmu_core::{
    Access, AccessFlags, Bus, Event, Fault, PhysAddr, RegisterId, Translation, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Paging, PagingConfig, SecondStageFormat, X86,
    format::{
        Format,
        aarch64::{AArch64Guest, HCR_EL2, SCTLR_EL1, TCR_EL1, TTBR0_EL1, VTCR_EL2, VTTBR_EL2},
        riscv::{HGATP, RiscVH, RiscVHart, VSATP},
        x86::{CR0, CR3, CR4, EFER, EPTP, X86Guest},
    },
};

/// How the entries of a stage look.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) entry: Width,
    pub(crate) stride: u32,
    pub(crate) table: fn(u64) -> u64,
    pub(crate) leaf: fn(u64, u32) -> u64,
}

pub(crate) const RISCV64: Style = Style {
    entry: Width::B8,
    stride: 9,
    table: |addr| addr >> 2 | 1,
    leaf: |addr, _| addr >> 2 | 0xdf,
};
pub(crate) const RISCV32: Style = Style { entry: Width::B4, stride: 10, ..RISCV64 };
pub(crate) const LONG: Style = Style {
    entry: Width::B8,
    stride: 9,
    table: |addr| addr | 0x27,
    leaf: |addr, level| addr | 0x67 | if level > 0 { 0x80 } else { 0 },
};
pub(crate) const EPT: Style = Style {
    entry: Width::B8,
    stride: 9,
    table: |addr| addr | 7,
    leaf: |addr, level| addr | 0x37 | if level > 0 { 0x80 } else { 0 },
};
pub(crate) const ARM: Style = Style {
    entry: Width::B8,
    stride: 9,
    table: |addr| addr | 3,
    leaf: |addr, level| addr | 0x440 | if level > 0 { 1 } else { 3 },
};
pub(crate) const ARM_STAGE_2: Style =
    Style { leaf: |addr, level| addr | 0x4c0 | if level > 0 { 1 } else { 3 }, ..ARM };

/// The tables of one stage.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) style: Style,
    pub(crate) root: u64,
    pub(crate) levels: u32,
    /// Where the next table goes.
    pub(crate) next: u64,
}

impl Stage {
    pub(crate) const fn new(style: Style, root: u64, levels: u32) -> Self {
        // A root of 16 KiB has room before the next table.
        Self { style, root, levels, next: root + 0x4000 }
    }

    const fn low(&self, level: u32) -> u32 {
        12 + self.style.stride * level
    }

    /// Where the entry of this level for an address is, with tables above as they are or as `grow` makes them.
    fn entry(&mut self, memory: &mut Memory, addr: u64, level: u32, grow: bool) -> Option<u64> {
        let mut table = self.root;
        for above in (level..self.levels).rev() {
            let top = above + 1 == self.levels;
            let bits = self.style.stride + if top { 2 } else { 0 };
            let index = addr >> self.low(above) & ((1 << bits) - 1);
            let place = table + index * self.style.entry.bytes();
            if above == level {
                return Some(place);
            }
            let mut raw = memory.read(PhysAddr::new(place), self.style.entry).unwrap();
            if raw == 0 {
                if !grow {
                    return None;
                }
                raw = (self.style.table)(self.next);
                self.next += 0x1000;
                memory.write(PhysAddr::new(place), self.style.entry, raw).unwrap();
            }
            table = self.next_of(raw);
        }
        None
    }

    /// Where the last entry for an address is, if there are tables for it.
    pub(crate) fn find(mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        self.entry(memory, addr, 0, false)
    }

    /// Finds an entry of a guest's tables, which name one another by guest-physical addresses.
    pub(crate) fn find_guest(&mut self, memory: &mut Memory, addr: u64) -> Option<u64> {
        let mut guest = Self { root: self.root - ABOVE, ..*self };
        Some(guest.entry(memory, addr, 0, false)? + ABOVE)
    }

    /// The table that an entry points to.
    fn next_of(&self, raw: u64) -> u64 {
        let is_riscv = (self.style.table)(0x1000) < 0x1000;
        let number = if is_riscv { raw >> 10 } else { raw >> 12 };
        (number << 12) & 0xf_ffff_ffff_f000
    }

    /// Maps an address by an entry of this level.
    pub(crate) fn map(&mut self, memory: &mut Memory, from: u64, to: u64, level: u32) -> u64 {
        let place = self.entry(memory, from, level, true).unwrap();
        let raw = (self.style.leaf)(to, level);
        memory.write(PhysAddr::new(place), self.style.entry, raw).unwrap();
        place
    }
}

/// A unit over its memory, whose guest-physical memory is the physical memory 4 GiB above.
pub(crate) struct Machine<F: Format, H: SecondStageFormat> {
    pub(crate) unit: Paging<F, Paging<H>>,
    pub(crate) memory: Memory,
    pub(crate) flags: AccessFlags,
}

/// The physical address of a guest-physical one, where both are pages of a gigabyte.
pub(crate) const ABOVE: u64 = 1 << 32;

impl<F: Format, H: SecondStageFormat> Machine<F, H> {
    pub(crate) fn new(
        unit: Paging<F, Paging<H>>,
        memory: Memory,
        flags: AccessFlags,
        registers: &[(RegisterId, u64)],
    ) -> Self {
        let mut machine = Self { unit, memory, flags };
        registers.iter().for_each(|&(id, value)| machine.write(id, value));
        machine
    }

    pub(crate) fn write(&mut self, id: RegisterId, value: u64) {
        self.unit.write_register(id, value, &mut self.memory, &mut ()).unwrap();
    }

    pub(crate) fn translate(&mut self, access: Access) -> Result<Translation, Fault> {
        let access = access.with_flags(self.flags | access.flags);
        self.unit.translate(access, &mut self.memory, &mut ())
    }

    pub(crate) fn load(&mut self, addr: u64) -> Result<u64, Fault> {
        self.translate(Access::load(VirtAddr::new(addr), 8)).map(|found| found.addr.raw())
    }

    pub(crate) fn store(&mut self, addr: u64) -> Result<u64, Fault> {
        self.translate(Access::store(VirtAddr::new(addr), 8)).map(|found| found.addr.raw())
    }

    pub(crate) fn events(&mut self, addr: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let access = Access::load(VirtAddr::new(addr), 8).with_flags(self.flags);
        self.unit.translate(access, &mut self.memory, &mut events).unwrap();
        events
    }

    /// How many entries a load reads, at both stages.
    pub(crate) fn reads(&mut self, addr: u64) -> usize {
        let is_read = |event: &&Event| matches!(event, Event::EntryRead { .. });
        self.events(addr).iter().filter(is_read).count()
    }

    pub(crate) fn set(&mut self, addr: u64, raw: u64) {
        self.memory.write(PhysAddr::new(addr), Width::B8, raw).unwrap();
    }

    pub(crate) fn get(&self, addr: u64) -> u64 {
        self.memory.peek(PhysAddr::new(addr), Width::B8).unwrap()
    }
}

/// The shape of both stages, and the place of the page at [`VA`].
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) guest_levels: u32,
    /// Level of the guest's leaf.
    pub(crate) guest_leaf: u32,
    pub(crate) host_levels: u32,
    /// Level of all leaves of the second stage.
    pub(crate) host_leaf: u32,
}

impl Plan {
    /// Small pages at both stages.
    pub(crate) const fn small(guest_levels: u32, host_levels: u32) -> Self {
        Self { guest_levels, guest_leaf: 0, host_levels, host_leaf: 0 }
    }
}

/// The page that is mapped, and the guest-physical page that it is.
pub(crate) const VA: u64 = 0x4020_3000;
pub(crate) const GPA: u64 = 0x4060_3000;
/// Where the guest's tables are in guest-physical memory, and the second stage's in physical memory.
pub(crate) const GUEST_ROOT: u64 = 0x10_0000;
pub(crate) const HOST_ROOT: u64 = 0x80_0000;

/// Both stages' tables: the guest's lie in guest-physical memory, which is physical memory `ABOVE`.
pub(crate) fn tables(memory: &mut Memory, plan: Plan, guest: Style, host: Style) -> [Stage; 2] {
    let above = if host.entry == Width::B4 { 1 << 30 } else { ABOVE };
    let mut host = Stage::new(host, HOST_ROOT, plan.host_levels);
    let mut first = Stage::new(guest, GUEST_ROOT, plan.guest_levels);
    let size = 12 + guest.stride * plan.guest_leaf;
    let (from, to) = (VA >> size << size, GPA >> size << size);
    // The guest's tables are made where nothing translates, and then copied to where the second stage finds them.
    first.map(memory, from, to, plan.guest_leaf);
    let size = 12 + host.style.stride * plan.host_leaf;
    for page in (GUEST_ROOT..first.next).step_by(0x1000).chain([GPA]) {
        let from = page >> size << size;
        host.map(memory, from, from + above, plan.host_leaf);
    }
    for word in (GUEST_ROOT..first.next).step_by(8) {
        let raw = memory.read(PhysAddr::new(word), Width::B8).unwrap();
        if raw != 0 {
            memory.write(PhysAddr::new(word + above), Width::B8, raw).unwrap();
        }
    }
    [first, host]
}

pub(crate) fn riscv(
    plan: Plan,
    config: &PagingConfig,
    second: &PagingConfig,
) -> Machine<RiscVH, emmu_paging::format::riscv::GStage> {
    let mut memory = Memory::ram(1 << 40);
    let is_rv32 = plan.guest_levels == 2;
    let style = if is_rv32 { RISCV32 } else { RISCV64 };
    tables(&mut memory, plan, style, style);
    let mode = |levels: u32| match levels {
        2 => 1 << 31,
        levels => u64::from(levels + 5) << 60,
    };
    let hart = if is_rv32 { RiscVH::rv32() } else { RiscVH::rv64() };
    let unit: RiscVHart = hart.hart(config, second).unwrap();
    let registers = [
        (HGATP, mode(plan.host_levels) | HOST_ROOT >> 12),
        (VSATP, mode(plan.guest_levels) | GUEST_ROOT >> 12),
    ];
    // The page is a user page.
    let mut machine = Machine::new(unit, memory, AccessFlags::GUEST, &registers);
    machine.write(emmu_paging::format::riscv::VSSTATUS, 1 << 18);
    machine
}

pub(crate) fn x86(
    plan: Plan,
    config: &PagingConfig,
    second: &PagingConfig,
) -> Machine<X86, emmu_paging::format::x86::Ept> {
    let mut memory = Memory::ram(1 << 40);
    tables(&mut memory, plan, LONG, EPT);
    let unit: X86Guest = X86::new(46).guest(config, second).unwrap();
    let la57 = if plan.guest_levels == 5 { 1 << 12 } else { 0 };
    let registers = [
        (EPTP, HOST_ROOT | u64::from(plan.host_levels - 1) << 3 | 6),
        (EFER, 1 << 8),
        (CR4, 1 << 5 | 1 << 7 | la57),
        (CR3, GUEST_ROOT),
        (CR0, 1 << 31 | 1),
    ];
    Machine::new(unit, memory, AccessFlags::empty(), &registers)
}

/// With the 4 KiB granule at both stages.
pub(crate) fn aarch64(
    plan: Plan,
    config: &PagingConfig,
    second: &PagingConfig,
) -> Machine<AArch64, emmu_paging::format::aarch64::Stage2> {
    let mut memory = Memory::ram(1 << 40);
    tables(&mut memory, plan, ARM, ARM_STAGE_2);
    let unit: AArch64Guest = AArch64::new().guest(config, second).unwrap();
    let size = |levels: u32| u64::from(64 - (12 + 9 * levels));
    let sl0 = u64::from(plan.host_levels - 2);
    let registers = [
        (VTTBR_EL2, HOST_ROOT),
        (VTCR_EL2, 5 << 16 | sl0 << 6 | size(plan.host_levels)),
        (HCR_EL2, 1),
        (TTBR0_EL1, GUEST_ROOT),
        (TCR_EL1, 5 << 32 | 2 << 30 | size(plan.guest_levels) << 16 | size(plan.guest_levels)),
        (SCTLR_EL1, 1),
    ];
    Machine::new(unit, memory, AccessFlags::empty(), &registers)
}
