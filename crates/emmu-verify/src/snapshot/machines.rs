//! Machines of every unit, each with 32 KiB of RAM, tables at its middle, and a program.

use super::machine::{Kept, Machine, goes_on, used};
use super::{Verdict, read_back, written};
use crate::coherence::{Script, Step, setup};
use core::fmt::Display;
use emmu_base_bounds::{Bare, BaseBounds, Convention};
use emmu_core::{Bus, Chain, PhysAddr, Privilege, RegisterId, VirtAddr, Width};
use emmu_cpu::Cpu;
use emmu_memory::{Disk, Memory};
use emmu_paging::{
    Paging, Policy, RiscV, X86,
    format::{
        riscv::{HGATP, RiscVH, RiscVHart, SATP},
        x86::{CR0, CR3, CR4},
    },
};
use emmu_segmentation::{
    Descriptor, Segment, SegmentFlags, SegmentTable, Segmentation, Selection,
    x86::{GDTR_BASE, GDTR_LIMIT, X86Segments},
};

/// The number of machines.
pub(super) const COUNT: u8 = 9;

const RAM: u64 = 0x8000;
const TABLE: u64 = 0x4000;

/// Plays the script on the machine of this number and on its snapshots: [`super::goes_on`] for a whole machine.
///
/// # Errors
/// The first difference.
pub fn machine_goes_on(number: u8, script: Script) -> Verdict {
    let Script { setup, steps } = script;
    match number % COUNT {
        0 => play(Bare, &[], &[], &steps),
        1 => play(BaseBounds::new(convention(setup)), &BASE_BOUNDS, &[], &steps),
        2 => play(explicit()?, &[], &[], &steps),
        3 => play(implicit()?, &[], &[], &steps),
        4 => play(table(setup)?, &TABLE_REGISTERS, &descriptors(), &steps),
        5 => play(X86Segments::flat(), &GDTR, &X86_TABLES, &steps),
        6 => {
            let paging = Paging::new(X86::new(36), &setup::config(setup)).map_err(message)?;
            let unit = Chain::new(X86Segments::flat(), paging).map_err(message)?;
            play(unit, &[GDTR.as_slice(), &X86_PAGING].concat(), &X86_TABLES, &steps)
        }
        7 => {
            let config = setup::config_with_invalid_entries(setup);
            let unit = Paging::new(RiscV::rv64(), &config).map_err(message)?;
            play(unit, &[(SATP, ROOT)], &RISCV_TABLE, &steps)
        }
        _ => {
            let [first, second] = [setup, setup / 3].map(setup::config_with_invalid_entries);
            let unit = RiscVH::rv64().hart(&first, &second).map_err(message)?;
            play(unit, &[(SATP, ROOT), (HGATP, ROOT)], &RISCV_TABLE, &steps)
        }
    }
}

/// Reads the machine of this number, or a disk, from the bytes.
pub(super) fn survives(number: u8, snapshot: &[u8], steps: &[Step]) -> Verdict {
    match number {
        0 => used::<Bare>(snapshot, steps),
        1 => used::<BaseBounds>(snapshot, steps),
        2 | 3 => used::<Segmentation>(snapshot, steps),
        4 => used::<SegmentTable>(snapshot, steps),
        5 => used::<X86Segments>(snapshot, steps),
        6 => used::<Chain<X86Segments, Paging<X86>>>(snapshot, steps),
        7 => used::<Paging<RiscV>>(snapshot, steps),
        8 => used::<RiscVHart>(snapshot, steps),
        _ => disk(snapshot, steps),
    }
}

const BASE_BOUNDS: [(RegisterId, u64); 2] =
    [(BaseBounds::BASE, 0x1000), (BaseBounds::BOUNDS, 0x3000)];

fn convention(setup: u16) -> Convention {
    if setup.is_multiple_of(2) { Convention::Size } else { Convention::End }
}

const ALL_RIGHTS: SegmentFlags =
    SegmentFlags::READ.union(SegmentFlags::WRITE).union(SegmentFlags::EXECUTE);

/// Makes three segments: one that is aligned, one that is not, and one that grows down.
fn explicit() -> Result<Segmentation, String> {
    let selection = Selection::Explicit { selector_bits: 2, segments: 3 };
    segments(Segmentation::new(14, selection).map_err(message)?)
}

fn implicit() -> Result<Segmentation, String> {
    segments(Segmentation::new(14, Selection::Implicit).map_err(message)?)
}

fn segments(unit: Segmentation) -> Result<Segmentation, String> {
    let segments = [(0x1000, 0x1000, ALL_RIGHTS), (0x2345, 0x234, ALL_RIGHTS)];
    let down = SegmentFlags::READ | SegmentFlags::WRITE | SegmentFlags::GROWS_DOWN;
    let segments = (0..).zip(segments.into_iter().chain([(0x4000, 0x800, down)]));
    segments.into_iter().try_fold(unit, |unit, (number, (base, bounds, flags))| {
        unit.with_segment(number, Segment { base, bounds, flags }).map_err(message)
    })
}

const TABLE_REGISTERS: [(RegisterId, u64); 2] =
    [(SegmentTable::BASE, TABLE), (SegmentTable::LENGTH, 12)];

/// Makes sixteen segments of at most 1 KiB, with a cache of four descriptors or none.
fn table(setup: u16) -> Result<SegmentTable, String> {
    let policy = Policy::BUILT_IN[usize::from(setup) % Policy::BUILT_IN.len()];
    let shape = if setup & 8 == 0 { (1, 4) } else { (2, 2) };
    let cache = setup::geometry(shape.0, shape.1, policy);
    SegmentTable::new(14, 4, cache.filter(|_| !setup.is_multiple_of(7))).map_err(message)
}

fn descriptors() -> Vec<(u64, u64)> {
    let segment = |number: u64| {
        let flags = if number.is_multiple_of(3) { SegmentFlags::READ } else { ALL_RIGHTS };
        Segment { base: 0x300 * number, bounds: 0x400 - 0x10 * number, flags }
    };
    let words = |number| {
        let Descriptor { base, word } = Descriptor::present(segment(number)).unwrap_or_default();
        [(TABLE + 16 * number, base), (TABLE + 16 * number + 8, word)]
    };
    (0..12).flat_map(words).collect()
}

const GDT: u64 = TABLE + 0x1000;
const GDTR: [(RegisterId, u64); 2] = [(GDTR_BASE, GDT), (GDTR_LIMIT, 8 * 8 - 1)];

/// A page directory of which one entry maps the lowest 4 MiB to themselves, and a GDT: flat segments of both
/// privileges, small data, data that expands down, an LDT.
const X86_TABLES: [(u64, u64); 8] = [
    (TABLE, 0xe7),
    (GDT + 8, 0x00cf_9b00_0000_ffff),
    (GDT + 16, 0x00cf_9300_0000_ffff),
    (GDT + 24, 0x00cf_fa00_0000_ffff),
    (GDT + 32, 0x00cf_f200_0000_ffff),
    (GDT + 40, 0x0040_9200_1000_2fff),
    (GDT + 48, 0x0040_9600_0000_0fff),
    (GDT + 56, 0x0000_8200_5000_003f),
];
const X86_PAGING: [(RegisterId, u64); 3] = [(CR4, 1 << 4), (CR3, TABLE), (CR0, 1 << 31 | 1)];

/// Sv39, and Sv39x4 as the second stage: the same table.
const ROOT: u64 = 8 << 60 | TABLE >> 12;
/// Maps the lowest gigabyte to itself for users, and the next one to the lowest for supervisors.
const RISCV_TABLE: [(u64, u64); 2] = [(TABLE, 0xdf), (TABLE + 8, 0xcf)];

fn play<U: Kept>(
    unit: U,
    registers: &[(RegisterId, u64)],
    words: &[(u64, u64)],
    steps: &[Step],
) -> Verdict {
    goes_on(machine(unit, registers, words)?, steps)
}

fn machine<U: Kept>(
    mut unit: U,
    registers: &[(RegisterId, u64)],
    words: &[(u64, u64)],
) -> Result<Machine<U>, String> {
    let mut memory = Memory::ram(RAM);
    for &(addr, word) in words {
        memory.write(PhysAddr::new(addr), Width::B8, word).map_err(message)?;
    }
    for &(id, value) in registers {
        unit.write_register(id, value, &mut memory, &mut Vec::new()).map_err(message)?;
    }
    let mut cpu = Cpu::with_probe(unit, memory, Vec::new());
    cpu.install_handler(VirtAddr::new(0x40)).map_err(message)?;
    cpu.set_privilege(Privilege::User);
    Ok(cpu)
}

/// Reads a disk. If the snapshot is valid, the disk must do the same as its own copy.
fn disk(snapshot: &[u8], steps: &[Step]) -> Verdict {
    let Ok(disk) = read_back::<Disk>(snapshot) else { return Ok(()) };
    let again = read_back::<Disk>(&written(&disk)?)?;
    let [mut one, mut other] = [controller(disk)?, controller(again)?];
    for &Step([what, which, how, more]) in steps {
        let addr = PhysAddr::new(u64::from(which) << 4);
        let width = Width::ALL[usize::from(how & 3)];
        let [one, other] = [&mut one, &mut other].map(|memory| match what & 1 {
            0 => memory.read(addr, width),
            _ => memory.write(addr, width, more.into()).map(|()| 0),
        });
        if one != other {
            return Err(format!("a disk: expected {one:x?}, got {other:x?}"));
        }
    }
    Ok(())
}

fn controller(disk: Disk) -> Result<Memory, String> {
    Memory::new().with_device(PhysAddr::ZERO, Disk::SIZE, disk).map_err(message)
}

fn message(error: impl Display) -> String {
    error.to_string()
}
